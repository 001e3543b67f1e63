# SPDX-License-Identifier: Apache-2.0
"""Softmax, normalisations and reductions as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snncc.functions.onnx.elementwise import Emitter
from snncc.functions.onnx.graph import Graph
from snncc.neurons.node import Node


def reduction(operator: str) -> Emitter:
    """A reduction over axes; over none, each entry on its own."""

    def write(g: Graph, node: Node, x: str, *, axes: Sequence[int], keepdims: bool) -> str:
        if not axes:
            return g.op(operator, g.op("Unsqueeze", x, g.shape([-1])), g.shape([-1]), keepdims=0)
        return g.op(operator, x, g.shape(axes), keepdims=int(keepdims))

    return write


def exponentials(g: Graph, x: str, axes: Sequence[int]) -> tuple[str, str, str]:
    """x - max x, exp of that, and the sum of that over `axes`."""
    less = g.op("Sub", x, g.op("ReduceMax", x, g.shape(axes), keepdims=1))
    e = g.op("Exp", less)
    return less, e, g.op("ReduceSum", e, g.shape(axes), keepdims=1)


def softmax(g: Graph, node: Node, x: str, *, axes: Sequence[int]) -> str:
    """exp(x) / sum exp(x), the sum over `axes`."""
    _, e, total = exponentials(g, x, axes)
    return g.op("Div", e, total)


def log_softmax(g: Graph, node: Node, x: str, *, axes: Sequence[int]) -> str:
    """x - log sum exp(x), the sum over `axes`."""
    less, _, total = exponentials(g, x, axes)
    return g.op("Sub", less, g.op("Log", total))


def masked_softmax(g: Graph, node: Node, x: str, bias: str) -> str:
    """exp(x + b) / sum exp(x + b) over the last axis; 0 where b is -inf for all of it."""
    least = float(np.finfo(g.float_type).min)
    scores = g.op("Max", g.op("Add", x, bias), least)  # where all is hidden, no difference of infinities
    _, e, _ = exponentials(g, scores, [-1])
    e = g.where(g.op("Equal", bias, -math.inf, kind=bool), 0.0, e)
    total = g.op("ReduceSum", e, g.shape([-1]), keepdims=1)
    return g.op("Div", e, g.where(g.op("Greater", total, 0.0, kind=bool), total, 1.0))


def variance(g: Graph, x: str, axes: Sequence[int]) -> tuple[str, str]:
    """x - mean, and the variance over `axes`."""
    centred = g.op("Sub", x, g.op("ReduceMean", x, g.shape(axes), keepdims=1))
    return centred, g.op("ReduceMean", g.op("Mul", centred, centred), g.shape(axes), keepdims=1)


def standardize(g: Graph, node: Node, x: str, *, axes: Sequence[int], epsilon: float, outside: float = 0.0) -> str:
    """(x - mean) / (sqrt(variance + epsilon) + outside) over `axes`."""
    centred, spread = variance(g, x, axes)
    deviation = g.op("Sqrt", g.op("Add", spread, epsilon))
    return g.op("Div", centred, g.op("Add", deviation, outside) if outside else deviation)


def inverse_deviation(g: Graph, node: Node, x: str, *, axes: Sequence[int], epsilon: float) -> str:
    """1 / sqrt(variance + epsilon) over `axes`."""
    return g.op("Reciprocal", g.op("Sqrt", g.op("Add", variance(g, x, axes)[1], epsilon)))


def divide_by_root_mean_square(g: Graph, node: Node, x: str, *, axes: Sequence[int], epsilon: float) -> str:
    """x / sqrt(mean(x^2) + epsilon) over `axes`."""
    power = g.op("ReduceMean", g.op("Mul", x, x), g.shape(axes), keepdims=1)
    return g.op("Div", x, g.op("Sqrt", g.op("Add", power, epsilon)))


def local_response(g: Graph, node: Node, x: str, *, size: int, alpha: float, beta: float, bias: float) -> str:
    """x / (bias + alpha / size s)^beta, s the sum of squares over neighbouring channels."""
    return g.op("LRN", x, size=size, alpha=alpha, beta=beta, bias=bias)


def reduce_norm(g: Graph, node: Node, x: str, *, axes: Sequence[int], keepdims: bool, p: int) -> str:
    """(sum |x|^p)^(1/p) over `axes`."""
    if p in (1, 2):
        return reduction(f"ReduceL{p}")(g, node, x, axes=axes, keepdims=keepdims)
    power = g.op("Pow", g.op("Abs", x), float(p))
    return g.op("Pow", reduction("ReduceSum")(g, node, power, axes=axes, keepdims=keepdims), 1 / p)


def hardmax(g: Graph, node: Node, x: str, *, axes: Sequence[int]) -> str:
    """1 at the first largest entry over `axes` (neighbours of one another), 0 elsewhere."""
    shape = [-1 if i == node.batch else extent for i, extent in enumerate(node.shape)]
    width = math.prod(shape[axes[0] : axes[-1] + 1])
    flat = g.op("Reshape", x, g.shape([*shape[: axes[0]], width, *shape[axes[-1] + 1 :]]))
    return g.op("Reshape", g.op("Hardmax", flat, axis=axes[0]), g.shape(shape))


def cumulative_product(g: Graph, node: Node, x: str, *, axis: int, exclusive: bool, reverse: bool) -> str:
    """Running products along `axis`, one entry after the other."""
    entries = g.several("Split", [x], (None,) * node.shape[axis], axis=axis, num_outputs=node.shape[axis])
    order = entries[::-1] if reverse else entries
    ones = g.op("Expand", g.constant(np.ones(1, g.kind(x))), g.op("Shape", order[0], kind=np.int64))
    running = [ones] if exclusive else [order[0]]
    for entry in order[:-1] if exclusive else order[1:]:
        running.append(g.op("Mul", running[-1], entry))
    return g.op("Concat", *(running[::-1] if reverse else running), axis=axis)
