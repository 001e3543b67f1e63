# SPDX-License-Identifier: Apache-2.0
"""Activations and other elementwise functions as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.functions.onnx.graph import Graph
from snncc.neurons.node import Node

Array: TypeAlias = npt.NDArray[Any]

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


def widened(operator: str) -> Emitter:
    """An operator on several values of one type, for which runtimes have no kernels in narrow integers."""

    def write(g: Graph, node: Node, *inputs: str) -> str:
        same = g.common(*inputs)
        kind = g.kind(same[0])
        if kind.itemsize >= 4:
            return g.op(operator, *same)
        return g.cast(g.op(operator, *[g.cast(x, np.int64) for x in same]), kind)

    return write


def relu(g: Graph, node: Node, x: str) -> str:
    """max(x, 0)."""
    return g.op("Relu", x)


def clip(g: Graph, node: Node, x: str, *, low: float | None, high: float | None) -> str:
    """min(max(x, low), high)."""
    y = x if low is None else g.op("Max", x, low)
    return y if high is None else g.op("Min", y, high)


def leaky_relu(g: Graph, node: Node, x: str, slope: Array) -> str:
    """x where x >= 0, slope x elsewhere."""
    return g.where(g.op("GreaterOrEqual", x, 0.0, kind=bool), x, g.op("Mul", x, slope))


def quantized_relu(
    g: Graph, node: Node, x: str, step: Array, offset: Array, amplitude: Array, *, levels: int | None
) -> str:
    """amplitude clip(floor((x + offset) / step), 0, levels)."""
    count = g.op("Floor", g.op("Div", g.op("Add", x, offset), step))
    return g.op("Mul", clip(g, node, count, low=0.0, high=levels), amplitude)


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


def select(g: Graph, node: Node, condition: str, a: str, b: str) -> str:
    """a where the condition holds, b elsewhere."""
    a, b = g.common(a, b)
    kind = g.kind(a)
    wide = kind if kind == g.float_type else np.dtype(np.int64)
    return g.cast(g.where(truth(g, condition), g.cast(a, wide), g.cast(b, wide)), kind)


def cast(g: Graph, node: Node, x: str, *, to: str) -> str:
    """x in another type."""
    return g.floating(x) if to == "float32" else g.cast(x, to)


def remainder(g: Graph, a: str, b: str, *, truncate: bool) -> str:
    """The remainder with the sign of b, or (`truncate`) with the sign of a."""
    if truncate or not g.is_float(a):
        return g.op("Mod", a, b, fmod=int(truncate))
    rest = g.op("Mod", a, b, fmod=1)
    opposed = g.op("Less", g.op("Mul", g.op("Sign", rest), g.op("Sign", b)), 0.0, kind=bool)
    return g.where(opposed, g.op("Add", rest, b), rest)


def bitwise(g: Graph, node: Node, a: str, b: str, *, kind: str) -> str:
    """Of integers, bit by bit."""
    if kind in ("left", "right"):
        return g.op("BitShift", a, b, direction=kind.upper())
    return g.op({"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor"}[kind], a, b)
