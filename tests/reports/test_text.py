# SPDX-License-Identifier: Apache-2.0
"""How numbers read."""

import pytest

from snncc.reports.charts import fraction_axis, round_marks
from snncc.reports.text import amount, interval, lost, points, quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (18.04, "uJ", "18 µJ"),
        (1.9e6, "pJ", "1.9 µJ"),
        (432e6, "pJ", "432 µJ"),
        (12.0, "pJ", "12 pJ"),
        (999.99, "pJ", "1 nJ"),
        (0.0, "pJ", "0 pJ"),
        (17.7e6, "SOP", "17.7 MSOP"),
        (0.25, "SOP", "0.25 SOP"),
        (999_999, "bit", "1 Mbit"),
        (None, "bit", "-"),
    ],
)
def test_quantities(value: float | None, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_numbers() -> None:
    assert (amount(1.48e6), amount(558), amount(0.0), amount(None)) == ("1.48 M", "558", "0", "-")
    assert (points(0.266), points(-0.016), points(-1e-9), points(None)) == ("+26.6", "-1.6", "0.0", "-")
    assert interval(0.034, 0.17) == "3.4 to 17.0 %"
    assert lost(0.906, "quantisation") == "90.6 points lost to quantisation"
    assert lost(-0.016, "asynchrony") == "1.6 points regained by asynchrony"


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [(-2.3, 27.3, [0, 10, 20]), (0, 1e-9, [0, 2e-10, 4e-10, 6e-10, 8e-10, 1e-9]), (0, 6, [0, 2, 4, 6])],
)
def test_round_marks(low: float, high: float, marks: list[float]) -> None:
    assert round_marks(low, high) == pytest.approx(marks)


@pytest.mark.parametrize(
    ("least", "first", "count"), [(0.0, "0 %", 5), (0.62, "50 %", 6), (0.75, "75 %", 6), (0.97, "90 %", 6)]
)
def test_the_axis_of_fractions_begins_below_what_is_drawn(least: float, first: str, count: int) -> None:
    up, marks = fraction_axis(least)
    assert (marks[0][1], len(marks), marks[-1][1]) == (first, count, "100 %")
    assert marks[-1][0] == up(1) < up(least) <= marks[0][0]
