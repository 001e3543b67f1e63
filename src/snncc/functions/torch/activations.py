# SPDX-License-Identifier: Apache-2.0
"""Activations, and the products, softmax and choices of attention and of classifiers, in torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return torch.relu(x)


def clip(x: Tensor, *, low: float | None, high: float | None) -> Tensor:
    """min(max(x, low), high)."""
    return x if low is None and high is None else x.clamp(low, high)


def leaky_relu(x: Tensor, slope: Tensor) -> Tensor:
    """x where x >= 0, slope x elsewhere."""
    return torch.where(x >= 0, x, x * slope)


def quantized_relu(x: Tensor, step: Tensor, offset: Tensor, amplitude: Tensor, *, levels: int | None) -> Tensor:
    """amplitude clip(floor((x + offset) / step), 0, levels)."""
    return amplitude * torch.floor((x + offset) / step).clamp(0, levels)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """a b, elementwise."""
    return a * b


def divide(a: Tensor, b: Tensor) -> Tensor:
    """a / b, elementwise; integers truncate towards zero."""
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product of the last two axes, batched over the others."""
    return torch.matmul(a, b)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return torch.tanh(x)


def exp(x: Tensor) -> Tensor:
    """Exponential."""
    return torch.exp(x)


def softmax(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    """exp(x) / sum exp(x), the sum over `axes`."""
    e = torch.exp(x - x.amax(tuple(axes), keepdim=True))
    return e / e.sum(tuple(axes), keepdim=True)


def log_softmax(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    """x - log sum exp(x), the sum over `axes`."""
    return x - torch.logsumexp(x, tuple(axes), keepdim=True)


def arg_max(x: Tensor, *, axis: int, keepdims: bool, last: bool, largest: bool) -> Tensor:
    """Index of the largest (or smallest) entry along `axis`; the first of equals, or the last."""
    y = x if largest else -x
    if last:
        return x.shape[axis] - 1 - y.flip(axis).argmax(axis, keepdim=keepdims)
    return y.argmax(axis, keepdim=keepdims)


def gather(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """The entries of x at `index` along an axis; negative indices count from the end."""
    size = x.shape[axis]
    flat = torch.where(index < 0, index + size, index).long()
    y = x.index_select(axis, flat.reshape(-1))
    return y.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def cast(x: Tensor, *, to: str) -> Tensor:
    """x in another type; floats truncate towards zero on their way to integers."""
    return x.to(x.dtype if to == "float32" and x.is_floating_point() else getattr(torch, to))
