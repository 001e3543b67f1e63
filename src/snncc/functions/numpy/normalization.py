# SPDX-License-Identifier: Apache-2.0
"""Normalisations and nonlinear reductions of `Operator` nodes in plain NumPy: their definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.functions.numpy.ops import windows

Array: TypeAlias = npt.NDArray[Any]


def standardize(x: Array, *, axes: Sequence[int], epsilon: float, outside: float = 0.0) -> Array:
    """(x - mean) / (sqrt(variance + epsilon) + outside) over `axes`."""
    mean, variance = x.mean(axis=tuple(axes), keepdims=True), x.var(axis=tuple(axes), keepdims=True)
    return np.asarray((x - mean) / (np.sqrt(variance + epsilon) + outside))


def inverse_deviation(x: Array, *, axes: Sequence[int], epsilon: float) -> Array:
    """1 / sqrt(variance + epsilon) over `axes`, which stay with extent 1."""
    return np.asarray(1 / np.sqrt(x.var(axis=tuple(axes), keepdims=True) + epsilon))


def divide_by_root_mean_square(x: Array, *, axes: Sequence[int], epsilon: float) -> Array:
    """x / sqrt(mean(x^2) + epsilon) over `axes`."""
    return np.asarray(x / np.sqrt(np.square(x).mean(axis=tuple(axes), keepdims=True) + epsilon))


def divide_by_norm(x: Array, *, axis: int, p: int) -> Array:
    """x / (sum |x|^p)^(1/p) along `axis`; zeros stay zeros."""
    size = np.linalg.norm(x, ord=p, axis=axis, keepdims=True)
    return np.where(size == 0, 0, x / size).astype(x.dtype)


def local_response(x: Array, *, size: int, alpha: float, beta: float, bias: float) -> Array:
    """x / (bias + alpha / size s)^beta, s the sum of squares over `size` neighbouring channels (axis 1)."""
    total = np.zeros_like(x)
    for channel in range(x.shape[1]):
        first, last = max(0, channel - (size - 1) // 2), channel + size // 2
        total[:, channel] = np.square(x[:, first : last + 1]).sum(axis=1)
    return np.asarray(x / np.power(bias + alpha / size * total, beta))


def hardmax(x: Array, *, axes: Sequence[int]) -> Array:
    """1 at the first largest entry over `axes` (neighbours of one another), 0 elsewhere."""
    flat = x.reshape(*x.shape[: axes[0]], -1, *x.shape[axes[-1] + 1 :])
    y = np.zeros_like(flat)
    np.put_along_axis(y, flat.argmax(axes[0], keepdims=True), 1, axes[0])
    return y.reshape(x.shape)


def reduce_max(x: Array, *, axes: Sequence[int], keepdims: bool) -> Array:
    """The largest entry over `axes`."""
    return np.asarray(x.max(axis=tuple(axes), keepdims=keepdims))


def reduce_min(x: Array, *, axes: Sequence[int], keepdims: bool) -> Array:
    """The smallest entry over `axes`."""
    return np.asarray(x.min(axis=tuple(axes), keepdims=keepdims))


def reduce_prod(x: Array, *, axes: Sequence[int], keepdims: bool) -> Array:
    """The product over `axes`."""
    return np.asarray(x.prod(axis=tuple(axes), keepdims=keepdims, dtype=x.dtype))


def reduce_norm(x: Array, *, axes: Sequence[int], keepdims: bool, p: int) -> Array:
    """(sum |x|^p)^(1/p) over `axes`."""
    total = (np.abs(x) ** p).sum(axis=tuple(axes), keepdims=keepdims)
    return np.asarray(total ** (1 / p)).astype(x.dtype)


def reduce_sum_square(x: Array, *, axes: Sequence[int], keepdims: bool) -> Array:
    """The sum of squares over `axes`."""
    return np.asarray(np.square(x).sum(axis=tuple(axes), keepdims=keepdims, dtype=x.dtype))


def log_sum_exp(x: Array, *, axes: Sequence[int], keepdims: bool) -> Array:
    """log sum exp(x) over `axes`."""
    most = x.max(axis=tuple(axes), keepdims=True)
    total = np.exp(x - most).sum(axis=tuple(axes), keepdims=True)
    y = np.log(total) + most
    return np.asarray(y if keepdims else y.squeeze(tuple(axes)))


def lp_pool(
    x: Array,
    *,
    p: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Array:
    """(sum |x|^p)^(1/p) over each window."""
    parts = windows(
        np.abs(x), 0.0, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    return np.asarray((parts**p).sum(axis=tuple(range(x.ndim, parts.ndim))) ** (1 / p))


def determinant(x: Array) -> Array:
    """The determinant of the last two axes."""
    return np.asarray(np.linalg.det(x))


def running(x: Array, ufunc: Any, axis: int, exclusive: bool, reverse: bool) -> Array:
    """ufunc accumulated along `axis`."""
    y = np.moveaxis(x, axis, 0)
    y = y[::-1] if reverse else y
    total = ufunc.accumulate(y, axis=0, dtype=x.dtype)
    if exclusive:
        total = np.concatenate([np.full_like(y[:1], ufunc.identity), total[:-1]])
    return np.moveaxis(total[::-1] if reverse else total, 0, axis)


def cumulative_sum(x: Array, *, axis: int, exclusive: bool, reverse: bool) -> Array:
    """Running sums along `axis`, from the end if `reverse`, without the entry itself if `exclusive`."""
    return running(x, np.add, axis, exclusive, reverse)


def cumulative_product(x: Array, *, axis: int, exclusive: bool, reverse: bool) -> Array:
    """Running products along `axis`, from the end if `reverse`, without the entry itself if `exclusive`."""
    return running(x, np.multiply, axis, exclusive, reverse)


def einsum(*inputs: Array, equation: str) -> Array:
    """Products of entries, summed over the letters that the result does not have."""
    return np.asarray(np.einsum(equation, *inputs))
