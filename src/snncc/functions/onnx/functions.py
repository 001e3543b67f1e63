# SPDX-License-Identifier: Apache-2.0
"""The functions that `Operator` nodes name, as ONNX nodes. Names and options as in `execute.numpy_*`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from snncc.functions.onnx.graph import Graph
from snncc.functions.onnx.linear import padded
from snncc.neurons.node import Node

Emitter = Callable[..., str]


def simple(operator: str) -> Emitter:
    """A function that is one ONNX operator of one input, without options."""
    return lambda g, node, x: g.op(operator, x)


def binary(operator: str) -> Emitter:
    """An operator of two inputs of one type."""
    return lambda g, node, a, b: g.op(operator, *g.common(a, b))


def comparison(operator: str) -> Emitter:
    """An operator of two inputs of one type whose result is a truth value."""
    return lambda g, node, a, b: g.op(operator, *g.common(a, b), kind=bool)


def truth(g: Graph, x: str) -> str:
    """A truth value; one that was transmitted as a rate is close to 0 or 1."""
    return g.op("Greater", x, 0.5, kind=bool) if g.is_float(x) else g.cast(x, bool)


def logical(operator: str) -> Emitter:
    """An operator on truth values."""
    return lambda g, node, *inputs: g.op(operator, *[truth(g, x) for x in inputs], kind=bool)


def reduction(operator: str) -> Emitter:
    """A reduction over axes; over none, each entry on its own."""

    def write(g: Graph, node: Node, x: str, *, axes: Sequence[int], keepdims: bool) -> str:
        if not axes:
            return g.op(operator, g.op("Unsqueeze", x, g.shape([-1])), g.shape([-1]), keepdims=0)
        return g.op(operator, x, g.shape(axes), keepdims=int(keepdims))

    return write


def widened(operator: str) -> Emitter:
    """An operator on several values of one type, for which runtimes have no kernels in narrow integers."""

    def write(g: Graph, node: Node, *inputs: str) -> str:
        same = g.common(*inputs)
        kind = g.kind(same[0])
        if kind.itemsize >= 4:
            return g.op(operator, *same)
        return g.cast(g.op(operator, *[g.cast(x, np.int64) for x in same]), kind)

    return write


def select(g: Graph, node: Node, condition: str, a: str, b: str) -> str:
    """a where the condition holds, b elsewhere."""
    a, b = g.common(a, b)
    kind = g.kind(a)
    wide = kind if kind == g.float_type else np.dtype(np.int64)
    return g.cast(g.where(truth(g, condition), g.cast(a, wide), g.cast(b, wide)), kind)


def remainder(g: Graph, a: str, b: str, *, truncate: bool) -> str:
    """The remainder with the sign of b, or (`truncate`) with the sign of a."""
    if truncate or not g.is_float(a):
        return g.op("Mod", a, b, fmod=int(truncate))
    rest = g.op("Mod", a, b, fmod=1)
    opposed = g.op("Less", g.op("Mul", g.op("Sign", rest), g.op("Sign", b)), 0.0, kind=bool)
    return g.where(opposed, g.op("Add", rest, b), rest)


def gelu(g: Graph, node: Node, x: str, *, approximate: str) -> str:
    """x Phi(x); with "tanh" x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    half = g.op("Mul", x, 0.5)
    if approximate != "tanh":
        return g.op("Mul", half, g.op("Add", g.op("Erf", g.op("Mul", x, math.sqrt(0.5))), 1.0))
    cube = g.op("Mul", g.op("Mul", x, x), g.op("Mul", x, 0.044715))
    inner = g.op("Mul", g.op("Add", x, cube), math.sqrt(2 / math.pi))
    return g.op("Mul", half, g.op("Add", g.op("Tanh", inner), 1.0))


def shrink(g: Graph, node: Node, x: str, *, bias: float, threshold: float) -> str:
    """x + bias for x < -threshold, x - bias for x > threshold, 0 elsewhere."""
    above = g.where(g.op("Greater", x, threshold, kind=bool), g.op("Sub", x, bias), 0.0, kind=g.kind(x))
    return g.where(g.op("Less", x, -threshold, kind=bool), g.op("Add", x, bias), above)


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


def arg_max(g: Graph, node: Node, x: str, *, axis: int, keepdims: bool, last: bool, largest: bool) -> str:
    """Index of the largest (or smallest) entry along `axis`."""
    operator = "ArgMax" if largest else "ArgMin"
    return g.op(operator, x, kind=np.int64, axis=axis, keepdims=int(keepdims), select_last_index=int(last))


def cast(g: Graph, node: Node, x: str, *, to: str) -> str:
    """x in another type."""
    return g.floating(x) if to == "float32" else g.cast(x, to)


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


def lp_pool(
    g: Graph, node: Node, x: str, *, p: int, kernel: Sequence[int], ceil_mode: bool, **window: Sequence[int]
) -> str:
    """(sum |x|^p)^(1/p) over each window."""
    y = padded(g, node, x, 0.0, kernel=kernel, **window)
    return g.op("LpPool", y, p=p, kernel_shape=kernel, strides=window["stride"], dilations=window["dilation"])


def quantize(g: Graph, node: Node, x: str, scale: str, zero: str, *, low: float, high: float) -> str:
    """clamp(round(x / scale) + zero, low, high)."""
    return g.op("Min", g.op("Max", g.op("Add", g.op("Round", g.op("Div", x, scale)), g.floating(zero)), low), high)


def fake_quantize(g: Graph, node: Node, x: str, scale: str, zero: str, *, low: float, high: float) -> str:
    """scale (q - zero) for the nearest code q."""
    code, zero = g.op("Round", g.op("Div", x, scale)), g.floating(zero)
    code = g.op("Min", g.op("Max", code, g.op("Sub", low, zero)), g.op("Sub", high, zero))
    return g.op("Mul", code, scale)


def dynamic_range(g: Graph, x: str) -> tuple[str, str]:
    """The smallest entry, or 0, and the step of 256 codes from it to the largest entry, or 0; 1 where x is 0."""
    low = g.op("Min", g.op("ReduceMin", x, keepdims=0), 0.0)
    step = g.op("Div", g.op("Sub", g.op("Max", g.op("ReduceMax", x, keepdims=0), 0.0), low), 255.0)
    return low, g.where(g.op("Greater", step, 0.0, kind=bool), step, 1.0)


def dynamic_scale(g: Graph, node: Node, x: str) -> str:
    """The step of 256 codes over the range of x and 0."""
    return dynamic_range(g, x)[1]


def dynamic_zero(g: Graph, node: Node, x: str) -> str:
    """The code of 0."""
    low, step = dynamic_range(g, x)
    return g.op("Min", g.op("Max", g.op("Round", g.op("Div", g.op("Neg", low), step)), 0.0), 255.0)
