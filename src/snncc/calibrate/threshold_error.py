# SPDX-License-Identifier: Apache-2.0
"""The squared error of rates that counts of spikes can express, on a grid of thresholds, in one pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.calibrate.statistics import Request, Values, rebatched

Array = npt.NDArray[Any]
_BLOCK = 1 << 15  # elements worked on at a time: two float32 temporaries stay in the cache


def observations(value: Array, request: Request, shape: tuple[int, ...]) -> Array:
    """The value as [statistics, observations], for statistics of `shape` (see `Summary.shape`)."""
    at = request.batch_axis % value.ndim
    if request.granularity == "neuron":
        k = shape[at]
        split = value.reshape(*value.shape[:at], value.shape[at] // k, k, *value.shape[at + 1 :])
        value = np.moveaxis(split, at, -1)
    elif request.granularity == "channel":
        value = np.moveaxis(value, request.axis, 0)
    return value.reshape(int(np.prod(shape)), -1)


def add_errors(errors: Array, rows: Array, level: Array, factors: Array, counts: int) -> None:
    """Add sum (r - min(floor(r n/f + 1/2), n) f/n)^2, r = rows/level, n = `counts`, to errors [factors, rows]."""
    inverse = np.divide(1, level, out=np.zeros(len(level)), where=level > 0).astype(np.float32)[:, None]
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        for column in range(0, rows.shape[1], _BLOCK):
            part = slice(start, start + step)
            r = np.maximum(rows[part, column : column + _BLOCK] * inverse[part], 0, dtype=np.float32)
            q = np.empty_like(r)
            for i, f in enumerate(factors):
                np.multiply(r, np.float32(counts / f), out=q)
                q += np.float32(0.5)
                np.floor(q, out=q)
                np.minimum(q, np.float32(counts), out=q)
                q *= np.float32(f / counts)
                q -= r
                errors[i, part] += np.einsum("ij,ij->i", q, q)


def best_factors(
    values: Values,
    batches: Iterable[Mapping[str, Array]],
    wanted: Mapping[Request, tuple[Array, int]],
    factors: Sequence[float],
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[Request, Array]:
    """For each request the factor f of its level that minimises E (a - clip(floor(a n/(f l) + 1/2), 0, n) f l/n)^2.

    `wanted` gives the level l (an array of the statistic's shape) and n, the largest count of spikes. Memory: one
    float64 per statistic and factor. The samples are cut into batches anew, so that the caller's cut does not matter.
    """
    names = list(dict.fromkeys(request.value for request in wanted))
    axes = {request.value: request.batch_axis for request in wanted}
    grid = np.asarray(factors, np.float64)
    errors = {request: np.zeros((len(grid), level.size)) for request, (level, _) in wanted.items()}
    seen = 0
    for feeds in rebatched(values, batches, names, axes):
        found = values.run(feeds, names, batch_axes=axes)
        for request, (level, counts) in wanted.items():
            rows = observations(found[request.value], request, level.shape)
            rows = np.abs(rows) if request.absolute else rows
            add_errors(errors[request], rows, level.ravel(), grid, counts)
        seen += values.count(feeds)
        if progress is not None:
            progress(seen)
    return {request: grid[errors[request].argmin(0)].reshape(level.shape) for request, (level, _) in wanted.items()}
