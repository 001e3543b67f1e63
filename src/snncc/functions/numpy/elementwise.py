# SPDX-License-Identifier: Apache-2.0
"""Elementwise functions of `Operator` nodes in plain NumPy: their definition."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def truth(x: Array) -> Array:
    """A truth value; one that was transmitted as a rate is close to 0 or 1."""
    return np.asarray(x > 0.5 if np.issubdtype(x.dtype, np.floating) else x != 0)


def erf(x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x)).astype(x.dtype)


def gelu(x: Array, *, approximate: str) -> Array:
    """x Phi(x); with "tanh" x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    if approximate == "tanh":
        return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))))
    return np.asarray(x / 2 * (1 + erf(x / math.sqrt(2))))


def elu(x: Array, *, alpha: float) -> Array:
    """x for x > 0, alpha (exp(x) - 1) elsewhere."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu(x: Array, *, alpha: float, gamma: float) -> Array:
    """gamma x for x > 0, gamma alpha (exp(x) - 1) elsewhere."""
    return gamma * elu(x, alpha=alpha)


def celu(x: Array, *, alpha: float) -> Array:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    return np.asarray(np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)))


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return np.asarray(np.logaddexp(x, np.zeros((), x.dtype)))


def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    return np.asarray(x / (1 + np.abs(x)))


def mish(x: Array) -> Array:
    """x tanh(log(1 + exp(x)))."""
    return np.asarray(x * np.tanh(softplus(x)))


def swish(x: Array, *, alpha: float) -> Array:
    """x / (1 + exp(-alpha x))."""
    return np.asarray(x / (1 + np.exp(-alpha * x)))


def thresholded_relu(x: Array, *, alpha: float) -> Array:
    """x for x > alpha, 0 elsewhere."""
    return np.where(x > alpha, x, np.zeros_like(x))


def shrink(x: Array, *, bias: float, threshold: float) -> Array:
    """x + bias for x < -threshold, x - bias for x > threshold, 0 elsewhere."""
    return np.select([x < -threshold, x > threshold], [x + bias, x - bias], 0).astype(x.dtype)


def log(x: Array) -> Array:
    """Natural logarithm."""
    return np.asarray(np.log(x))


def square_root(x: Array) -> Array:
    """Square root."""
    return np.asarray(np.sqrt(x))


def reciprocal(x: Array) -> Array:
    """1 / x."""
    return np.asarray(1 / x)


def absolute(x: Array) -> Array:
    """|x|, for integers; for floats it is a `LeakyRelu` with slope -1."""
    return np.asarray(np.abs(x))


def power(x: Array, y: Array) -> Array:
    """x^y in the type of x."""
    return np.asarray(np.float_power(x, y)).astype(x.dtype)


def integer_power(x: Array, *, exponent: int) -> Array:
    """x^exponent for a whole exponent of at least 0."""
    return np.asarray(np.power(x, exponent))


def positive_power(x: Array, *, exponent: float) -> Array:
    """x^exponent for x >= 0 and a positive exponent."""
    return np.asarray(np.power(x, np.asarray(exponent, x.dtype)))


def sine(x: Array) -> Array:
    """sin x."""
    return np.asarray(np.sin(x))


def cosine(x: Array) -> Array:
    """cos x."""
    return np.asarray(np.cos(x))


def tangent(x: Array) -> Array:
    """tan x."""
    return np.asarray(np.tan(x))


def arc_sine(x: Array) -> Array:
    """arcsin x."""
    return np.asarray(np.arcsin(x))


def arc_cosine(x: Array) -> Array:
    """arccos x."""
    return np.asarray(np.arccos(x))


def arc_tangent(x: Array) -> Array:
    """arctan x."""
    return np.asarray(np.arctan(x))


def hyperbolic_sine(x: Array) -> Array:
    """sinh x."""
    return np.asarray(np.sinh(x))


def hyperbolic_cosine(x: Array) -> Array:
    """cosh x."""
    return np.asarray(np.cosh(x))


def area_sine(x: Array) -> Array:
    """arsinh x."""
    return np.asarray(np.arcsinh(x))


def area_cosine(x: Array) -> Array:
    """arcosh x."""
    return np.asarray(np.arccosh(x))


def area_tangent(x: Array) -> Array:
    """artanh x."""
    return np.asarray(np.arctanh(x))


def sign(x: Array) -> Array:
    """-1, 0 or 1."""
    return np.asarray(np.sign(x))


def round_half_even(x: Array) -> Array:
    """The nearest integer; halves go to the even one."""
    return np.asarray(np.rint(x))


def floor(x: Array) -> Array:
    """The largest integer that is not above x."""
    return np.asarray(np.floor(x))


def ceiling(x: Array) -> Array:
    """The smallest integer that is not below x."""
    return np.asarray(np.ceil(x))


def modulo(a: Array, b: Array, *, truncate: bool) -> Array:
    """a - b floor(a / b), with the sign of b; `truncate`: a - b trunc(a / b), with the sign of a."""
    return np.asarray(np.fmod(a, b) if truncate else np.mod(a, b))


def maximum(*inputs: Array) -> Array:
    """The largest of the inputs, elementwise."""
    return np.asarray(reduce(np.maximum, inputs))


def minimum(*inputs: Array) -> Array:
    """The smallest of the inputs, elementwise."""
    return np.asarray(reduce(np.minimum, inputs))


def select(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition holds, b elsewhere."""
    return np.where(truth(condition), a, b)


def equal(a: Array, b: Array) -> Array:
    """a = b."""
    return np.asarray(a == b)


def greater(a: Array, b: Array) -> Array:
    """a > b."""
    return np.asarray(a > b)


def greater_or_equal(a: Array, b: Array) -> Array:
    """a >= b."""
    return np.asarray(a >= b)


def less(a: Array, b: Array) -> Array:
    """a < b."""
    return np.asarray(a < b)


def less_or_equal(a: Array, b: Array) -> Array:
    """a <= b."""
    return np.asarray(a <= b)


def logical_and(a: Array, b: Array) -> Array:
    """Both hold."""
    return np.asarray(np.logical_and(truth(a), truth(b)))


def logical_or(a: Array, b: Array) -> Array:
    """At least one holds."""
    return np.asarray(np.logical_or(truth(a), truth(b)))


def logical_xor(a: Array, b: Array) -> Array:
    """Exactly one holds."""
    return np.asarray(np.logical_xor(truth(a), truth(b)))


def logical_not(x: Array) -> Array:
    """It does not hold."""
    return np.asarray(np.logical_not(truth(x)))


def is_nan(x: Array) -> Array:
    """Not a number."""
    return np.asarray(np.isnan(x))


def is_infinite(x: Array, *, negative: bool, positive: bool) -> Array:
    """Infinite, of the signs that count."""
    return np.asarray((np.isneginf(x) & negative) | (np.isposinf(x) & positive))


def bitwise(a: Array, b: Array, *, kind: str) -> Array:
    """Of integers, bit by bit: and, or, xor; left and right shift a by b bits (below zero: by all bits)."""
    functions: dict[str, Any] = {
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "left": np.left_shift,
        "right": np.right_shift,
    }
    if kind in ("left", "right"):
        width = 8 * a.dtype.itemsize
        b = np.where((b < 0) | (b >= width), width, b).astype(b.dtype)
    return np.asarray(functions[kind](a, b))


def bitwise_not(x: Array) -> Array:
    """Every bit of an integer flipped."""
    return np.asarray(np.bitwise_not(x))
