# SPDX-License-Identifier: Apache-2.0
"""Lowering of pools."""

from __future__ import annotations

from collections.abc import Sequence

from snncc.frontend.operators.builder import Builder, Lowering, Operand, Unsupported
from snncc.frontend.operators.linear import spatial_first, window_padding
from snncc.ir.nodes import AveragePool, MaxPool, Node, Reduce

Ints = Sequence[int]


def refuse_empty_windows(g: Builder, x: Node, stride: Ints, padding: Ints) -> None:
    """Refuse a last window that begins in the padding at the end: the standard counts it, onnxruntime drops it."""
    for i, step in enumerate(stride):
        if (g.shape[2 + i] - 1) * step >= x.shape[2 + i] + padding[i]:
            raise Unsupported(
                "with ceil_mode=1 its last window lies in the padding, where onnx and onnxruntime disagree",
                cure="export with ceil_mode=0 and the padding that is meant",
            )


def max_pool(
    g: Builder,
    x: Operand,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
) -> Node:
    """MaxPool; the indices output is not offered."""
    if len(g.results) > 1 and g.results[1][0]:
        raise Unsupported("its second output (indices) is used", cure="export without return_indices")
    x, n = g.node(x), len(kernel_shape)
    spatial_first(x)
    stride, dilation = tuple(strides or [1] * n), tuple(dilations or [1] * n)
    if ceil_mode:
        refuse_empty_windows(g, x, stride, window_padding(x, auto_pad, pads, kernel_shape, stride, dilation))
    return g.add(
        MaxPool(
            name=g.out,
            inputs=(x.name,),
            shape=g.shape,
            batch=x.batch,
            kernel=tuple(kernel_shape),
            stride=stride,
            padding=window_padding(x, auto_pad, pads, kernel_shape, stride, dilation),
            dilation=dilation,
            ceil_mode=bool(ceil_mode),
        )
    )


def average_pool(
    g: Builder,
    x: Operand,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """AveragePool."""
    x, n = g.node(x), len(kernel_shape)
    spatial_first(x)
    stride, dilation = tuple(strides or [1] * n), tuple(dilations or [1] * n)
    if ceil_mode:
        refuse_empty_windows(g, x, stride, window_padding(x, auto_pad, pads, kernel_shape, stride, dilation))
    return g.add(
        AveragePool(
            name=g.out,
            inputs=(x.name,),
            shape=g.shape,
            batch=x.batch,
            kernel=tuple(kernel_shape),
            stride=stride,
            padding=window_padding(x, auto_pad, pads, kernel_shape, stride, dilation),
            dilation=dilation,
            ceil_mode=bool(ceil_mode),
            count_include_pad=bool(count_include_pad),
        )
    )


def global_average_pool(g: Builder, x: Operand) -> Node:
    """GlobalAveragePool: the mean over all spatial axes."""
    x = g.node(x)
    spatial_first(x)
    axes = tuple(range(2, len(x.shape)))
    return g.add(
        Reduce(name=g.out, inputs=(x.name,), shape=g.shape, batch=x.batch, op="mean", axes=axes, keepdims=True)
    )


def global_max_pool(g: Builder, x: Operand) -> Node:
    """GlobalMaxPool: one window that covers all spatial axes."""
    return max_pool(g, x, kernel_shape=g.node(x).shape[2:])


LOWERINGS: dict[str, Lowering] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
}
