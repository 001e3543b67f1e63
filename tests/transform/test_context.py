# SPDX-License-Identifier: Apache-2.0
"""Calibration statistics are those of the samples and of the network that a pass sees."""

from __future__ import annotations

import numpy as np

from small_models import Case, dataset, lowered, parsed

RISING = np.array([[1.0], [2.0], [3.0], [10.0]], np.float32)


def largest(case: Case, *, samples: int | None = None) -> float:
    """The largest value of `r`."""
    context = case.context if samples is None else case.context.with_samples(samples)
    request = context.request("r", "layer")
    return float(context.statistics([request])[request].max.max())


def case() -> Case:
    model = parsed("g (float[N,1] x) => (float[N,1] y) { r = Relu(x)  y = MatMul(r, w) }", w=np.eye(1))
    return lowered(model, dataset(x=RISING))


def test_fewer_samples_have_statistics_of_their_own() -> None:
    found = case()
    assert largest(found, samples=2) == 2
    assert largest(found) == 10
    assert largest(found, samples=2) == 2


def test_notes_of_a_pass_with_fewer_samples_are_kept() -> None:
    found = case()
    found.context.with_samples(1).note("information", "r", "seen")
    assert [note.text for note in found.context.notes] == ["seen"]


def test_statistics_of_a_value_that_a_pass_has_moved_are_taken_anew() -> None:
    found = case()
    assert largest(found) == 10
    halved = found.network.replaced([], {})
    scale = parsed("g (float[N,1] x) => (float[N,1] r) { r = Mul(x, h) }", h=np.float32([0.5]))
    moved = lowered(scale, dataset(x=RISING)).network
    found.context.values.network = halved.replaced([moved["r"]], dict(moved.arrays))
    assert largest(found) == 10  # nobody has said that anything moved
    found.context.values.diverge(["r"])
    assert largest(found) == 5
