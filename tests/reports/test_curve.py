# SPDX-License-Identifier: Apache-2.0
"""The interval of a proportion."""

import math

import pytest

from snncc.reports.curve import Z, wilson
from snncc.reports.document import rounded


@pytest.mark.parametrize(("value", "count"), [(0.0, 10), (1.0, 64), (0.5, 7), (0.9, 500), (1 / 3, 3)])
def test_the_bounds_are_the_proportions_that_the_observation_just_does_not_contradict(value: float, count: int) -> None:
    low, high = wilson(value, count)
    assert 0 <= low <= value <= high <= 1
    for bound in (low, high):
        if bound not in (0.0, 1.0):
            assert abs(value - bound) == pytest.approx(Z * math.sqrt(bound * (1 - bound) / count))


def test_published_example() -> None:
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)  # z² / (n + z²)


def test_rounded() -> None:
    assert rounded(1 / 3) == 0.333333
    assert rounded(float("nan")) is None
    assert rounded(float("inf")) is None
