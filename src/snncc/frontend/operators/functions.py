# SPDX-License-Identifier: Apache-2.0
"""Lowering of elementwise functions, comparisons and logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, Operand
from snncc.frontend.operators.elementwise import clip, is_float, leaky, relu, same
from snncc.ir.network import Array
from snncc.ir.nodes import Clip, Node

#: Operators without attributes, and the functions that they are.
PLAIN = {
    "Acos": "arc_cosine",
    "Acosh": "area_cosine",
    "And": "logical_and",
    "Asin": "arc_sine",
    "Asinh": "area_sine",
    "Atan": "arc_tangent",
    "Atanh": "area_tangent",
    "BitwiseNot": "bitwise_not",
    "Ceil": "ceiling",
    "Cos": "cosine",
    "Cosh": "hyperbolic_cosine",
    "Equal": "equal",
    "Erf": "erf",
    "Floor": "floor",
    "Greater": "greater",
    "GreaterOrEqual": "greater_or_equal",
    "IsNaN": "is_nan",
    "Less": "less",
    "LessOrEqual": "less_or_equal",
    "Log": "log",
    "Mish": "mish",
    "Not": "logical_not",
    "Or": "logical_or",
    "Reciprocal": "reciprocal",
    "Round": "round_half_even",
    "Sign": "sign",
    "Sin": "sine",
    "Sinh": "hyperbolic_sine",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "square_root",
    "Tan": "tangent",
    "Where": "select",
    "Xor": "logical_xor",
}


def plain(op: str) -> Callable[..., Node]:
    """The lowering of an operator without attributes."""

    def lowering(g: Builder, *operands: Operand) -> Node:
        return g.elementwise(op, *operands)

    lowering.__doc__ = op
    return lowering


def abs_(g: Builder, x: Operand) -> Node:
    """Abs: for floats the piecewise linear function with slope -1 below zero."""
    return leaky(g, x, np.full((), -1, np.float32)) if is_float(x) else g.elementwise("absolute", x)


def gelu(g: Builder, x: Operand, *, approximate: str = "none") -> Node:
    """Gelu."""
    return g.elementwise("gelu", x, approximate=approximate)


def hard_sigmoid(g: Builder, x: Operand, *, alpha: float = 0.2, beta: float = 0.5) -> Node:
    """HardSigmoid: min(max(alpha x + beta, 0), 1)."""
    final, g.out = g.out, g.fresh("line")
    line = g.affine(g.node(x), np.full((), alpha, np.float32), np.full((), beta, np.float32))
    g.out = final
    return g.unary(Clip, line, shape=line.shape, low=0.0, high=1.0)


def hard_swish(g: Builder, x: Operand) -> Node:
    """HardSwish: x HardSigmoid(x) with alpha = 1/6 and beta = 1/2."""
    final, g.out = g.out, g.fresh("gate")
    gate = hard_sigmoid(g, x, alpha=1 / 6, beta=0.5)
    g.out = final
    return g.elementwise("multiply", x, gate)


def elu(g: Builder, x: Operand, *, alpha: float = 1.0) -> Node:
    """Elu."""
    return g.elementwise("elu", x, alpha=alpha)


def selu(g: Builder, x: Operand, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813) -> Node:
    """Selu."""
    return g.elementwise("selu", x, alpha=alpha, gamma=gamma)


def celu(g: Builder, x: Operand, *, alpha: float = 1.0) -> Node:
    """Celu."""
    return g.elementwise("celu", x, alpha=alpha)


def swish(g: Builder, x: Operand, *, alpha: float = 1.0) -> Node:
    """Swish."""
    return g.elementwise("swish", x, alpha=alpha)


def thresholded_relu(g: Builder, x: Operand, *, alpha: float = 1.0) -> Node:
    """ThresholdedRelu: a Relu where the threshold is 0."""
    return relu(g, x) if alpha == 0 else g.elementwise("thresholded_relu", x, alpha=alpha)


def shrink(g: Builder, x: Operand, *, bias: float = 0.0, lambd: float = 0.5) -> Node:
    """Shrink."""
    return g.elementwise("shrink", x, bias=bias, threshold=lambd)


def pow_(g: Builder, x: Operand, y: Operand) -> Node:
    """Pow; with one constant exponent it is a function of x alone, whose domain is known."""
    base = g.node(x)
    if not (isinstance(y, np.ndarray) and y.size == 1 and base.dtype == "float32" and base.shape == g.shape):
        return g.elementwise("power", base, y)
    exponent = float(y.reshape(-1)[0])
    if exponent == 1:
        return same(g, base)
    if exponent < 0:
        final, g.out = g.out, g.fresh("power")
        positive = pow_(g, base, np.asarray(-exponent))
        return g.operator("reciprocal", positive, batch=positive.batch, name=final)
    if exponent == 0.5:
        return g.elementwise("square_root", base)
    if exponent == int(exponent):
        return g.elementwise("integer_power", base, exponent=int(exponent))
    return g.elementwise("positive_power", base, exponent=exponent)


def mod(g: Builder, a: Operand, b: Operand, *, fmod: int = 0) -> Node:
    """Mod."""
    return g.elementwise("modulo", a, b, truncate=bool(fmod))


def is_number(x: Operand) -> TypeGuard[Array]:
    """Whether an operand is one constant float."""
    return isinstance(x, np.ndarray) and x.size == 1 and is_float(x)


def extreme(g: Builder, operands: tuple[Operand, ...], largest: bool) -> Node:
    """The largest or smallest of several values; against one constant number it is a Relu or a Clip."""
    values = [x for x in operands if isinstance(x, Node)]
    numbers = [x for x in operands if is_number(x)]
    if len(values) != 1 or len(values) + len(numbers) < len(operands) or values[0].shape != g.shape:
        return g.elementwise("maximum" if largest else "minimum", *operands)
    if not numbers:
        return same(g, values[0])
    bound = float((np.max if largest else np.min)([x.reshape(-1)[0] for x in numbers]))
    return clip(g, values[0], min=bound if largest else None, max=None if largest else bound)


def max_(g: Builder, *operands: Operand) -> Node:
    """Max of any number of values."""
    return extreme(g, operands, True)


def min_(g: Builder, *operands: Operand) -> Node:
    """Min of any number of values."""
    return extreme(g, operands, False)


def is_inf(g: Builder, x: Operand, *, detect_negative: int = 1, detect_positive: int = 1) -> Node:
    """IsInf."""
    return g.elementwise("is_infinite", x, negative=bool(detect_negative), positive=bool(detect_positive))


def bit_shift(g: Builder, x: Operand, y: Operand, *, direction: str) -> Node:
    """BitShift."""
    return g.elementwise("bitwise", x, y, kind=direction.lower())


def bitwise(kind: str) -> Callable[..., Node]:
    """The lowering of BitwiseAnd, BitwiseOr or BitwiseXor."""

    def lowering(g: Builder, x: Operand, y: Operand) -> Node:
        return g.elementwise("bitwise", x, y, kind=kind)

    lowering.__doc__ = kind
    return lowering


LOWERINGS: dict[str, Lowering] = {
    **{name: plain(op) for name, op in PLAIN.items()},
    "Abs": abs_,
    "BitShift": bit_shift,
    "BitwiseAnd": bitwise("and"),
    "BitwiseOr": bitwise("or"),
    "BitwiseXor": bitwise("xor"),
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "IsInf": is_inf,
    "Max": max_,
    "Min": min_,
    "Mod": mod,
    "Pow": pow_,
    "Selu": selu,
    "Shrink": shrink,
    "Swish": swish,
    "ThresholdedRelu": thresholded_relu,
}
