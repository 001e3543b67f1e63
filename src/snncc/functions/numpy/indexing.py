# SPDX-License-Identifier: Apache-2.0
"""Functions of `Operator` nodes that pick and place entries, in plain NumPy: their definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

UFUNCS: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def whole(index: Array) -> Array:
    """Indices as integers; those that were transmitted as rates are close to whole numbers."""
    return np.rint(index).astype(np.int64)


def gather_elements(x: Array, index: Array, *, axis: int) -> Array:
    """y[i][j] = x[index[i][j]][j] for axis 0, and so on."""
    grid: list[Array] = list(np.indices(index.shape))
    grid[axis] = whole(index)
    return np.asarray(x[tuple(grid)])


def combine_elements(x: Array, index: Array, updates: Array, *, axis: int, reduction: str) -> Array:
    """As `scatter_elements`, the old and the new entry multiplied ("mul"), or the larger or smaller one taken."""
    y = x.copy()
    grid: list[Array] = list(np.indices(index.shape))
    grid[axis] = whole(index)
    UFUNCS[reduction].at(y, tuple(grid), updates)
    return y


def scatter_elements(x: Array, index: Array, updates: Array, *, axis: int, reduction: str) -> Array:
    """x with x[index[i][j]][j] = updates[i][j] (axis 0), or with that added ("add")."""
    if reduction == "add":
        return combine_elements(x, index, updates, axis=axis, reduction="add")
    y = x.copy()
    grid: list[Array] = list(np.indices(index.shape))
    grid[axis] = whole(index)
    y[tuple(grid)] = updates
    return y


def gather_nd(x: Array, index: Array, *, batch_dims: int) -> Array:
    """The slices x[..., *index[..., m, :]], the first `batch_dims` axes in common."""
    count = index.shape[-1]
    lead = tuple(np.arange(index.shape[i]).reshape(-1, *[1] * (index.ndim - 2 - i)) for i in range(batch_dims))
    return np.asarray(x[(*lead, *(whole(index[..., i]) for i in range(count)))])


def combine_nd(x: Array, index: Array, updates: Array, *, reduction: str) -> Array:
    """As `scatter_nd`, the old and the new slice multiplied ("mul"), or the larger or smaller entries taken."""
    y = x.copy()
    UFUNCS[reduction].at(y, tuple(np.moveaxis(whole(index), -1, 0)), updates)
    return y


def scatter_nd(x: Array, index: Array, updates: Array, *, reduction: str) -> Array:
    """x with the slices x[*index[m, :]] = updates[m], or with those added ("add")."""
    if reduction == "add":
        return combine_nd(x, index, updates, reduction="add")
    y = x.copy()
    y[tuple(np.moveaxis(whole(index), -1, 0))] = updates
    return y


def top_indices(x: Array, *, k: int, axis: int, largest: bool) -> Array:
    """Where the k largest (or smallest) entries along `axis` are, in order; of equals the first comes first."""
    unsigned = np.issubdtype(x.dtype, np.unsignedinteger)
    key = x.astype(np.int64) if unsigned else x
    order = np.argsort(-key if largest else key, axis=axis, kind="stable")
    return np.take(order, np.arange(k), axis)


def top_values(x: Array, *, k: int, axis: int, largest: bool) -> Array:
    """The k largest (or smallest) entries along `axis`, in order."""
    return np.asarray(np.take_along_axis(x, top_indices(x, k=k, axis=axis, largest=largest), axis))


def one_hot(index: Array, values: Array, *, depth: int, axis: int) -> Array:
    """values[1] where a new axis of extent `depth` is at the index, values[0] elsewhere."""
    y = np.full((*index.shape, depth), values[0])
    i = whole(index)
    for position in np.ndindex(*index.shape):
        if -depth <= i[position] < depth:
            y[(*position, i[position])] = values[1]
    return np.moveaxis(y, -1, axis)


def reverse_sequence(x: Array, lengths: Array, *, batch_axis: int, time_axis: int) -> Array:
    """The first lengths[b] entries along the time axis in reverse order, for each b of the batch axis."""
    y = np.moveaxis(x, (batch_axis, time_axis), (0, 1)).copy()
    for b, length in enumerate(whole(lengths)):
        y[b, :length] = y[b, :length][::-1].copy()
    return np.moveaxis(y, (0, 1), (batch_axis, time_axis))


def max_unpool(x: Array, index: Array, *, extents: Sequence[int]) -> Array:
    """Zeros of `extents` per sample, x at the flat places `index` (which count on over samples)."""
    size = math.prod(extents[1:])
    y = np.zeros((x.shape[0], size), x.dtype)
    for sample in range(x.shape[0]):
        y[sample, (whole(index[sample]) % size).reshape(-1)] = x[sample].reshape(-1)
    return y.reshape(-1, *extents[1:])


def reflected(c: Array, low: float, high: float) -> Array:
    """Coordinates mirrored at both ends until they lie between them."""
    if high == low:
        return np.zeros_like(c)
    period = 2 * (high - low)
    rest = np.mod(np.abs(c - low), period)
    return np.asarray(np.minimum(rest, period - rest) + low)


def tap_weights(mode: str, c: Array) -> list[tuple[Array, Array]]:
    """(position, weight) of every tap that a coordinate reads along one axis."""
    first = np.floor(c)
    t = c - first
    if mode == "nearest":
        return [(np.rint(c), np.ones_like(c))]
    if mode == "bilinear":
        return [(first, 1 - t), (first + 1, t)]
    a = -0.75
    taps = []
    for step in (-1, 0, 1, 2):
        d = np.abs(t - step)
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        taps.append((first + step, np.where(d <= 1, near, far)))
    return taps


def grid_sample(x: Array, grid: Array, *, mode: str, padding_mode: str, align_corners: bool) -> Array:
    """x at the points of a grid, whose coordinates -1 and 1 are the corners (or the outer edges of the corners)."""
    sizes = x.shape[2:]
    n = len(sizes)
    taps = []
    for i, size in enumerate(sizes):
        g = grid[..., n - 1 - i].astype(x.dtype)
        c = (g + 1) / 2 * (size - 1) if align_corners else ((g + 1) * size - 1) / 2
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        if mode != "bicubic" and padding_mode == "border":
            c = np.clip(c, 0, size - 1)
        if mode != "bicubic" and padding_mode == "reflection":
            c = np.clip(reflected(c, low, high), 0, size - 1)
        axis = []
        for p, w in tap_weights(mode, c):
            inside = (p >= 0) & (p <= size - 1)
            if padding_mode == "zeros":
                w = np.where(inside, w, 0)
            elif padding_mode == "reflection":
                p = reflected(p, low, high)
            axis.append((np.clip(p, 0, size - 1).astype(np.int64), w))
        taps.append(axis)
    samples = np.arange(x.shape[0]).reshape(-1, *[1] * n)
    y = np.zeros((x.shape[0], *grid.shape[1:-1], x.shape[1]), x.dtype)
    for combination in itertools.product(*taps):
        weight = math.prod((w for _, w in combination), start=np.ones((), x.dtype))
        y += np.moveaxis(x, 1, -1)[(samples, *(p for p, _ in combination))] * weight[..., None]
    return np.moveaxis(y, -1, 1)
