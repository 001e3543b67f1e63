# SPDX-License-Identifier: Apache-2.0
"""The papers' metrics on a network small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from small_models import dataset, lowered, normal, parsed
from snncc.execute.torch.synapses import fan_out
from snncc.simulation.metrics import (
    AC_PJ,
    MAC_PJ,
    energies,
    firing_rate,
    latency,
    lossless,
    presynaptic,
    rate_operations,
)

GRAPH = """
g (float[N, 2] x) => (float[N, 5] y) {
  a = Gemm(x, w, b) r = Relu(a) h = Gemm(r, v, c) s = Relu(h) t = Add(r, s) k = Gemm(t, q, c) z = Relu(k)
  y = Gemm(z, u, d)
}
"""


def test_latency() -> None:
    curve = {1: 0.1, 2: 0.885, 3: 0.87, 4: 0.9}
    assert latency(curve) == 2  # 0.0167: the first, although a later one is off again
    assert latency({1: 0.882, 2: 0.9}) == 2  # exactly 2 % is not below it
    assert latency({1: 0.2, 5: 0.0}) is None
    assert latency({3: 0.5}) == 3


def test_lossless() -> None:
    curve = {1: 0.1, 2: 0.89, 3: 0.93}
    assert lossless(curve, 0.9, 0.01) == 2
    assert lossless(curve, 0.9) == 3
    assert lossless(curve, 0.95) is None


def test_energies() -> None:
    case = lowered(
        parsed(
            GRAPH,
            w=normal(1, 2, 3), b=normal(2, 3), v=normal(3, 3, 3), c=normal(4, 3), q=normal(5, 3, 3), u=normal(6, 3, 5),
            d=normal(7, 5),
        ),
        dataset(x=normal(8, 16, 2)),
    )  # fmt: skip
    case.spiking(kind="if")
    net = case.network
    assert presynaptic(net) == {
        "a": frozenset(),
        "h": frozenset({"r"}),
        "k": frozenset({"r", "s"}),
        "y": frozenset({"z"}),
    }
    events = {"r": np.array([[4, 0, 2]]), "s": np.array([[1, 1, 1]]), "z": np.array([[0, 6, 0]])}
    samples, steps = 2, 5
    assert firing_rate(events, steps, samples) == pytest.approx(15 / (9 * 10))
    first, by_rate = rate_operations(net, events, samples)
    assert first == 2 * 3
    assert by_rate == pytest.approx(9 * 3 / 3 + 9 * (3 + 1.5) / 6 + 15 * 3 / 3)
    found = energies(net, events, fan_out(net), timesteps=steps, samples=samples)
    macs = 6 + 9 + 9 + 15
    sops = (6 * (3 + 3) + 3 * 3 + 6 * 5) / samples  # r feeds h and k, s feeds k, z feeds y
    assert [e.ann for e in found] == pytest.approx([MAC_PJ * macs * 1e-6] * 2 + [4 * (9 + 9)])
    assert [e.snn for e in found] == pytest.approx(
        [(MAC_PJ * 6 + AC_PJ * sops) * 1e-6, (MAC_PJ * 6 + AC_PJ * by_rate) * 1e-6, (6 * 6 + 3 * 3) / samples]
    )
    assert found[0].ratio == pytest.approx(found[0].snn / found[0].ann)
    again = energies(net, events, fan_out(net), timesteps=steps, samples=samples, cached=False)
    assert again[0].snn - found[0].snn == pytest.approx(MAC_PJ * 6 * (steps - 1) * 1e-6)
    assert "each of the 5 steps" in again[0].formula
    assert "once" in found[0].formula
