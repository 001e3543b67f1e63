# SPDX-License-Identifier: Apache-2.0
"""Rounding with error feedback: currents err less than with each weight rounded alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from snncc.integer.rounding import BLOCK, InputCovariance, inverse_root, rounded
from snncc.integer.weights import codes, steps


def inputs(rng: np.random.Generator, groups: int, features: int) -> InputCovariance:
    """Of inputs that go together: a few causes and some noise."""
    causes = rng.standard_normal((groups, 3, features))
    noise = 0.1 * np.eye(features)
    return InputCovariance(rng.random((groups, features)), causes.transpose(0, 2, 1) @ causes + noise)


def error(found: InputCovariance, difference: np.ndarray) -> np.ndarray:
    """The variance of each output's error."""
    rows = difference.reshape(len(found.mean), -1, found.mean.shape[1])
    return np.asarray(np.einsum("gof,gfh,goh->go", rows, found.covariance, rows).ravel())


@pytest.mark.parametrize("largest", [127, 7, 1])
@pytest.mark.parametrize("groups", [1, 2])
def test_currents_err_less(largest: int, groups: int) -> None:
    rng = np.random.default_rng(0)
    found, weight = inputs(rng, groups, BLOCK + 6), rng.standard_normal((8, (BLOCK + 6) // 2, 2))
    step = steps(weight, largest)
    column = step.reshape(-1, 1, 1)
    whole = found.codes(weight, step, largest)
    assert np.array_equal(whole, np.rint(whole))
    assert np.abs(whole).max() <= largest
    alone = error(found, weight - column * codes(weight, step, largest))
    together = error(found, weight - column * whole)
    assert together.sum() < 0.5 * alone.sum()
    best = found.best_steps(weight, step, largest, shared=False)
    chosen = error(found, weight - best.reshape(-1, 1, 1) * found.codes(weight, best, largest))
    assert (chosen <= together * (1 + 1e-9)).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    found, rows = inputs(rng, 1, 20), rng.standard_normal((4, 20))
    assert found.covariance is not None
    root = inverse_root(found.covariance[0])
    whole = rounded(rows, np.full(4, 0.5), 7, root)
    for block in (1, 3):
        monkeypatch.setattr("snncc.integer.rounding.BLOCK", block)
        assert np.array_equal(rounded(rows, np.full(4, 0.5), 7, root), whole)


def test_near_the_best_of_all() -> None:
    """Against every choice of ternary weights."""
    rng = np.random.default_rng(2)
    found, weight = inputs(rng, 1, 6), rng.standard_normal((5, 6))
    step = steps(weight, 1)
    every = np.array(list(itertools.product((-1, 0, 1), repeat=6)))
    for row, s, whole in zip(weight, step, found.codes(weight, step, 1), strict=True):
        least = min(float(error(found, (row - s * q)[None])[0]) for q in every)
        alone = error(found, (row - s * codes(row[None], np.array([s]), 1)[0])[None])
        assert least - 1e-9 <= error(found, (row - s * whole)[None])[0] <= alone[0] + least


def test_whole_weights_stay() -> None:
    rng = np.random.default_rng(3)
    found, weight = inputs(rng, 1, 12), 0.3 * rng.integers(-1, 2, (3, 12))
    step = steps(weight, 127)
    assert np.array_equal(found.best_steps(weight, step, 127, shared=False), step)
    assert np.array_equal(found.codes(weight, step, 127), np.rint(weight / 0.3))


def test_shared_step_and_inputs_that_are_never_there() -> None:
    rng = np.random.default_rng(4)
    found = inputs(rng, 1, 12).over(np.array([[0.0, 2.0, *[1.0] * 10]]))
    assert found.covariance is not None
    assert not found.covariance[0, 0].any()
    weight = rng.standard_normal((3, 12))
    step = found.best_steps(weight, steps(weight, 7, shared=True), 7, shared=True)
    assert len(set(step)) == 1
    assert found.codes(weight, step, 7)[:, 0].tolist() == codes(weight, step, 7)[:, 0].tolist()


def test_without_a_covariance_each_weight_is_rounded_alone() -> None:
    found, weight = InputCovariance(np.ones((1, 4)), None), np.random.default_rng(5).standard_normal((2, 4))
    step = steps(weight, 7)
    assert np.array_equal(found.best_steps(weight, step, 7, shared=False), step)
    assert np.array_equal(found.codes(weight, step, 7), codes(weight, step, 7))
    assert found.lost(weight) == pytest.approx(weight.sum(1))
