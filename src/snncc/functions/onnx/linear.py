# SPDX-License-Identifier: Apache-2.0
"""Linear nodes and pools as ONNX nodes. Names and options as in `functions.numpy.linear`, which defines them.

Each function takes the graph, the IR node, its inputs by name and its arrays; `offset` is the value that multiplies
the constants that it adds, None for 1. Windows are cut from an input that was padded before: what ONNX leaves to the
runtime (windows that hang over the end, what an average counts) is then settled here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.functions.numpy import linear as numpy_linear
from snncc.functions.numpy.linear import along
from snncc.functions.onnx.graph import Graph
from snncc.neurons.node import Node

Array: TypeAlias = npt.NDArray[Any]


def shifted(g: Graph, x: str, shift: Array | None, offset: str | None) -> str:
    """x + shift offset."""
    if shift is None or not np.any(shift):
        return x
    return g.op("Add", x, g.constant(shift) if offset is None else g.op("Mul", shift, offset))


def convolution(
    g: Graph,
    node: Node,
    x: str,
    weight: Array,
    bias: Array | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset: str | None,
) -> str:
    """weight * x + bias offset."""
    fused = bias if offset is None else None
    options = {"strides": stride, "pads": padding, "dilations": dilation, "group": groups}
    y = g.op("Conv", x, weight, fused, kernel_shape=weight.shape[2:], **options)
    return y if bias is None or fused is not None else shifted(g, y, along(bias, len(node.shape), 1), offset)


def transposed_convolution(
    g: Graph,
    node: Node,
    x: str,
    weight: Array,
    bias: Array | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    output_padding: Sequence[int],
    offset: str | None,
) -> str:
    """The adjoint of a convolution, plus bias offset."""
    options = {"strides": stride, "pads": padding, "dilations": dilation, "group": groups}
    kernel = weight.shape[2:]
    y = g.op("ConvTranspose", x, weight, kernel_shape=kernel, output_padding=output_padding, **options)
    return y if bias is None else shifted(g, y, along(bias, len(node.shape), 1), offset)


def linear(g: Graph, node: Node, x: str, weight: Array, bias: Array | None, *, axis: int, offset: str | None) -> str:
    """weight x + bias offset along `axis`."""
    rank = len(node.shape)
    last = axis == rank - 1
    order = [*[i for i in range(rank) if i != axis], axis]
    y = g.op("MatMul", x if last else g.op("Transpose", x, perm=order), np.ascontiguousarray(weight.T))
    y = y if last else g.op("Transpose", y, perm=[order.index(i) for i in range(rank)])
    return y if bias is None else shifted(g, y, along(bias, rank, axis), offset)


def batch_norm(
    g: Graph,
    node: Node,
    x: str,
    gamma: Array,
    beta: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float,
    offset: str | None,
) -> str:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta offset, per channel."""
    scale = gamma / np.sqrt(variance + np.asarray(epsilon, variance.dtype))
    y = g.op("Mul", x, along(scale, len(node.shape), 1))
    return shifted(g, y, along(beta - mean * scale, len(node.shape), 1), offset)


def affine(g: Graph, node: Node, x: str, scale: Array | None, shift: Array | None, *, offset: str | None) -> str:
    """scale x + shift offset."""
    return shifted(g, x if scale is None else g.op("Mul", x, scale), shift, offset)


def weighted_sum(g: Graph, node: Node, *inputs: str, coefficients: Sequence[float]) -> str:
    """sum_i coefficients[i] inputs[i]."""
    total = None
    for x, c in zip(g.common(*inputs), coefficients, strict=True):
        term = x if c == 1 else g.op("Neg", x) if c == -1 else g.op("Mul", x, g.constant(c, g.kind(x)))
        total = term if total is None else g.op("Add", total, term)
    return str(total)


def pad(
    g: Graph, node: Node, x: str, *, padding: Sequence[int], mode: str, value: float, offset: str | None = None
) -> str:
    """Padding of every axis; negative amounts crop."""
    fill: Any = None
    if value:
        fill = g.constant(value, g.kind(x))
        fill = fill if offset is None else g.op("Mul", fill, offset)
    if mode == "wrap" or min(padding) >= 0:
        return g.op("Pad", x, g.shape(padding), fill, mode=mode)
    x = g.op("Pad", x, g.shape(min(0, p) for p in padding))
    return g.op("Pad", x, g.shape(max(0, p) for p in padding), fill, mode=mode)


def padded(
    g: Graph,
    node: Node,
    x: str,
    fill: float,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> str:
    """x with every window of the node inside."""
    n, rank = len(kernel), len(node.shape)
    size = [extent * s for extent, s in zip(node.shape[-n:], stride, strict=True)]
    need = [size[i] - stride[i] + (kernel[i] - 1) * dilation[i] + 1 for i in range(n)]
    extents = input_extents(g, node)[-n:]
    ends = [need[i] - padding[i] - extents[i] for i in range(n)]
    ends = [end if end > 0 or -end >= s else 0 for end, s in zip(ends, stride, strict=True)]  # what no window reaches
    amounts = [0] * (rank - n) + list(padding[:n]) + [0] * (rank - n) + ends
    return pad(g, node, x, padding=amounts, mode="constant", value=fill) if any(amounts) else x


def input_extents(g: Graph, node: Node) -> tuple[int, ...]:
    """The shape of a node's first input for one sample."""
    return g.shared.shapes[node.inputs[0]]


def max_pool(g: Graph, node: Node, x: str, *, kernel: Sequence[int], ceil_mode: bool, **window: Sequence[int]) -> str:
    """Maximum over each window; padding never wins."""
    y = padded(g, node, x, -math.inf, kernel=kernel, **window)
    return g.op("MaxPool", y, kernel_shape=kernel, strides=window["stride"], dilations=window["dilation"])


def average_pool(
    g: Graph,
    node: Node,
    x: str,
    *,
    kernel: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    **window: Sequence[int],
) -> str:
    """Mean over each window, of its real entries or (count_include_pad) of real and padded ones."""
    y = padded(g, node, x, 0.0, kernel=kernel, **window)
    options = {"kernel_shape": kernel, "strides": window["stride"], "dilations": window["dilation"]}
    y = g.op("AveragePool", y, **options)
    inside = np.ones((1, 1, *input_extents(g, node)[-len(kernel) :]))
    counts: dict[str, Any] = {
        "kernel": kernel,
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
        **window,
    }
    # The runtime divides by the whole window: what the mean of ones is then, and what it ought to be.
    whole = numpy_linear.windows(inside, 0.0, kernel=kernel, ceil_mode=ceil_mode, **window)
    found = whole.sum(axis=tuple(range(-len(kernel), 0))) / math.prod(kernel)
    wanted: Any = numpy_linear.average_pool(inside, **counts)
    factor = np.divide(wanted, found, out=np.ones_like(found), where=found > 0)
    return y if np.all(factor == 1) else g.op("Mul", y, factor)


def reduce_mean(g: Graph, node: Node, x: str, *, axes: Sequence[int], keepdims: bool) -> str:
    """Mean over axes."""
    return g.op("ReduceMean", x, g.shape(axes), keepdims=int(keepdims)) if axes else x


def reduce_sum(g: Graph, node: Node, x: str, *, axes: Sequence[int], keepdims: bool) -> str:
    """Sum over axes."""
    return g.op("ReduceSum", x, g.shape(axes), keepdims=int(keepdims)) if axes else x


def concatenate(g: Graph, node: Node, *inputs: str, axis: int) -> str:
    """Inputs joined along an axis."""
    return g.op("Concat", *g.common(*inputs), axis=axis)


def take_slice(g: Graph, node: Node, x: str, *, axis: int, start: int, step: int, size: int) -> str:
    """`size` entries x[start::step] along an axis."""
    end = start + step * size
    end = end if end >= 0 else -(1 << 62)  # below zero would count from the end
    return g.op("Slice", x, *[g.shape([i]) for i in (start, end, axis, step)])


def reshape(g: Graph, node: Node, x: str, *, shape: Sequence[int]) -> str:
    """The same entries in another shape."""
    return g.op("Reshape", x, g.shape(shape), allowzero=1)


def transpose(g: Graph, node: Node, x: str, *, permutation: Sequence[int]) -> str:
    """Axes permuted."""
    return g.op("Transpose", x, perm=permutation)


def expand(g: Graph, node: Node, x: str, *, shape: Sequence[int]) -> str:
    """Broadcast to a shape; -1 keeps an axis."""
    return g.op("Expand", x, g.shape(1 if extent == -1 else extent for extent in shape))


def lp_pool(
    g: Graph, node: Node, x: str, *, p: int, kernel: Sequence[int], ceil_mode: bool, **window: Sequence[int]
) -> str:
    """(sum |x|^p)^(1/p) over each window."""
    y = padded(g, node, x, 0.0, kernel=kernel, **window)
    return g.op("LpPool", y, p=p, kernel_shape=kernel, strides=window["stride"], dilations=window["dilation"])
