# SPDX-License-Identifier: Apache-2.0
"""Lowering of weighted operators, normalisation with running statistics and pools.

Each function's keyword arguments are the attributes of the ONNX operator: one that nobody thought of is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported, broadcast_shape
from snncc.ir.network import Array
from snncc.ir.nodes import BatchNorm, Conv, ConvTranspose, Linear, Node

Ints = Sequence[int]


def constant(operand: Operand, what: str) -> Array:
    """An operand that must be known at conversion."""
    if not isinstance(operand, np.ndarray):
        raise Unsupported(f"{what} is computed at run time", cure=f"export with a constant {what}")
    return operand


def spatial_first(x: Node) -> None:
    """Windows slide over axes 2 and up, so the samples must lie on axis 0."""
    if x.batch not in (None, 0):
        raise MixesSamples("the samples lie on an axis that it treats as channels or space")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The attributes that operators with windows share; None is one step, no gap and no padding."""

    auto_pad: str = "NOTSET"
    dilations: Ints | None = None
    pads: Ints | None = None
    strides: Ints | None = None

    def over(self, x: Node, kernel: Ints) -> dict[str, tuple[int, ...]]:
        """The fields of a node whose windows slide over x; padding begin..., end... from `pads` or `auto_pad`."""
        n = len(kernel)
        stride, dilation = tuple(self.strides or [1] * n), tuple(self.dilations or [1] * n)
        if self.auto_pad in ("NOTSET", "", None):
            padding = tuple(self.pads or [0] * (2 * n))
        elif self.auto_pad == "VALID":
            padding = (0,) * (2 * n)
        else:
            sizes = zip(x.shape[2:], kernel, stride, dilation, strict=True)
            totals = [max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size) for size, k, s, d in sizes]
            padding = both_sides(totals, self.auto_pad != "SAME_LOWER")
        return {"stride": stride, "dilation": dilation, "padding": padding}


def both_sides(totals: Ints, more_at_end: bool) -> tuple[int, ...]:
    """Padding begin..., end... of these sums; of an odd one the larger half lies at the end or the beginning."""
    begin = [total // 2 if more_at_end else total - total // 2 for total in totals]
    return (*begin, *(total - b for total, b in zip(totals, begin, strict=True)))


def one_to_three(n: int) -> None:
    """Raise Unsupported for windows that do not slide over 1 to 3 axes."""
    if n not in (1, 2, 3):
        raise Unsupported(f"{n} spatial axes", cure="use 1 to 3")


def weighted(g: Builder, kind: type[Node], x: Node, weight: Array, bias: Operand, **fields: Any) -> Node:
    """A node with a constant weight and, where there is one, a constant bias."""
    arrays = {"weight": g.array("weight", weight)}
    if bias is not None:
        arrays["bias"] = g.array("bias", constant(bias, "bias"))
    return g.unary(kind, x, **arrays, **fields)


def conv(
    g: Builder,
    x: Operand,
    w: Operand,
    b: Operand = None,
    *,
    group: int = 1,
    kernel_shape: Ints | None = None,
    **window: Any,
) -> Node:
    """Conv with constant weights, 1 to 3 spatial axes."""
    x, weight = g.node(x), constant(w, "weight")
    spatial_first(x)
    one_to_three(weight.ndim - 2)
    if x.shape[1] != weight.shape[1] * group:
        reason = f"{x.shape[1]} channels come in, the weight takes {weight.shape[1] * group}"
        raise Unsupported(reason, cure="check --shape, or export the model again")
    return weighted(g, Conv, x, weight, b, groups=group, **Window(**window).over(x, weight.shape[2:]))


def conv_transpose(
    g: Builder,
    x: Operand,
    w: Operand,
    b: Operand = None,
    *,
    auto_pad: str = "NOTSET",
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    **window: Any,
) -> Node:
    """ConvTranspose with constant weights; `output_shape` and `auto_pad` are turned into padding."""
    x, weight = g.node(x), constant(w, "weight")
    spatial_first(x)
    n = weight.ndim - 2
    one_to_three(n)
    fields = Window(**window).over(x, weight.shape[2:])
    extra = tuple(output_padding or [0] * n)
    steps = list(zip(x.shape[2:], weight.shape[2:], fields["stride"], fields["dilation"], strict=True))
    sizes = list(output_shape)[-n:] if output_shape else [s * size for size, _, s, _ in steps]
    if output_shape or "SAME" in auto_pad:
        whole = [s * (size - 1) + e + (k - 1) * d + 1 for (size, k, s, d), e in zip(steps, extra, strict=True)]
        missing = [wanted - full for wanted, full in zip(sizes, whole, strict=True)]
        if output_shape:  # `auto_pad` never extends: a kernel smaller than the stride gives a smaller result
            extra = tuple(e + max(0, m) for e, m in zip(extra, missing, strict=True))
        fields["padding"] = both_sides([max(0, -m) for m in missing], auto_pad == "SAME_UPPER")
    return weighted(g, ConvTranspose, x, weight, b, groups=group, output_padding=extra, **fields)


def dense(g: Builder, x: Node, weight: Array, bias: Array | None, axis: int) -> Node:
    """A linear map along one axis that computes the ONNX value being lowered; weight: (out, in)."""
    if x.batch == axis:
        raise MixesSamples("it sums over the samples' axis")
    shape = tuple(weight.shape[0] if i == axis else d for i, d in enumerate(x.shape))
    return weighted(g, Linear, x, weight, bias, axis=axis, shape=shape)


def turned(g: Builder, x: Node, turn: int) -> Node:
    """A matrix, transposed if it says so."""
    return g.transpose(x, (1, 0), name=g.fresh("transposed")) if turn else x


def gemm(
    g: Builder,
    a: Operand,
    b: Operand,
    c: Operand = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Node:
    """alpha A B + beta C; with constant B and a bias along the last axis it is one `Linear`."""
    final, shape = g.out, g.shape
    x = turned(g, g.node(a), transA)
    added = None if beta == 0 else c * np.float32(beta) if isinstance(c, np.ndarray) else c
    if isinstance(b, np.ndarray):
        weight, bias = np.float32(alpha) * (b if transB else b.T), None
        if isinstance(added, np.ndarray) and (added.ndim == 0 or added.shape[-1] == added.size):
            bias, added = np.broadcast_to(added.reshape(-1), weight.shape[:1]), None
        g.out = final if added is None else g.fresh("product")
        y = dense(g, x, weight, bias, 1)
    else:
        right = turned(g, g.node(b), transB)
        name = final if added is None and alpha == 1 else g.fresh("product")
        y = matrix_product(g, x, right, name=name, shape=shape)
        if alpha != 1:
            g.out = final if added is None else g.fresh("scaled")
            y = g.affine(y, np.float32(alpha) * np.ones((), np.float32), None)
    g.out = final
    if added is None:
        return y
    return g.sum([y, added], (1.0, beta)) if isinstance(added, Node) else g.affine(y, None, added)


def matrix_product(g: Builder, a: Node, b: Node, *, name: str, shape: Sequence[int]) -> Node:
    """The product of two values over their last two axes."""
    rank = len(shape)
    if a.batch == len(a.shape) - 1 or b.batch == len(b.shape) - 2:
        raise MixesSamples("it sums over the samples' axis")
    batch, extent = g.samples_axis((a, b), rank) or (None, 0)
    if batch is not None and batch < rank - 2:
        if broadcast_shape(a.shape[:-2], b.shape[:-2])[batch] != extent:
            raise MixesSamples("its operands carry the samples on different axes")
        a, b = g.spread(a, batch, rank), g.spread(b, batch, rank)
    return g.operator("matmul", a, b, batch=batch, shape=shape, name=name)


def matmul(g: Builder, a: Operand, b: Operand) -> Node:
    """MatMul: `Linear` with a constant matrix, else a product; vectors get an axis of extent 1 for the while."""
    if isinstance(b, np.ndarray) and isinstance(a, Node) and b.ndim == 2:
        return dense(g, a, b.T, None, len(a.shape) - 1)
    if isinstance(a, np.ndarray) and isinstance(b, Node) and a.ndim == 2 and len(b.shape) >= 2:
        return dense(g, b, a, None, len(b.shape) - 2)
    x, y, shape = g.node(a), g.node(b), g.shape
    if len(x.shape) > 1 and len(y.shape) > 1:
        return matrix_product(g, x, y, name=g.out, shape=shape)
    if len(x.shape) == 1:
        x = g.reshape(x, (1, *x.shape), name=g.fresh("row"), batch=None if x.batch is None else 1)
    if len(y.shape) == 1:
        y = g.reshape(y, (*y.shape, 1), name=g.fresh("column"), batch=y.batch)
    full = [*broadcast_shape(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]]
    return g.reshape(matrix_product(g, x, y, name=g.fresh("product"), shape=full), shape)


def batch_normalization(
    g: Builder,
    x: Operand,
    scale: Operand,
    bias: Operand,
    mean: Operand,
    var: Operand,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    spatial: int = 1,
    is_test: int = 1,
) -> Node:
    """BatchNormalization with running statistics."""
    if training_mode:
        raise Unsupported(
            "training_mode=1 normalises with the statistics of the batch", cure="call model.eval() before exporting"
        )
    if not spatial:
        raise Unsupported("spatial=0 normalises each position on its own", cure="export with a newer opset")
    x = g.node(x)
    spatial_first(x)
    given = {"gamma": scale, "beta": bias, "mean": mean, "variance": var}
    statistics = {n: constant(a, "statistics") for n, a in given.items()}
    return g.unary(BatchNorm, x, epsilon=epsilon, **{n: g.array(n, a) for n, a in statistics.items()})


LOWERINGS: dict[str, Lowering] = {
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
}
