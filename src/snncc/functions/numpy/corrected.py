# SPDX-License-Identifier: Apache-2.0
"""Functions in plain NumPy that `onnx.reference` computes otherwise (1.23): the reason stands beside each."""

from __future__ import annotations

import itertools
import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


# Erf is rounded to float32.
def erf(x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x)).astype(x.dtype)


def gelu(x: Array, *, approximate: str) -> Array:
    """x Phi(x); with "tanh" x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    if approximate == "tanh":
        return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))))
    return np.asarray(x / 2 * (1 + erf(x / math.sqrt(2))))


# LpNormalization lacks the magnitude: (sum x^p)^(1/p).
def divide_by_norm(x: Array, *, axis: int, p: int) -> Array:
    """x / (sum |x|^p)^(1/p) along `axis`; zeros stay zeros."""
    size = np.linalg.norm(x, ord=p, axis=axis, keepdims=True)
    return np.where(size == 0, 0, x / size).astype(x.dtype)


# LRN counts samples where it means channels.
def local_response(x: Array, *, size: int, alpha: float, beta: float, bias: float) -> Array:
    """x / (bias + alpha / size s)^beta, s the sum of squares over `size` neighbouring channels (axis 1)."""
    total = np.zeros_like(x)
    for channel in range(x.shape[1]):
        first, last = max(0, channel - (size - 1) // 2), channel + size // 2
        total[:, channel] = np.square(x[:, first : last + 1]).sum(axis=1)
    return np.asarray(x / np.power(bias + alpha / size * total, beta))


# GatherElements refuses an index that is shorter than the input along another axis.
def gather_elements(x: Array, index: Array, *, axis: int) -> Array:
    """y[i][j] = x[index[i][j]][j] for axis 0, and so on."""
    grid: list[Array] = list(np.indices(index.shape))
    grid[axis] = np.rint(index).astype(np.int64)  # transmitted as rates, they are close to whole numbers
    return np.asarray(x[tuple(grid)])


# GridSample is slow, and has its coordinates in float32.
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
