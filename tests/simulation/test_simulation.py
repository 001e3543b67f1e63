# SPDX-License-Identifier: Apache-2.0
"""What `simulate` computes from outputs and counts."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.ir.readout import choices
from snncc.simulation.run import checkpoints, settled
from snncc.simulation.totals import Tally


@pytest.mark.parametrize(
    ("timesteps", "expected"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (9, (1, 2, 4, 8, 9))]
)
def test_checkpoints_are_powers_of_two_and_the_last_step(timesteps: int, expected: tuple[int, ...]) -> None:
    assert checkpoints(timesteps) == expected


def test_choices_are_arg_maxima_or_the_index_itself() -> None:
    assert choices(np.array([[0.1, 0.9], [3.0, 2.0]])).tolist() == [1, 0]
    assert choices(np.array([2.0, 0.9999999])).tolist() == [2, 1]
    assert choices(np.zeros((2, 2, 3))).tolist() == [0, 0]


def test_within_one_point_means_from_there_on() -> None:
    curve = {"1": 0.9, "2": 0.5, "4": 0.895, "8": 0.905}
    assert settled(curve, 0.9) == 4
    assert settled(curve, 0.5) == 1
    assert settled(curve, 0.95) is None
    assert settled({"1": 0.89}, 0.9) == 1


def test_a_tally_counts_by_sample() -> None:
    tally = Tally((1, 2))
    expected = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 1.0]])
    found = np.stack([np.zeros((3, 2)), expected * 0.5])
    tally.add(found, expected, np.array([1, 1, 1]))
    assert tally.by_step(tally.agree, 3) == {"1": 1 / 3, "2": 1.0}
    assert tally.by_step(tally.right, 3) == {"1": 0.0, "2": 2 / 3}
    assert tally.ann_right == 2
    assert tally.by_step(tally.squared, tally.power) == {"1": 1.0, "2": 0.25}


def test_labels_beyond_the_classes_give_no_accuracy() -> None:
    tally = Tally((1,))
    tally.add(np.zeros((1, 2, 2)), np.ones((2, 2)), np.array([0, 7]))
    assert not tally.classifies
