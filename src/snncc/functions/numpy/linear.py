# SPDX-License-Identifier: Apache-2.0
"""Linear nodes, and the maximum of a window, in plain NumPy: their definition, written for reading and not for speed.

`offset` multiplies the constants that a function adds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

PAD_MODES = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}


def pad(x: Array, *, padding: Sequence[int], mode: str = "constant", value: float = 0.0, offset: float = 1.0) -> Array:
    """Padding of every axis: begin..., end...; negative amounts crop."""
    rank = x.ndim
    crop = tuple(slice(max(0, -padding[i]), x.shape[i] - max(0, -padding[rank + i])) for i in range(rank))
    amounts = [(max(0, padding[i]), max(0, padding[rank + i])) for i in range(rank)]
    if mode == "constant":
        return np.pad(x[crop], amounts, constant_values=np.asarray(value * offset if value else 0, x.dtype))
    return np.pad(x[crop], amounts, mode=PAD_MODES[mode])  # type: ignore[call-overload,no-any-return]


def windows(
    x: Array,
    fill: float,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> Array:
    """Windows over the last len(kernel) axes: (..., *out, *kernel)."""
    n = len(kernel)
    lead = x.ndim - n
    amounts = [(0, 0)] * lead
    counts = []
    for i in range(n):
        span = (kernel[i] - 1) * dilation[i] + 1
        free = x.shape[lead + i] + padding[i] + padding[n + i] - span
        steps = math.ceil(free / stride[i]) if ceil_mode else math.floor(free / stride[i])
        if ceil_mode and steps * stride[i] >= x.shape[lead + i] + padding[i]:
            steps -= 1
        counts.append(steps + 1)
        amounts.append((padding[i], padding[n + i] + max(0, steps * stride[i] - free)))
    x = np.pad(x, amounts, constant_values=fill)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(lead, lead + n)))
    positions = tuple(slice(0, (counts[i] - 1) * stride[i] + 1, stride[i]) for i in range(n))
    taps = tuple(slice(None, None, d) for d in dilation)
    return view[(slice(None),) * lead + positions + taps]


def along(bias: Array, rank: int, axis: int) -> Array:
    """A vector shaped to broadcast along one axis."""
    shape = [1] * rank
    shape[axis] = -1
    return bias.reshape(shape)


def exact(x: Array) -> Array:
    """Whole numbers as float64, whose products and sums are exact below 2^53: BLAS is fast, but knows no integers."""
    return x.astype(np.float64) if x.dtype.kind in "iu" else x


def convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset: float = 1.0,
) -> Array:
    """y[n, o, p] = sum_{c, k} weight[o, c, k] x[n, c, stride p + dilation k - begin] + bias[o] offset."""
    kernel = weight.shape[2:]
    n = len(kernel)
    view = windows(x, 0.0, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    out = []
    for xs, ws in zip(np.split(view, groups, axis=1), np.split(weight, groups, axis=0), strict=True):
        axes = [1, *range(2 + n, 2 + 2 * n)], [1, *range(2, 2 + n)]
        out.append(np.moveaxis(np.tensordot(exact(xs), exact(ws), axes=axes), -1, 1))
    y = np.concatenate(out, axis=1).astype(x.dtype, copy=False)
    return y if bias is None else y + along(bias, y.ndim, 1) * offset


def transposed_convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    output_padding: Sequence[int],
    offset: float = 1.0,
) -> Array:
    """y[n, o, stride p + dilation k - begin] += weight[c, o, k] x[n, c, p]; then bias[o] offset."""
    kernel = weight.shape[2:]
    n = len(kernel)
    size = [(x.shape[2 + i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 for i in range(n)]
    channels = weight.shape[1] * groups
    full: Array = np.zeros((x.shape[0], channels, *size), dtype=x.dtype)
    for tap in np.ndindex(*kernel):
        parts = [
            np.moveaxis(np.tensordot(xs, ws[(slice(None), slice(None), *tap)], axes=([1], [0])), -1, 1)
            for xs, ws in zip(np.split(x, groups, axis=1), np.split(weight, groups, axis=0), strict=True)
        ]
        at = tuple(
            slice(tap[i] * dilation[i], tap[i] * dilation[i] + (x.shape[2 + i] - 1) * stride[i] + 1, stride[i])
            for i in range(n)
        )
        full[(slice(None), slice(None), *at)] += np.concatenate(parts, axis=1)
    end = [output_padding[i] - padding[n + i] for i in range(n)]
    y = pad(full, padding=(0, 0, *[-p for p in padding[:n]], 0, 0, *end))
    return y if bias is None else y + along(bias, y.ndim, 1) * offset


def linear(x: Array, weight: Array, bias: Array | None, *, axis: int, offset: float = 1.0) -> Array:
    """weight x + bias along `axis`."""
    y = np.moveaxis(exact(np.moveaxis(x, axis, -1)) @ exact(weight).T, -1, axis).astype(x.dtype, copy=False)
    return y if bias is None else y + along(bias, y.ndim, axis) * offset


def batch_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float,
    offset: float = 1.0,
) -> Array:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta per channel."""
    scale = gamma / np.sqrt(variance + np.asarray(epsilon, variance.dtype))
    return x * along(scale, x.ndim, 1) + along(beta - mean * scale, x.ndim, 1) * offset


def affine(x: Array, scale: Array | None, shift: Array | None, *, offset: float = 1.0) -> Array:
    """scale x + shift."""
    y = x if scale is None else x * scale
    return y if shift is None else y + shift * offset


def weighted_sum(*inputs: Array, coefficients: Sequence[float]) -> Array:
    """sum_i coefficients[i] inputs[i]."""
    # Unsigned integers have no -1 to multiply by.
    terms = [-x if c == -1 else x * np.asarray(c, x.dtype) for x, c in zip(inputs, coefficients, strict=True)]
    total: Array = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def max_pool(
    x: Array,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Array:
    """Maximum over each window; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    view = windows(x, lowest, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return view.max(axis=tuple(range(-len(kernel), 0)))  # type: ignore[no-any-return]


def average_pool(
    x: Array,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array:
    """Mean over each window, of its real entries or (count_include_pad) of real and padded ones."""
    n = len(kernel)
    taps = tuple(range(-n, 0))
    total = windows(x, 0.0, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode).sum(
        axis=taps
    )
    ones = np.ones((1, 1, *x.shape[-n:]), dtype=x.dtype)
    if count_include_pad:
        ones, padding = (
            np.pad(ones, [(0, 0), (0, 0), *[(padding[i], padding[n + i]) for i in range(n)]], constant_values=1),
            [0] * (2 * n),
        )
    count = windows(
        ones, 0.0, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    ).sum(axis=taps)
    inside = tuple(slice(0, extent) for extent in total.shape[-n:])  # none begins in the padding at the end
    return np.asarray(total / count[(..., *inside)])


def reduce_mean(x: Array, *, axes: Sequence[int], keepdims: bool) -> Array:
    """Mean over axes."""
    return np.asarray(x.mean(axis=tuple(axes), keepdims=keepdims))


def reduce_sum(x: Array, *, axes: Sequence[int], keepdims: bool) -> Array:
    """Sum over axes."""
    return np.asarray(x.sum(axis=tuple(axes), keepdims=keepdims, dtype=x.dtype))


def concatenate(*inputs: Array, axis: int) -> Array:
    """Inputs joined along an axis."""
    return np.concatenate(inputs, axis)


def take_slice(x: Array, *, axis: int, start: int, step: int, size: int) -> Array:
    """x[start::step] along an axis, `size` entries."""
    return np.take(x, start + step * np.arange(size), axis)


def reshape(x: Array, *, shape: Sequence[int]) -> Array:
    """The same entries in another shape."""
    return x.reshape(tuple(shape))


def transpose(x: Array, *, permutation: Sequence[int]) -> Array:
    """Axes permuted."""
    return x.transpose(tuple(permutation))


def expand(x: Array, *, shape: Sequence[int]) -> Array:
    """Broadcast to a shape; -1 keeps an axis."""
    lead = len(shape) - x.ndim
    target = [x.shape[i - lead] if extent == -1 else extent for i, extent in enumerate(shape)]
    return np.broadcast_to(x, target)
