# SPDX-License-Identifier: Apache-2.0
"""Streaming statistics of many rows at once, exactly independent of order and of the split into batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

import numpy as np

from snncc.errors import CalibrationError

RATIO = 1.02
NEURON_BINS = 256
WIDE_BINS = 2048

_LOG_RATIO = math.log(RATIO)
_BLOCK = 1 << 18  # elements worked on at a time, so that temporaries stay in the cache
_LIMB = 32  # bits
_UNIT = -52  # the sums are integers of 2**_UNIT
_UNSET = np.iinfo(np.int64).min // 2  # the top bin of a row without a positive value: below every bin


class ExactSum:
    """Sums of floats as integers, which unlike floats add up to the same in every order.

    Each value is rounded to a multiple of 2**-52; a sum is Σ_j limb[j]·2**(32 j − 52). Limbs are added as the
    magnitudes ask for them, so the whole range of float64 is covered.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._limbs: list[np.ndarray] = []

    def add(self, start: int, block: np.ndarray, largest: float) -> None:
        """Add the float64 `block` [r, s], s ≤ 2**20, of |values| ≤ largest, to the rows from `start` on."""
        bits = math.frexp(largest)[1] - _UNIT
        top = max(1, -(-bits // _LIMB))
        self._grow(top + 1)
        rest = block
        rows = slice(start, start + len(block))
        for j in range(top - 1, -1, -1):
            unit = math.ldexp(1.0, _UNIT + _LIMB * j)
            part = np.trunc(rest / unit) if j else np.rint(rest / unit)
            # Exact: integers below 2**32, of which at most 2**20 are added in float64.
            self._limbs[j][rows] += part.sum(axis=1).astype(np.int64)
            if j:
                rest = rest - part * unit
        self._carry(rows)

    def merge(self, other: ExactSum) -> None:
        """Add the sums of `other`, of as many rows."""
        self._grow(len(other._limbs))
        for mine, its in zip(self._limbs, other._limbs, strict=False):
            mine += its
        self._carry(slice(None))

    def mean(self, count: int) -> np.ndarray:
        """sum / count [rows], correctly rounded."""
        total = np.zeros(self._rows, object)
        for j, limb in enumerate(self._limbs):
            total += limb.astype(object) << (_LIMB * j)
        divisor = count << -_UNIT
        return np.array([int(value) / divisor for value in total], np.float64)

    def _grow(self, limbs: int) -> None:
        while len(self._limbs) < limbs:
            self._limbs.append(np.zeros(self._rows, np.int64))

    def _carry(self, rows: slice) -> None:
        # Keeps every limb but the topmost, which receives nothing but carries, far below the limit of int64.
        for low, high in zip(self._limbs, self._limbs[1:], strict=False):
            carry = low[rows] >> _LIMB
            low[rows] -= carry << _LIMB
            high[rows] += carry


class Moments:
    """Exact minimum, maximum and mean of each row; `count` observations per row."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.count = 0
        self.min = np.full(rows, np.inf)
        self.max = np.full(rows, -np.inf)
        self._sum = ExactSum(rows)

    @property
    def mean(self) -> np.ndarray:
        """The mean of each row, each observation rounded to a multiple of 2**-52. Raises CalibrationError if empty."""
        self._require_data()
        return self._sum.mean(self.count)

    def update(self, observations: np.ndarray) -> None:
        """Add `observations` [rows, n]. Raises CalibrationError for NaN and infinity."""
        if observations.ndim != 2 or len(observations) != self.rows:
            raise CalibrationError(f"expected observations [{self.rows}, n], given {list(observations.shape)}")
        self._admit(self.count + observations.shape[1])
        for start, block in _blocks(observations):
            low, high = block.min(axis=1) + 0.0, block.max(axis=1) + 0.0  # −0 becomes 0, or the order would show
            largest = max(-float(low.min()), float(high.max()), 0.0)
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise CalibrationError("there are NaN or infinite values among the observations")
            rows = slice(start, start + len(block))
            np.minimum(self.min[rows], low, out=self.min[rows])
            np.maximum(self.max[rows], high, out=self.max[rows])
            self._sum.add(start, block, largest)
            self._add_block(start, block, high)
        self.count += observations.shape[1]

    def merge(self, other: Self) -> None:
        """Add the observations of `other`, as if they had been given here. Raises CalibrationError if sizes differ."""
        if type(other) is not type(self) or other.rows != self.rows:
            raise CalibrationError("statistics of different kinds or numbers of rows cannot be merged")
        self._admit(self.count + other.count)
        np.minimum(self.min, other.min, out=self.min)
        np.maximum(self.max, other.max, out=self.max)
        self._sum.merge(other._sum)
        self.count += other.count

    def _admit(self, count: int) -> None:
        """Raise CalibrationError when `count` observations cannot be held."""

    def _add_block(self, start: int, block: np.ndarray, high: np.ndarray) -> None:
        """What a subclass does with the float64 `block` [r, s] of the rows from `start`, whose maxima are `high`."""

    def _require_data(self) -> None:
        if not self.count:
            raise CalibrationError("there are no observations", cure="give calibration data")


class LogHistogram(Moments):
    """Moments, and a histogram of the positive values of each row.

    Bin b holds RATIO**b ≤ x < RATIO**(b+1); the bins are the same for all rows. A row keeps `bins` consecutive bins
    (a power of two) whose top is the bin of its maximum: positive values below them are counted in `underflow`,
    values ≤ 0 in `zeros`. Bin b lies in column b mod bins, so that a window that moves up has only to empty the
    columns it leaves. A value that falls below an early window would fall below the last one too; so the result
    does not depend on the order.

    dtype: of the counts; int32 holds 2**31 − 1 observations per row in half the memory.
    """

    error = 0.01
    """Relative error of a percentile inside the window: half a bin is sqrt(1.02) − 1 = 0.00995, and rounding."""

    def __init__(self, rows: int, bins: int = WIDE_BINS, *, dtype: type[np.signedinteger[Any]] = np.int64) -> None:
        super().__init__(rows)
        self.bins = bins
        self.zeros = np.zeros(rows, np.int64)
        self.underflow = np.zeros(rows, np.int64)
        self._top = np.full(rows, _UNSET, np.int64)
        self._counts = np.zeros((rows, bins), dtype)

    def merge(self, other: Self) -> None:
        """Add the observations of `other`, exactly. Raises CalibrationError if the sizes differ."""
        if other.bins != self.bins:
            raise CalibrationError("histograms with different numbers of bins cannot be merged")
        super().merge(other)
        self.zeros += other.zeros
        self.underflow += other.underflow
        self._raise_top(0, other._top)
        for start in range(0, self.rows, rows := max(1, _BLOCK // self.bins)):
            row, column = np.nonzero(other._counts[start : start + rows])
            row += start
            top = other._top[row]
            self._deposit(row, top - ((top - column) & (self.bins - 1)), other._counts[row, column])

    def percentile(self, p: float, *, nonzero: bool = False) -> np.ndarray:
        """The smallest x [rows] that p % of the observations (nonzero: of the positive ones) do not exceed.

        That is the ⌈p·n/100⌉-th smallest observation (numpy's "inverted_cdf"), reported as min(geometric centre of
        its bin, maximum); 0 among the values ≤ 0 and in a row without observations; the lower edge of the window
        among those below it. p = 100 gives the maximum itself. Raises CalibrationError if empty or p ∉ [0, 100].
        """
        self._require_data()
        if not 0 <= p <= 100:
            raise CalibrationError(f"a percentile lies between 0 and 100, given {p}")
        if p == 100:
            return np.maximum(self.max, 0.0) if nonzero else self.max.copy()
        below = np.zeros(self.rows, np.int64) if nonzero else self.zeros
        total = self.count - self.zeros if nonzero else np.full(self.rows, self.count)
        # p means the decimal number that was written: 99.9 % of 1000 are 999, although the float 99.9 is a bit more.
        share = Fraction(repr(float(p))) / 100
        sizes, which = np.unique(total, return_inverse=True)
        rank = np.array([max(1, math.ceil(share * int(n))) for n in sizes], np.int64)[which]
        result = np.zeros(self.rows)
        for start in range(0, self.rows, step := max(1, _BLOCK // self.bins)):
            rows = slice(start, start + step)
            first, counts = self.counts(rows)
            inside = rank[rows] - below[rows] - self.underflow[rows]
            column = (np.cumsum(counts, axis=1) < inside[:, None]).sum(axis=1)
            with np.errstate(over="ignore"):
                centre = np.minimum(np.exp((first + column + 0.5) * _LOG_RATIO), self.max[rows])
                lowest = np.exp(first * _LOG_RATIO)
            positive = (rank[rows] > below[rows]) & (total[rows] > 0)
            result[rows] = np.where(positive, np.where(inside > 0, centre, lowest), 0.0)
        return result

    def counts(self, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """For `rows`: the lowest bin of each window [r], and the counts [r, bins] from that bin upwards."""
        first = self._top[rows] - (self.bins - 1)
        columns = (first[:, None] + np.arange(self.bins)) & (self.bins - 1)
        return first, np.take_along_axis(self._counts[rows], columns, axis=1)

    def _admit(self, count: int) -> None:
        if count > np.iinfo(self._counts.dtype).max:
            raise CalibrationError(
                f"more observations per row than {self._counts.dtype} can count", cure="use less data"
            )

    def _add_block(self, start: int, block: np.ndarray, high: np.ndarray) -> None:
        size = block.shape[1]
        place = np.flatnonzero(block > 0)
        row = place // size
        self.zeros[start : start + len(block)] += size - np.bincount(row, minlength=len(block))
        top = np.full(len(block), _UNSET, np.int64)
        top[high > 0] = _bin(high[high > 0])
        self._raise_top(start, top)
        self._deposit(row + start, _bin(block.ravel()[place]), np.ones(len(place), self._counts.dtype))

    def _raise_top(self, start: int, top: np.ndarray) -> None:
        """Move the windows of the rows from `start` up to `top`, and what they leave to `underflow`."""
        old = self._top[start : start + len(top)]
        moved = np.flatnonzero((top > old) & (old > _UNSET))
        shift = np.minimum(top[moved] - old[moved], self.bins)
        # The columns old+1 ... old+shift (mod bins) of each moved row hold the bins that fall off.
        row = np.repeat(moved, shift)
        ends = np.cumsum(shift)
        column = old[row] + 1 + np.arange(len(row)) - np.repeat(ends - shift, shift)
        column &= self.bins - 1
        lost = self._counts[row + start, column]
        np.add.at(self.underflow, row + start, lost.astype(np.int64))
        self._counts[row + start, column] = 0
        np.maximum(old, top, out=old)

    def _deposit(self, row: np.ndarray, place: np.ndarray, amount: np.ndarray) -> None:
        """Count `amount` in the bin `place` of each `row`; no bin lies above its row's window."""
        inside = place > self._top[row] - self.bins
        if not inside.all():
            outside = ~inside
            np.add.at(self.underflow, row[outside], amount[outside].astype(np.int64))
            row, place, amount = row[inside], place[inside], amount[inside]
        np.add.at(self._counts.reshape(-1), row * self.bins + (place & (self.bins - 1)), amount)


def _bin(values: np.ndarray) -> np.ndarray:
    bins: np.ndarray = np.floor(np.log(values) / _LOG_RATIO).astype(np.int64)
    return bins


def _blocks(observations: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """float64 pieces [r, s] of the observations, laid out as these, with the first row of each; s ≤ 2**18."""
    rows, columns = observations.shape
    if not rows or not columns:
        return
    step = max(1, _BLOCK // columns)
    for start in range(0, rows, step):
        for column in range(0, columns, _BLOCK):
            piece = observations[start : start + step, column : column + _BLOCK]
            yield start, piece.astype(np.float64)
