# SPDX-License-Identifier: Apache-2.0
"""The functions that `Operator` nodes name, in plain NumPy: their definition. Names as in `torch_functions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def multiply(a: Array, b: Array) -> Array:
    """a b, elementwise."""
    return np.asarray(a * b)


def divide(a: Array, b: Array) -> Array:
    """a / b, elementwise; integers truncate towards zero."""
    return np.asarray(a / b if np.issubdtype(a.dtype, np.floating) else np.trunc(a / b).astype(a.dtype))


def matmul(a: Array, b: Array) -> Array:
    """Matrix product of the last two axes, batched over the others."""
    return np.asarray(np.matmul(a, b))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return np.asarray(np.tanh(x))


def exp(x: Array) -> Array:
    """Exponential."""
    return np.asarray(np.exp(x))


def softmax(x: Array, *, axes: Sequence[int]) -> Array:
    """exp(x) / sum exp(x), the sum over `axes`."""
    e = np.exp(x - x.max(axis=tuple(axes), keepdims=True))
    return np.asarray(e / e.sum(axis=tuple(axes), keepdims=True))


def log_softmax(x: Array, *, axes: Sequence[int]) -> Array:
    """x - log sum exp(x), the sum over `axes`."""
    shifted = x - x.max(axis=tuple(axes), keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=tuple(axes), keepdims=True)))


def arg_max(x: Array, *, axis: int, keepdims: bool, last: bool, largest: bool) -> Array:
    """Index of the largest (or smallest) entry along `axis`; the first of equals, or the last."""
    y = x if largest else -x
    if last:
        return np.asarray(x.shape[axis] - 1 - np.flip(y, axis).argmax(axis, keepdims=keepdims))
    return np.asarray(y.argmax(axis, keepdims=keepdims))


def gather(x: Array, index: Array, *, axis: int) -> Array:
    """The entries of x at `index` along an axis; negative indices count from the end."""
    return np.asarray(np.take(x, index, axis))


def cast(x: Array, *, to: str) -> Array:
    """x in another type; floats truncate towards zero on their way to integers."""
    return x if to == "float32" and np.issubdtype(x.dtype, np.floating) else x.astype(to)
