# SPDX-License-Identifier: Apache-2.0
"""The step functions of Chen's and MSAT's neurons and of the encoders against plain loops over one neuron at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from snncc.neurons.adaptive_if.step import adapted, adaptive_if_step, normalized
from snncc.neurons.encoder.step import interval_step, poisson_step
from snncc.neurons.msat.step import msat_step, msat_threshold

MSAT: dict[str, Any] = {"alpha": 0.3, "k_a": 1.0, "k_i": 2.0, "c": 5.0, "tau_mp": 0.5, "tau_rd": 0.7, "v_t": -1.0}


def chen_by_hand(currents: np.ndarray, th: float, eta: float, rule: str, subtract: str, adapt: bool) -> np.ndarray:
    """(T, neurons) currents of one sample: the emitted values, in normalised potentials (v / th)."""
    v, c, out = [0.0] * currents.shape[1], eta, []
    for x in currents:
        z = [i / th for i in x]
        m = max(z)
        if adapt and rule == "running_max":
            c = min(1.0, max(c, m))
        elif adapt and eta < m < 1:
            c = m
        row = []
        for i, psp in enumerate(z):
            v[i] += psp
            s = 1 if v[i] >= c else 0
            v[i] -= s * {"vmax": 1.0, "vcur": c, "graded": c}[subtract]
            row.append(s * th * (c if subtract == "graded" else 1.0))
        out.append(row)
    return np.array(out)


@pytest.mark.parametrize("rule", ["running_max", "alg2"])
@pytest.mark.parametrize("subtract", ["vmax", "vcur", "graded"])
@pytest.mark.parametrize("adapt", [True, False])
def test_chen(rule: Any, subtract: Any, adapt: bool) -> None:
    th, eta = 2.0, 0.75  # dyadic: sums are exact, ties occur
    currents = np.random.default_rng(5).integers(-8, 20, (30, 2, 6)) / 16  # two samples of six neurons
    c, u, found = np.full(2, eta), np.zeros((2, 6)), []
    for x in currents:
        if adapt:
            c = adapted(c, x, threshold=np.array(th), eta=eta, rule=rule, samples=2, axis=0)
        z, u = adaptive_if_step(u, x, c[:, None], threshold=np.array(th), subtract=subtract)
        found.append(z * th)
    for sample in range(2):
        wanted = chen_by_hand(currents[:, sample], th, eta, rule, subtract, adapt)
        assert wanted.any()
        assert np.array_equal(np.array(found)[:, sample], wanted)


def test_chen_at_equality_and_dead_neurons() -> None:
    th = np.array([1.0, 0.0])
    z, u = adaptive_if_step(np.zeros((1, 2)), np.array([[0.5, 9.0]]), np.array([[0.5]]), threshold=th, subtract="vmax")
    assert z.tolist() == [[1, 0]]
    assert u.tolist() == [[-0.5, 9.0]]  # the full quantum goes: the potential may become negative
    x = np.array([[0.25, 9.0]])
    assert adapted(np.array([0.7]), x, threshold=th, eta=0.7, rule="running_max", samples=1, axis=0) == [0.7]
    assert (
        adapted(np.array([0.7]), np.array([[3.0, 0]]), threshold=th, eta=0.7, rule="running_max", samples=1, axis=0)
        == 1
    )
    # algorithm 2 as printed ignores currents at or above the maximum, and may fall
    for m, wanted in ((3.0, 0.9), (0.8, 0.8), (0.6, 0.9), (1.0, 0.9)):
        found = adapted(np.array([0.9]), np.array([[m, 0]]), threshold=th, eta=0.7, rule="alg2", samples=1, axis=0)
        assert found == [wanted]


def msat_by_hand(currents: list[float], lam: float, dtt: bool, det: bool, burst: int, kept: list[bool]) -> list[float]:
    """methods.md section 5 for one neuron; returns what it emits."""
    v, residuals, out = 0.0, list[float](), []
    for t, current in enumerate(currents):
        x = current / lam
        th = 1.0
        if t > 0 and (dtt or det):
            d = v - sum(residuals) / len(residuals)
            total = 0.0
            if dtt:
                total += MSAT["tau_mp"] * (
                    MSAT["alpha"] * d + MSAT["v_t"] + MSAT["k_a"] * math.log(1 + math.exp(d / MSAT["k_i"]))
                )
            if det:
                total += MSAT["tau_rd"] * math.exp(-x / MSAT["c"])
            th = 1 / (1 + math.exp(-total))
        v += x
        s = max(0, min(burst, math.floor(v / th))) if v >= th else 0
        s = s if kept[t] else 0
        v -= th * s
        residuals.append(v)
        out.append(lam * th * s)
    return out


@pytest.mark.parametrize(("dtt", "det"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("burst", [1, 5])
def test_msat(dtt: bool, det: bool, burst: int) -> None:
    rng, lam = np.random.default_rng(6), 3.0
    currents, kept = rng.standard_normal((40, 5)) * 2 + 1, rng.random((40, 5)) < 0.8
    v, total, found = np.zeros(5), np.zeros(5), []
    for t, current in enumerate(currents):
        x = normalized(current, np.array(lam))
        th = msat_threshold(v - total / t, x, dtt=dtt, det=det, **MSAT) if t else np.ones(5)
        y, v = msat_step(v, x, th, burst=burst, keep=kept[t])
        total = total + v
        found.append(lam * y)
    wanted = [msat_by_hand(currents[:, i].tolist(), lam, dtt, det, burst, kept[:, i].tolist()) for i in range(5)]
    assert np.any(wanted)
    np.testing.assert_allclose(np.array(found).T, wanted, atol=1e-12)


def test_msat_fires_at_equality_and_a_dropped_spike_keeps_its_charge() -> None:
    one, keep = np.ones(2), np.array([True, False])
    y, v = msat_step(np.zeros(2), one, one, burst=1, keep=keep)
    assert (y.tolist(), v.tolist()) == ([1, 0], [0, 1])
    assert normalized(np.array([5.0, 4.0]), np.array([0.0, 2.0])).tolist() == [0, 2]
    strong = msat_threshold(np.zeros(1), np.array([-1e9]), dtt=False, det=True, **MSAT)
    assert strong == 1  # no overflow


def test_uniform_encoding_counts() -> None:
    x, scale = np.array([1.0, -0.3, 0.25, 7.0, 0.0]), np.array(2.0)
    total = np.zeros(5)
    for t in range(1, 41):
        y = interval_step(x, t - 1, t, scale=scale, phase=0.5)
        assert set(np.unique(y)) <= {-2.0, 0.0, 2.0}
        total += y
        wanted = np.sign(x) * 2 * np.floor(t * np.minimum(1, np.abs(x) / 2) + 0.5)
        assert np.array_equal(total, wanted)
    assert not interval_step(x, 4, 4, scale=scale, phase=0.5).any()  # the gate is closed
    assert not interval_step(x, 0, 1, scale=np.array(0.0), phase=0.5).any()


def test_poisson_encoding() -> None:
    x, scale = np.array([1.0, -1.0, 0.0, 9.0]), np.array(2.0)
    assert poisson_step(x, np.full(4, 0.4999), scale=scale).tolist() == [2, -2, 0, 2]
    assert poisson_step(x, np.full(4, 0.5), scale=scale).tolist() == [0, 0, 0, 2]  # r < p is strict
    assert not poisson_step(x, np.zeros(4), scale=np.array(0.0)).any()
