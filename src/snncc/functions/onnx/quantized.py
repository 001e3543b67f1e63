# SPDX-License-Identifier: Apache-2.0
"""Quantisation as ONNX nodes; codes are floats."""

from __future__ import annotations

from snncc.functions.onnx.graph import Graph
from snncc.neurons.node import Node


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
