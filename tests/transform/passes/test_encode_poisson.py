# SPDX-License-Identifier: Apache-2.0
"""The pass `encode_poisson`."""

from __future__ import annotations

import numpy as np
import pytest
from two_layers import two_layers

from snncc.execute.torch.engine import Engine
from snncc.ir.nodes import Encoder


@pytest.mark.parametrize("kind", ["poisson", "uniform"])
def test_encoded_inputs(kind: str) -> None:
    made = two_layers(timesteps=16, samples=32)
    made.spiking(kind="if")
    made.apply(f"encode_{kind}")
    made.apply("balance_thresholds", reduce="max")
    net = made.apply("initialize_membrane", fraction=0.5)
    x = made.context.calibration.inputs["x"]
    node = net["x.spikes"]
    assert isinstance(node, Encoder)
    assert net["c"].inputs == ("x.spikes",)
    scale = float(np.abs(x).max())
    assert float(net.arrays[node.scale]) == pytest.approx(scale)
    series: dict[str, np.ndarray] = {}
    steps = 400
    Engine(net).run({"x": x}, steps, observe=lambda n, s: series.update({n.name: s.numpy().copy()}), count=False)
    spikes = series["x.spikes"]
    assert set(np.round(np.unique(spikes) / scale).tolist()) == {-1.0, 0.0, 1.0}
    error = spikes.mean(0) - x
    if kind == "uniform":
        assert np.abs(error).max() <= 0.51 * scale / steps
    else:
        p = np.abs(x) / scale
        deviation = scale * np.sqrt(p * (1 - p) / steps)
        inside = deviation > 0
        assert np.std(error[inside] / deviation[inside]) == pytest.approx(1, abs=0.05)
        assert np.abs(error[inside] / deviation[inside]).max() < 6
