# SPDX-License-Identifier: Apache-2.0
"""The pass `measure_spike_confidence`."""

from __future__ import annotations

import numpy as np
import pytest
from two_layers import ann, msat, two_layers

from snncc.execute.torch.engine import Engine
from snncc.ir.nodes import MsatIF


@pytest.mark.parametrize("layers", ["last", "all"])
def test_spike_confidence_is_the_share_of_neurons_that_should_be_silent(layers: str) -> None:
    made = two_layers(timesteps=12)
    msat(made)
    spiked: dict[str, np.ndarray] = {}
    feeds = {"x": made.context.calibration.inputs["x"][:50]}
    Engine(made.network).run(feeds, 12, observe=lambda n, s: spiked.update({n.name: (s != 0).any(0).numpy()}))
    net = made.apply("measure_spike_confidence", layers=layers, samples=50, steps=7)
    for neuron, potential in (("r", "c"), ("s", "h")):
        wrong = spiked[neuron] & (ann(made, potential)[:50] < 0)
        node = net[neuron]
        assert isinstance(node, MsatIF)
        measured = layers == "all" or neuron == "s"
        assert node.confidence == pytest.approx(1 - wrong.mean() if measured else 1)
        assert wrong.any() or neuron == "r"  # the first layer's current is constant: it never misleads
        assert node.unsure == (7 if measured else 16)
    assert net["r"].key != net["s"].key  # type: ignore[attr-defined]
