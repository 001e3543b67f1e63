# SPDX-License-Identifier: Apache-2.0
"""Elementwise functions of `Operator` nodes in torch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def truth(x: Tensor) -> Tensor:
    """A truth value; one that was transmitted as a rate is close to 0 or 1."""
    return x > 0.5 if x.is_floating_point() else x != 0


def ordered(x: Tensor) -> Tensor:
    """Unsigned integers, which torch does not compare, as signed ones in the same order."""
    if x.dtype == torch.uint64:
        return x.view(torch.int64) ^ torch.iinfo(torch.int64).min
    return x.to(torch.int64) if x.dtype in (torch.uint16, torch.uint32) else x


def unordered(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The inverse of `ordered`."""
    if dtype == torch.uint64:
        return (x ^ torch.iinfo(torch.int64).min).view(torch.uint64)
    return x.to(dtype) if dtype in (torch.uint16, torch.uint32) else x


def erf(x: Tensor) -> Tensor:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return torch.erf(x)


def gelu(x: Tensor, *, approximate: str) -> Tensor:
    """x Phi(x); with "tanh" x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    return F.gelu(x, approximate=approximate)


def elu(x: Tensor, *, alpha: float) -> Tensor:
    """x for x > 0, alpha (exp(x) - 1) elsewhere."""
    return torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))


def selu(x: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """gamma x for x > 0, gamma alpha (exp(x) - 1) elsewhere."""
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))


def celu(x: Tensor, *, alpha: float) -> Tensor:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    return x.clamp(min=0) + (alpha * torch.expm1(x / alpha)).clamp(max=0)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return x / (1 + x.abs())


def mish(x: Tensor) -> Tensor:
    """x tanh(log(1 + exp(x)))."""
    return x * torch.tanh(softplus(x))


def swish(x: Tensor, *, alpha: float) -> Tensor:
    """x / (1 + exp(-alpha x))."""
    return x * torch.sigmoid(alpha * x)


def thresholded_relu(x: Tensor, *, alpha: float) -> Tensor:
    """x for x > alpha, 0 elsewhere."""
    return torch.where(x > alpha, x, 0)


def shrink(x: Tensor, *, bias: float, threshold: float) -> Tensor:
    """x + bias for x < -threshold, x - bias for x > threshold, 0 elsewhere."""
    return torch.where(x < -threshold, x + bias, torch.where(x > threshold, x - bias, 0)).to(x.dtype)


def log(x: Tensor) -> Tensor:
    """Natural logarithm."""
    return torch.log(x)


def square_root(x: Tensor) -> Tensor:
    """Square root."""
    return torch.sqrt(x)


def reciprocal(x: Tensor) -> Tensor:
    """1 / x."""
    return 1 / x


def absolute(x: Tensor) -> Tensor:
    """|x|, for integers; for floats it is a `LeakyRelu` with slope -1."""
    return x.abs()


def power(x: Tensor, y: Tensor) -> Tensor:
    """x^y in the type of x."""
    return torch.pow(x, y).to(x.dtype)


def integer_power(x: Tensor, *, exponent: int) -> Tensor:
    """x^exponent for a whole exponent of at least 0."""
    return torch.pow(x, exponent)


def positive_power(x: Tensor, *, exponent: float) -> Tensor:
    """x^exponent for x >= 0 and a positive exponent."""
    return torch.pow(x, exponent)


def sine(x: Tensor) -> Tensor:
    """sin x."""
    return torch.sin(x)


def cosine(x: Tensor) -> Tensor:
    """cos x."""
    return torch.cos(x)


def tangent(x: Tensor) -> Tensor:
    """tan x."""
    return torch.tan(x)


def arc_sine(x: Tensor) -> Tensor:
    """arcsin x."""
    return torch.asin(x)


def arc_cosine(x: Tensor) -> Tensor:
    """arccos x."""
    return torch.acos(x)


def arc_tangent(x: Tensor) -> Tensor:
    """arctan x."""
    return torch.atan(x)


def hyperbolic_sine(x: Tensor) -> Tensor:
    """sinh x."""
    return torch.sinh(x)


def hyperbolic_cosine(x: Tensor) -> Tensor:
    """cosh x."""
    return torch.cosh(x)


def area_sine(x: Tensor) -> Tensor:
    """arsinh x."""
    return torch.asinh(x)


def area_cosine(x: Tensor) -> Tensor:
    """arcosh x."""
    return torch.acosh(x)


def area_tangent(x: Tensor) -> Tensor:
    """artanh x."""
    return torch.atanh(x)


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(x)


def round_half_even(x: Tensor) -> Tensor:
    """The nearest integer; halves go to the even one."""
    return torch.round(x)


def floor(x: Tensor) -> Tensor:
    """The largest integer that is not above x."""
    return torch.floor(x)


def ceiling(x: Tensor) -> Tensor:
    """The smallest integer that is not below x."""
    return torch.ceil(x)


def modulo(a: Tensor, b: Tensor, *, truncate: bool) -> Tensor:
    """a - b floor(a / b), with the sign of b; `truncate`: a - b trunc(a / b), with the sign of a."""
    if a.dtype in (torch.uint16, torch.uint32):
        return torch.remainder(a.to(torch.int64), b.to(torch.int64)).to(a.dtype)
    return torch.fmod(a, b) if truncate else torch.remainder(a, b)


def maximum(*inputs: Tensor) -> Tensor:
    """The largest of the inputs, elementwise."""
    y = ordered(inputs[0])
    for x in inputs[1:]:
        y = torch.maximum(y, ordered(x))
    return unordered(y, inputs[0].dtype)


def minimum(*inputs: Tensor) -> Tensor:
    """The smallest of the inputs, elementwise."""
    y = ordered(inputs[0])
    for x in inputs[1:]:
        y = torch.minimum(y, ordered(x))
    return unordered(y, inputs[0].dtype)


def select(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where the condition holds, b elsewhere."""
    return torch.where(truth(condition), a, b)


def equal(a: Tensor, b: Tensor) -> Tensor:
    """a = b."""
    return a == b


def greater(a: Tensor, b: Tensor) -> Tensor:
    """a > b."""
    return ordered(a) > ordered(b)


def greater_or_equal(a: Tensor, b: Tensor) -> Tensor:
    """a >= b."""
    return ordered(a) >= ordered(b)


def less(a: Tensor, b: Tensor) -> Tensor:
    """a < b."""
    return ordered(a) < ordered(b)


def less_or_equal(a: Tensor, b: Tensor) -> Tensor:
    """a <= b."""
    return ordered(a) <= ordered(b)


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """Both hold."""
    return truth(a) & truth(b)


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """At least one holds."""
    return truth(a) | truth(b)


def logical_xor(a: Tensor, b: Tensor) -> Tensor:
    """Exactly one holds."""
    return truth(a) ^ truth(b)


def logical_not(x: Tensor) -> Tensor:
    """It does not hold."""
    return ~truth(x)


def is_nan(x: Tensor) -> Tensor:
    """Not a number."""
    return torch.isnan(x)


def is_infinite(x: Tensor, *, negative: bool, positive: bool) -> Tensor:
    """Infinite, of the signs that count."""
    return ((x == -math.inf) & negative) | ((x == math.inf) & positive)


def bitwise(a: Tensor, b: Tensor, *, kind: str) -> Tensor:
    """Of integers, bit by bit: and, or, xor; left and right shift a by b bits (below zero: by all bits)."""
    x, y = a.to(torch.int64), b.to(torch.int64)
    if kind in ("left", "right"):
        signed = a.dtype in (torch.int8, torch.int16, torch.int32, torch.int64)
        far, bits = (y < 0) | (y > 63), y.clamp(1, 63)
        if kind == "left":
            z = torch.where(y == 0, x, torch.where(far, 0, x << bits))
        elif signed:
            z = torch.where(y == 0, x, torch.where(far, x >> 63, x >> bits))
        else:
            z = torch.where(y == 0, x, torch.where(far, 0, (x >> bits) & ~(-1 << (64 - bits))))
    else:
        z = {"and": x & y, "or": x | y, "xor": x ^ y}[kind]
    return z.to(a.dtype)


def bitwise_not(x: Tensor) -> Tensor:
    """Every bit of an integer flipped."""
    return (~x.to(torch.int64)).to(x.dtype)
