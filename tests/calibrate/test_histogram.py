# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snncc.calibrate.histogram import NEURON_BINS, LogHistogram, Moments
from snncc.errors import CalibrationError

# Magnitudes from far below to far above a window, and exact repetitions.
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1.02, -2.5]),
    st.floats(-40, 40).map(lambda e: math.copysign(2.0**e, e)),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(0, 10),
)
DATA = hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=VALUES)


def state(histogram: LogHistogram) -> list[bytes]:
    arrays = [
        histogram.min,
        histogram.max,
        histogram.mean,
        histogram.zeros,
        histogram.underflow,
        *histogram.counts(),
        histogram.percentile(37.5),
        histogram.percentile(99.9, nonzero=True),
    ]
    return [array.tobytes() for array in arrays] + [str(histogram.count).encode()]


def histogram(data: np.ndarray, pieces: int = 1, bins: int = 16) -> LogHistogram:
    result = LogHistogram(len(data), bins)
    for piece in np.array_split(data, pieces, axis=1):
        result.update(piece)
    return result


@given(DATA, st.randoms(use_true_random=False), st.integers(1, 30))
def test_order_and_split_leave_every_bit_unchanged(data: np.ndarray, random: object, pieces: int) -> None:
    order = list(range(data.shape[1]))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert state(histogram(data)) == state(histogram(np.asfortranarray(data[:, order]), pieces))


@given(DATA, st.integers(0, 30))
def test_merge_is_exact(data: np.ndarray, cut: int) -> None:
    left, right = histogram(data[:, :cut]), histogram(data[:, cut:])
    left.merge(right)
    assert state(left) == state(histogram(data))


@given(DATA)
def test_mean_is_the_exact_mean_to_the_unit(data: np.ndarray) -> None:
    moments = Moments(len(data))
    moments.update(data)
    for row, mean in zip(data, moments.mean, strict=True):
        exact = sum(map(Fraction, row.tolist())) / len(row)
        assert abs(Fraction(float(mean)) - exact) <= Fraction(1, 2**53) + abs(exact) / 2**53
    np.testing.assert_array_equal(moments.min, data.min(axis=1))
    np.testing.assert_array_equal(moments.max, data.max(axis=1))


def test_sums_cover_the_range_of_float64() -> None:
    moments = Moments(2)
    moments.update(np.array([[1.5e308, -1.5e308, 3.0, 0.0], [1.5e308, 1.7e308, 1.7e308, 1.7e308]]))
    np.testing.assert_allclose(moments.mean, [0.75, 1.65e308], rtol=1e-15)


@pytest.mark.parametrize("p", [0.0, 1.0, 25.0, 50.0, 75.0, 99.0, 100.0])
@pytest.mark.parametrize("nonzero", [False, True])
@pytest.mark.parametrize("bins", [NEURON_BINS, 2048])
def test_percentiles_against_numpy(p: float, nonzero: bool, bins: int) -> None:
    data = np.random.default_rng(1).standard_normal((5, 1000)) * 10.0 ** np.arange(-4, 6, 2)[:, None]
    found = histogram(data, 7, bins).percentile(p, nonzero=nonzero)
    for row, got in zip(data, found, strict=True):
        want = np.percentile(row[row > 0] if nonzero else row, p, method="inverted_cdf")
        edge = row.max() / 1.02 ** (bins - 1)
        want = want if want > edge or want <= 0 else edge
        assert got == max(want, 0) if p == 100 else got == pytest.approx(max(want, 0), rel=LogHistogram.error * 2.1)
        if want > edge * 1.02:
            assert got == pytest.approx(want, rel=LogHistogram.error)


def test_ranks_follow_the_decimal_number() -> None:
    data = np.arange(1.0, 1001.0)[None]
    assert histogram(data, bins=512).percentile(99.9)[0] == pytest.approx(999, rel=0.01)
    few = np.array([[1.0] * 999 + [2.0]])
    assert histogram(few, bins=64).percentile(99.9)[0] < 1.1 < histogram(few, bins=64).percentile(99.91)[0]


def test_zeros_underflow_and_empty_rows() -> None:
    data = np.array([[0.0, -3.0, 1.0, 1.0], [0.0, 0.0, -1.0, -2.0], [1e-6, 1e-6, 1e-6, 1.0]])
    found = histogram(data)
    assert found.zeros.tolist() == [2, 4, 0]
    assert found.underflow.tolist() == [0, 0, 3]
    assert found.percentile(50)[:2].tolist() == [0.0, 0.0]
    assert found.percentile(50)[2] == pytest.approx(1.02**-15)
    assert found.percentile(100).tolist() == [1.0, 0.0, 1.0]
    assert found.percentile(50, nonzero=True)[:2].tolist() == [1.0, 0.0]
    assert found.percentile(100, nonzero=True).tolist() == [1.0, 0.0, 1.0]
    first, counts = found.counts()
    assert first[0] == -15
    assert counts.sum(axis=1).tolist() == [2, 0, 1]


def test_refusals() -> None:
    empty = LogHistogram(2)
    for ask in (lambda: empty.mean, lambda: empty.percentile(50)):
        with pytest.raises(CalibrationError, match="no observations"):
            ask()
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(CalibrationError, match="NaN or infinite"):
            empty.update(np.array([[1.0], [bad]]))
    with pytest.raises(CalibrationError, match=r"expected observations \[2, n\]"):
        empty.update(np.zeros((3, 1)))
    with pytest.raises(CalibrationError, match="cannot be merged"):
        empty.merge(LogHistogram(3))
    with pytest.raises(CalibrationError, match="cannot be merged"):
        empty.merge(LogHistogram(2, 64))
    with pytest.raises(CalibrationError, match="between 0 and 100"):
        histogram(np.ones((1, 1))).percentile(101)
    small = LogHistogram(1, 16, dtype=np.int32)
    small.count = 2**31 - 1
    with pytest.raises(CalibrationError, match="more observations per row than int32"):
        small.update(np.ones((1, 1)))
