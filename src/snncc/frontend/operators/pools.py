# SPDX-License-Identifier: Apache-2.0
"""Lowering of pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snncc.frontend.operators.builder import Builder, Lowering, Operand, Unsupported
from snncc.frontend.operators.linear import Window, spatial_first
from snncc.ir.nodes import AveragePool, MaxPool, Node, Reduce

Ints = Sequence[int]


def windows(
    g: Builder, x: Operand, *, kernel_shape: Ints, ceil_mode: int = 0, **window: Any
) -> tuple[Node, dict[str, Any]]:
    """The operand of a pool and the fields that say where its windows lie."""
    x = g.node(x)
    spatial_first(x)
    fields = Window(**window).over(x, kernel_shape)
    return x, {"kernel": tuple(kernel_shape), "ceil_mode": bool(ceil_mode), **fields}


def refuse_empty_windows(g: Builder, x: Node, ceil_mode: bool, stride: Ints, padding: Ints, **fields: Any) -> None:
    """Refuse a last window that begins in the padding at the end: the standard counts it, onnxruntime drops it."""
    for i, step in enumerate(stride if ceil_mode else ()):
        if (g.shape[2 + i] - 1) * step >= x.shape[2 + i] + padding[i]:
            raise Unsupported(
                "with ceil_mode=1 its last window lies in the padding, where onnx and onnxruntime disagree",
                cure="export with ceil_mode=0 and the padding that is meant",
            )


def max_pool(g: Builder, x: Operand, *, storage_order: int = 0, **window: Any) -> Node:
    """MaxPool; the indices output is not offered."""
    if len(g.results) > 1 and g.results[1][0]:
        raise Unsupported("its second output (indices) is used", cure="export without return_indices")
    x, fields = windows(g, x, **window)
    refuse_empty_windows(g, x, **fields)
    return g.unary(MaxPool, x, **fields)


def average_pool(g: Builder, x: Operand, *, count_include_pad: int = 0, **window: Any) -> Node:
    """AveragePool."""
    x, fields = windows(g, x, **window)
    refuse_empty_windows(g, x, **fields)
    return g.unary(AveragePool, x, count_include_pad=bool(count_include_pad), **fields)


def lp_pool(g: Builder, x: Operand, *, p: int = 2, **window: Any) -> Node:
    """LpPool."""
    x, fields = windows(g, x, **window)
    return g.operator("lp_pool", x, batch=x.batch, p=p, **fields)


def global_lp_pool(g: Builder, x: Operand, *, p: int = 2) -> Node:
    """GlobalLpPool: the norm over all spatial axes."""
    x = g.node(x)
    spatial_first(x)
    return g.operator("reduce_norm", x, batch=x.batch, axes=tuple(range(2, len(x.shape))), keepdims=True, p=p)


def global_average_pool(g: Builder, x: Operand) -> Node:
    """GlobalAveragePool: the mean over all spatial axes."""
    x = g.node(x)
    spatial_first(x)
    return g.unary(Reduce, x, op="mean", axes=tuple(range(2, len(x.shape))), keepdims=True)


def global_max_pool(g: Builder, x: Operand) -> Node:
    """GlobalMaxPool: one window that covers all spatial axes."""
    return max_pool(g, x, kernel_shape=g.node(x).shape[2:])


LOWERINGS: dict[str, Lowering] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
}
