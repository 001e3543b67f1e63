# SPDX-License-Identifier: Apache-2.0
"""Steps of weights: least error, exact where weights are whole already."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.integer.weights import LARGEST, codes, steps


def error(weight: np.ndarray, step: np.ndarray, largest: int) -> float:
    return float(((weight - step.reshape(-1, 1) * codes(weight, step, largest)) ** 2).sum())


@pytest.mark.parametrize("largest", LARGEST.values(), ids=LARGEST)
def test_no_nearby_step_is_better(largest: int) -> None:
    weight = np.random.default_rng(0).standard_normal((5, 200)) * np.array([[1], [3], [0.1], [1], [1]])
    found = steps(weight, largest)
    assert found.shape == (5,)
    for factor in (0.5, 0.8, 1.25, 2.0):
        assert error(weight, found, largest) <= error(weight, found * factor, largest)
    assert np.abs(codes(weight, found, largest)).max() <= largest


def test_few_levels_clip_the_tails() -> None:
    weight = np.random.default_rng(1).standard_normal((1, 1000))
    assert steps(weight, 7)[0] * 7 < 0.8 * np.abs(weight).max()
    assert steps(weight, 127)[0] * 127 > 0.7 * np.abs(weight).max()


def test_ternary_weights_keep_their_magnitude() -> None:
    weight = np.array([[0.25, -0.25, 0, 0.25], [0, 3, 3, -3], [0, 0, 0, 0]])
    found = steps(weight, 127)
    assert np.array_equal(codes(weight, found, 127)[:2], np.sign(weight[:2]))
    assert found[:2].tolist() == [0.25, 3]
    assert found[2] > 0


def test_one_step_for_all() -> None:
    weight = np.random.default_rng(3).standard_normal((4, 50))
    assert len(set(steps(weight, 127, shared=True))) == 1
