# SPDX-License-Identifier: Apache-2.0
"""The step functions against transcriptions of the equations for one neuron, in exact fractions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snncc.neurons.integrate_and_fire.step import if_step
from snncc.neurons.leaky_if.step import leaky_if_step, phi
from snncc.neurons.signed_if.step import centred_if_step, resting_rate, signed_if_step

Trace = list[tuple[Fraction, Fraction, int]]
#: Multiples of 1/8 small enough that every sum and product in the tests is exact in float64.
eighths = st.integers(-40, 40).map(lambda k: Fraction(k, 8))
currents = st.lists(eighths, min_size=1, max_size=30)
thresholds = st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2)])
rules = st.sampled_from(["signed", "early"])


def if_by_hand(inputs: list[Fraction], th: Fraction, u: Fraction, reset: str) -> Trace:
    trace = []
    for x in inputs:
        u += x
        z = 1 if th > 0 and u >= th else 0
        if z:
            u = u - th if reset == "subtract" else Fraction(0)
        trace.append((Fraction(z), u, 0))
    return trace


def signed_by_hand(
    inputs: list[Fraction], th: Fraction, u: Fraction, negative: str, cap: int | None, levels: int, two_sided: bool
) -> Trace:
    trace, n = [], 0
    for x in inputs:
        u += x
        z = 0
        if th > 0 and levels == 1:
            if u >= th and (cap is None or n < cap):
                z = 1
            elif (n > 0 or two_sided) and {"early": u < 0, "at_zero": u <= 0, "signed": u <= -th}[negative]:
                z = -1
        elif th > 0:
            z = min(levels, max(-levels, math.floor(u / th)))
            if not two_sided:
                z = max(z, -n)
            if cap is not None:
                z = min(z, cap - n)
        u -= z * th
        n += z
        trace.append((Fraction(z), u, n))
    return trace


def array(x: Fraction | int) -> np.ndarray:
    return np.full((1, 1), float(x))


def same(trace: Trace, found: Iterator[tuple[np.ndarray, ...]]) -> None:
    for t, (wanted, got) in enumerate(zip(trace, found, strict=True)):
        assert [float(w) for w in wanted[: len(got)]] == [g.item() for g in got], f"step {t + 1}"


def stepped_if(inputs: list[Fraction], th: Fraction, u0: Fraction, reset: str) -> Iterator[tuple[np.ndarray, ...]]:
    u = array(u0)
    for x in inputs:
        z, u = if_step(u, array(x), threshold=array(th), reset=reset)
        yield z, u


def stepped_signed(
    inputs: list[Fraction], th: Fraction, u0: Fraction, negative: str, cap: int | None, levels: int, two_sided: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    u, n = array(u0), array(0)
    for x in inputs:
        if two_sided:
            z, u, n = leaky_if_step(u, n, array(x), threshold=array(th), negative=negative, levels=levels)
        else:
            z, u, n = signed_if_step(u, n, array(x), threshold=array(th), negative=negative, cap=cap, levels=levels)
        yield z, u, n


@settings(max_examples=100)
@given(inputs=currents, th=thresholds, u0=eighths, reset=st.sampled_from(["subtract", "zero"]))
def test_if_step(inputs: list[Fraction], th: Fraction, u0: Fraction, reset: str) -> None:
    same(if_by_hand(inputs, th, u0, reset), stepped_if(inputs, th, u0, reset))


@settings(max_examples=150)
@given(
    inputs=currents,
    th=thresholds,
    u0=eighths,
    rule=st.one_of(
        st.tuples(st.one_of(rules, st.just("at_zero")), st.one_of(st.none(), st.integers(0, 4)), st.just(1)),
        st.tuples(st.just("early"), st.one_of(st.none(), st.integers(0, 6)), st.integers(2, 4)),
    ),
)
def test_signed_if_step(inputs: list[Fraction], th: Fraction, u0: Fraction, rule: tuple[str, int | None, int]) -> None:
    negative, cap, levels = rule
    trace = signed_by_hand(inputs, th, u0, negative, cap, levels, False)
    assert all(0 <= n <= (math.inf if cap is None else cap) for _, _, n in trace)
    same(trace, stepped_signed(inputs, th, u0, negative, cap, levels, False))


@settings(max_examples=100)
@given(
    inputs=currents,
    th=thresholds,
    u0=eighths,
    rule=st.one_of(st.tuples(rules, st.just(1)), st.tuples(st.just("early"), st.integers(2, 4))),
)
def test_leaky_if_step(inputs: list[Fraction], th: Fraction, u0: Fraction, rule: tuple[str, int]) -> None:
    trace = signed_by_hand(inputs, th, u0, rule[0], None, rule[1], True)
    same(trace, stepped_signed(inputs, th, u0, rule[0], None, rule[1], True))


@pytest.mark.parametrize(
    ("name", "negative", "cap", "levels", "inputs", "wanted"),
    [
        # z at each step, threshold 1, u0 = 0
        ("at the threshold", "signed", None, 1, [1, 0], [1, 0]),
        ("just below it", "signed", None, 1, [0.875, 0.125], [0, 1]),
        ("zero is not below zero", "early", None, 1, [1, 0, 0], [1, 0, 0]),
        ("at zero too: the tie oscillates", "at_zero", None, 1, [1, 0, 0, 0], [1, -1, 1, -1]),
        ("below zero", "early", None, 1, [1, -0.125, 0], [1, -1, 0]),
        ("at minus the threshold", "signed", None, 1, [1, -1, 0], [1, -1, 0]),
        ("above minus the threshold", "signed", None, 1, [1, -0.875, 0], [1, 0, 0]),
        ("nothing to take back, early", "early", None, 1, [-3, 0, 1], [0, 0, 0]),
        ("nothing to take back, signed", "signed", None, 1, [-3, 0, 1], [0, 0, 0]),
        ("the cap keeps the excess", "early", 2, 1, [4, 0, 0, -1, -1.125, 0], [1, 1, 0, 0, -1, 0]),
        ("one a step", "early", None, 1, [3, 0, 0, 0], [1, 1, 1, 0]),
        ("three levels", "early", None, 3, [4, 0, -9, 0], [3, 1, -3, -1]),
        ("levels and cap", "early", 3, 2, [8, 0, 0], [2, 1, 0]),
        ("levels: a fraction below zero", "early", None, 2, [1, -0.125, 0], [1, -1, 0]),
    ],
)
def test_signed_cases(
    name: str, negative: str, cap: int | None, levels: int, inputs: list[float], wanted: list[int]
) -> None:
    fractions = [Fraction(x) for x in inputs]
    found = stepped_signed(fractions, Fraction(1), Fraction(0), negative, cap, levels, False)
    assert [step[0].item() for step in found] == wanted


@pytest.mark.parametrize(
    ("reset", "inputs", "wanted", "last"),
    [
        ("subtract", [1, 0], [1, 0], 0),
        ("subtract", [2.5, 0, 0], [1, 1, 0], 0.5),
        ("zero", [2.5, 0, 0.875], [1, 0, 0], 0.875),
        ("subtract", [-5, 5.5, 0.5], [0, 0, 1], 0),
    ],
)
def test_if_cases(reset: str, inputs: list[float], wanted: list[int], last: float) -> None:
    found = list(stepped_if([Fraction(x) for x in inputs], Fraction(1), Fraction(0), reset))
    assert [z.item() for z, _ in found] == wanted
    assert found[-1][1].item() == last


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dead_neurons_beside_living_ones(dtype: type) -> None:
    """A threshold of 0 never fires, whatever comes; types stay."""
    th, x = np.array([[0, 1]], dtype), np.array([[5, 5], [-5, -5], [0, 0]], dtype)
    u = n = np.zeros((3, 2), dtype)
    for reset in ("subtract", "zero"):
        z, v = if_step(u, x, threshold=th, reset=reset)
        assert z.tolist() == [[0, 1], [0, 0], [0, 0]]
        assert z.dtype == v.dtype == dtype
    for levels in (1, 3):
        for step in (lambda **k: signed_if_step(u, n, x, cap=None, **k), lambda **k: leaky_if_step(u, n, x, **k)):
            z, v, m = step(threshold=th, negative="early", levels=levels)
            assert not z[:, 0].any()
            assert z[0, 1] == min(levels, 5)
            assert v[:, 0].tolist() == [5, -5, 0]
            assert z.dtype == v.dtype == m.dtype == dtype


@pytest.mark.parametrize("slope", [0.0, 0.25, -1.0])
def test_phi(slope: float) -> None:
    n = np.arange(-3.0, 4.0)
    assert phi(n, slope=np.array(slope)).tolist() == [k if k >= 0 else slope * k for k in range(-3, 4)]


@settings(max_examples=100)
@given(
    inputs=st.lists(st.integers(-60, 60), max_size=20),
    th=st.integers(1, 20),
    u0=st.integers(-10, 20),
    cap=st.one_of(st.none(), st.integers(0, 12)),
    levels=st.integers(1, 4),
)
@example(inputs=[3, -3], th=1, u0=0, cap=None, levels=1)
def test_the_count_settles_at_the_quantised_value(
    inputs: list[int], th: int, u0: int, cap: int | None, levels: int
) -> None:
    """methods.md section 0: after the input stops, n goes monotonically to clip(floor((u0 + S) / th), 0, cap)."""
    wanted = min(max((u0 + sum(inputs)) // th, 0), math.inf if cap is None else cap)
    silence = [Fraction(0)] * 1300
    steps = [Fraction(x) for x in inputs] + silence
    found = stepped_signed(steps, Fraction(th), Fraction(u0), "early", cap, levels, False)
    counts = []
    for step in found:
        counts.append(step[2].item())
        if len(counts) > len(inputs) + 3 and len(set(counts[-3:])) == 1:
            break
    assert counts[-1] == wanted
    distance = [abs(n - wanted) for n in counts[len(inputs) :]]
    assert all(b < a or a == 0 for a, b in itertools.pairwise(distance))


@settings(max_examples=60)
@given(inputs=st.lists(st.integers(-30, 30), max_size=15), th=st.integers(1, 9), u0=st.integers(0, 9))
def test_the_signed_rule_settles_at_most_one_above(inputs: list[int], th: int, u0: int) -> None:
    """The dead band of u <= -th: the count rests at the quantised value or one above (methods.md section 3)."""
    steps = [Fraction(x) for x in inputs] + [Fraction(0)] * (30 * len(inputs) + 10)
    trace = list(stepped_signed(steps, Fraction(th), Fraction(u0), "signed", None, 1, False))
    quantised = max((u0 + sum(inputs)) // th, 0)
    assert trace[-1][2].item() - quantised in (0, 1)


@pytest.mark.parametrize("negative", ["signed", "early"])
def test_normalised_weights_and_balanced_thresholds_spike_alike(negative: str) -> None:
    """DNISNM: weights scaled by th_in / th_out with thresholds 1 (WN), or amplitudes th (TB); powers of two: exact."""
    rng = np.random.default_rng(3)
    w = [rng.integers(-8, 9, (6, 5)) / 4, rng.integers(-8, 9, (4, 6)) / 4]
    th = [2.0 ** rng.integers(-2, 3, 6), 2.0 ** rng.integers(-2, 3, 4)]
    inputs = rng.integers(-8, 9, (40, 7, 5)) / 4
    balanced: list[np.ndarray] = []
    normalised: list[np.ndarray] = []
    for kind in (balanced, normalised):
        scale = [1.0, 1.0] if kind is balanced else th
        states = [(np.full((7, len(t)), 0.5) * t / s, np.zeros((7, len(t)))) for t, s in zip(th, scale, strict=True)]
        for x in inputs:
            y = x
            for i in range(2):
                weight = w[i] if i == 0 or kind is balanced else w[i] * th[0]
                current = y @ weight.T / scale[i]
                z, *states[i] = signed_if_step(
                    *states[i], current, threshold=th[i] / scale[i], negative=negative, cap=None, levels=1
                )
                y = z * th[i] if kind is balanced else z
            kind.append(z)
    assert np.array_equal(balanced, normalised)
    assert {-1.0, 0.0, 1.0} == set(np.unique(balanced))


@settings(max_examples=100)
@given(
    inputs=currents,
    th=thresholds.filter(bool),
    centre=st.integers(0, 8),
    until=st.sampled_from([1, 2, 4, 8, 32]),
    levels=st.integers(1, 3),
)
def test_centred_if_step(inputs: list[Fraction], th: Fraction, centre: int, until: int, levels: int) -> None:
    """A centred neuron is a signed one that has emitted `centre` spikes and pays th centre/until back at each step."""
    u, n, total = array(th / 2), array(centre), 0.0
    by_hand, count = th / 2, centre
    for t, x in enumerate(inputs, 1):
        rest = Fraction(centre, until) if t <= until else Fraction(0)
        by_hand += x - rest * th
        z = max(-min(count, levels), min(levels, math.floor(by_hand / th)))
        by_hand, count = by_hand - z * th, count + z
        r = resting_rate(array(centre), until, t)
        found, u, n = centred_if_step(u, n, array(x), threshold=array(th), rest=r, levels=levels)
        total += float((found + r).item())
        assert (found.item(), u.item(), n.item(), r.item()) == (z, by_hand, count, rest)
    if len(inputs) >= until:
        assert total == n.item()  # the constant has paid for the count that it started with


def test_a_centred_neuron_of_threshold_0_is_silent() -> None:
    u, n, zero = array(0), array(0), array(0)
    z, u, n = centred_if_step(u, n, array(3), threshold=zero, rest=zero, levels=1)
    assert (z.item(), n.item()) == (0, 0)
