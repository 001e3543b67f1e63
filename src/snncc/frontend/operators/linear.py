# SPDX-License-Identifier: Apache-2.0
"""Lowering of weighted operators, normalisation with running statistics and pools.

Each function's keyword arguments are the attributes of the ONNX operator: one that nobody thought of is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def window_padding(
    x: Node, auto_pad: str, pads: Ints | None, kernel: Ints, stride: Ints, dilation: Ints
) -> tuple[int, ...]:
    """Padding begin..., end... from `pads` or `auto_pad`."""
    n = len(kernel)
    if auto_pad in ("NOTSET", "", None):
        return tuple(pads or [0] * (2 * n))
    if auto_pad == "VALID":
        return (0,) * (2 * n)
    begin, end = [], []
    for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        small, large = total // 2, total - total // 2
        begin.append(large if auto_pad == "SAME_LOWER" else small)
        end.append(small if auto_pad == "SAME_LOWER" else large)
    return (*begin, *end)


def conv(
    g: Builder,
    x: Operand,
    w: Operand,
    b: Operand = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """Conv with constant weights, 1 to 3 spatial axes."""
    x, weight = g.node(x), constant(w, "weight")
    spatial_first(x)
    n = weight.ndim - 2
    if n not in (1, 2, 3):
        raise Unsupported(f"{n} spatial axes", cure="use 1 to 3")
    if x.shape[1] != weight.shape[1] * group:
        reason = f"{x.shape[1]} channels come in, the weight takes {weight.shape[1] * group}"
        raise Unsupported(reason, cure="check --shape, or export the model again")
    stride, dilation = tuple(strides or [1] * n), tuple(dilations or [1] * n)
    padding = window_padding(x, auto_pad, pads, weight.shape[2:], stride, dilation)
    return g.add(
        Conv(
            name=g.out,
            inputs=(x.name,),
            shape=g.shape,
            batch=x.batch,
            weight=g.array("weight", weight),
            bias=None if b is None else g.array("bias", constant(b, "bias")),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=group,
        )
    )


def conv_transpose(
    g: Builder,
    x: Operand,
    w: Operand,
    b: Operand = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """ConvTranspose with constant weights; `output_shape` and `auto_pad` are turned into padding."""
    x, weight = g.node(x), constant(w, "weight")
    spatial_first(x)
    n = weight.ndim - 2
    if n not in (1, 2, 3):
        raise Unsupported(f"{n} spatial axes", cure="use 1 to 3")
    stride, dilation = tuple(strides or [1] * n), tuple(dilations or [1] * n)
    extra = tuple(output_padding or [0] * n)
    padding = tuple(pads or [0] * (2 * n))
    sizes = output_shape or ([s * k for s, k in zip(x.shape[2:], stride, strict=True)] if "SAME" in auto_pad else None)
    if sizes is not None:
        begin, end = [], []
        for i, size in enumerate(list(sizes)[-n:]):
            full = stride[i] * (x.shape[2 + i] - 1) + extra[i] + (weight.shape[2 + i] - 1) * dilation[i] + 1
            total = max(0, full - size)
            if output_shape:  # `auto_pad` never extends: a kernel smaller than the stride gives a smaller result
                extra = tuple(e + max(0, size - full) if j == i else e for j, e in enumerate(extra))
            half = total // 2
            begin.append(half if auto_pad == "SAME_UPPER" else total - half)
            end.append(total - begin[-1])
        padding = (*begin, *end)
    return g.add(
        ConvTranspose(
            name=g.out,
            inputs=(x.name,),
            shape=g.shape,
            batch=x.batch,
            weight=g.array("weight", weight),
            bias=None if b is None else g.array("bias", constant(b, "bias")),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=group,
            output_padding=extra,
        )
    )


def dense(g: Builder, x: Node, weight: Array, bias: Array | None, axis: int) -> Node:
    """A linear map along one axis that computes the ONNX value being lowered; weight: (out, in)."""
    if x.batch == axis:
        raise MixesSamples("it sums over the samples' axis")
    shape = tuple(weight.shape[0] if i == axis else d for i, d in enumerate(x.shape))
    return g.add(
        Linear(
            name=g.out,
            inputs=(x.name,),
            shape=shape,
            batch=x.batch,
            weight=g.array("weight", weight),
            bias=None if bias is None else g.array("bias", bias),
            axis=axis,
        )
    )


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
    x = g.node(a)
    if transA:
        x = g.transpose(x, (1, 0), name=g.fresh("transposed"))
    scaled = None if c is None or beta == 0 else c if isinstance(c, Node) else c * np.float32(beta)
    vector = isinstance(scaled, np.ndarray) and (scaled.ndim == 0 or scaled.shape[-1] == scaled.size)
    if isinstance(b, np.ndarray):
        weight = np.float32(alpha) * (b if transB else b.T)
        bias = (
            np.broadcast_to(scaled.reshape(-1), weight.shape[:1]) if isinstance(scaled, np.ndarray) and vector else None
        )
        done = scaled is None or bias is not None
        g.out = final if done else g.fresh("product")
        product = dense(g, x, weight, bias, 1)
    else:
        right = g.node(b)
        if transB:
            right = g.transpose(right, (1, 0), name=g.fresh("transposed"))
        done = scaled is None and alpha == 1
        product = matrix_product(g, x, right, name=final if done else g.fresh("product"), shape=shape)
        if alpha != 1:
            done = scaled is None
            g.out = final if done else g.fresh("scaled")
            product = g.affine(product, np.float32(alpha) * np.ones((), np.float32), None)
    g.out = final
    if done:
        return product
    if isinstance(scaled, Node):
        return g.sum([product, scaled], (1.0, beta))
    if scaled is None:
        raise Unsupported("bias is absent", cure="check the file with onnx.checker")
    return g.affine(product, None, scaled)


def matrix_product(g: Builder, a: Node, b: Node, *, name: str, shape: Sequence[int]) -> Node:
    """The product of two values over their last two axes."""
    rank = len(shape)
    lead = broadcast_shape(a.shape[:-2], b.shape[:-2])
    axes = set()
    for x, contracted in ((a, len(a.shape) - 1), (b, len(b.shape) - 2)):
        if x.batch is None:
            continue
        if x.batch == contracted:
            raise MixesSamples("it sums over the samples' axis")
        axes.add((x.batch + rank - len(x.shape), x.shape[x.batch]))
    if len(axes) > 1 or any(axis < rank - 2 and lead[axis] != extent for axis, extent in axes):
        raise MixesSamples("its operands carry the samples on different axes")
    batch = next(iter(axes))[0] if axes else None
    operands = []
    for x in (a, b):
        own = None if batch is None else batch - (rank - len(x.shape))
        inside = own is not None and batch is not None and batch < rank - 2 and own >= 0
        operands.append(
            g.repeated(x, own) if inside and own is not None and x.batch is None and x.shape[own] > 1 else x
        )
    return g.operator("matmul", *operands, batch=batch, shape=shape, name=name)


def matmul(g: Builder, a: Operand, b: Operand) -> Node:
    """MatMul: `Linear` with a constant matrix, else a product; vectors get an axis of extent 1 for the while."""
    if isinstance(b, np.ndarray) and isinstance(a, Node) and b.ndim == 2:
        return dense(g, a, b.T, None, len(a.shape) - 1)
    if isinstance(a, np.ndarray) and isinstance(b, Node) and a.ndim == 2 and len(b.shape) >= 2:
        return dense(g, b, a, None, len(b.shape) - 2)
    x, y, final, shape = g.node(a), g.node(b), g.out, g.shape
    left, right = len(x.shape) == 1, len(y.shape) == 1
    if left:
        x = g.reshape(x, (1, *x.shape), name=g.fresh("row"), batch=None if x.batch is None else 1)
    if right:
        y = g.reshape(y, (*y.shape, 1), name=g.fresh("column"), batch=y.batch)
    if not (left or right):
        return matrix_product(g, x, y, name=final, shape=shape)
    full = list(shape[:-1] if left and right is False and len(shape) else shape)
    full = [*broadcast_shape(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]]
    product = matrix_product(g, x, y, name=g.fresh("product"), shape=full)
    return g.reshape(product, shape)


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
    arrays = [constant(a, "statistics") for a in (scale, bias, mean, var)]
    names = [g.array(n, a) for n, a in zip(("gamma", "beta", "mean", "variance"), arrays, strict=True)]
    return g.add(
        BatchNorm(
            name=g.out,
            inputs=(x.name,),
            shape=g.shape,
            batch=x.batch,
            gamma=names[0],
            beta=names[1],
            mean=names[2],
            variance=names[3],
            epsilon=epsilon,
        )
    )


LOWERINGS: dict[str, Lowering] = {
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
}
