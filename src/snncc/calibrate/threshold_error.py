# SPDX-License-Identifier: Apache-2.0
"""The squared error of rates that counts of spikes can express, on a grid of thresholds, in one pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.calibrate.fused_errors import fused_errors
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for one request: `level` is the threshold at factor 1, `counts` the spikes in all steps.

    `mean` (shaped like `level`): counts move around k = round(mean counts / (f level)) instead of starting at 0.
    """

    level: Array
    counts: int
    mean: Array | None = None

    def limits(self, factor: float) -> tuple[Array, Array]:
        """The smallest and the largest count of each statistic at a factor, [statistics, 1]."""
        centre = np.zeros((self.level.size, 1), np.float32)
        if self.mean is not None:
            centre[:, 0] = resting_count(self.mean.ravel(), self.level.ravel() * factor, self.counts)
        return np.maximum(centre - self.counts, 0), centre + self.counts


def resting_count(mean: Array, level: Array, counts: int) -> Array:
    """The whole count nearest to a mean activation where `counts` spikes are worth `level`; 0 where level is 0."""
    return np.asarray(np.round(np.divide(mean * counts, level, out=np.zeros_like(level), where=level > 0)))


def add_errors(errors: Array, rows: Array, search: Search, factors: Array) -> None:
    """Add sum (r - clip(floor(r n/f + 1/2), low, high) f/n)^2 to errors [factors, rows]; r = rows/level, n = counts."""
    level, counts = search.level.ravel(), search.counts
    if fused_errors(errors, rows, level, None if search.mean is None else search.mean.ravel(), counts, factors):
        return
    inverse = np.divide(1, level, out=np.zeros(len(level)), where=level > 0).astype(np.float32)[:, None]
    limits = [search.limits(f) for f in factors]
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        for column in range(0, rows.shape[1], _BLOCK):
            part = slice(start, start + step)
            r = np.maximum(rows[part, column : column + _BLOCK] * inverse[part], 0, dtype=np.float32)
            q = np.empty_like(r)
            for i, (f, (low, high)) in enumerate(zip(factors, limits, strict=True)):
                np.multiply(r, np.float32(counts / f), out=q)
                q += np.float32(0.5)
                np.floor(q, out=q)
                np.minimum(np.maximum(q, low[part], out=q), high[part], out=q)
                q *= np.float32(f / counts)
                q -= r
                errors[i, part] += np.einsum("ij,ij->i", q, q)


def best_factors(
    values: Values,
    batches: Iterable[Mapping[str, Array]],
    wanted: Mapping[Request, Search],
    factors: Sequence[float],
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[Request, Array]:
    """For each request the factor f of its level that minimises E (a - clip(floor(a n/(f l) + 1/2), 0, n) f l/n)^2.

    l is the level and n the counts of a `Search`; with a mean, the clip is at k - n and k + n. Memory: one float64 per
    statistic and factor. The samples are cut into batches anew, so that the caller's cut does not matter.
    """
    names = list(dict.fromkeys(request.value for request in wanted))
    axes = {request.value: request.batch_axis for request in wanted}
    grid = np.asarray(factors, np.float64)
    errors = {request: np.zeros((len(grid), search.level.size)) for request, search in wanted.items()}
    seen = 0
    for feeds in rebatched(values, batches, names, axes):
        found = values.run(feeds, names, batch_axes=axes)
        for request, search in wanted.items():
            rows = observations(found[request.value], request, search.level.shape)
            rows = np.abs(rows) if request.absolute else rows
            add_errors(errors[request], rows, search, grid)
        seen += values.count(feeds)
        if progress is not None:
            progress(seen)
    return {request: grid[errors[request].argmin(0)].reshape(s.level.shape) for request, s in wanted.items()}
