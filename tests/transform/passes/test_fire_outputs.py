# SPDX-License-Identifier: Apache-2.0
"""The pass `fire_outputs`."""

from __future__ import annotations

import numpy as np
import pytest
from two_layers import TWO_LAYERS, ann, two_layers

from snncc.conversion.verify import simulated
from snncc.errors import RecipeError
from snncc.ir.nodes import IF


def test_outputs_that_fire() -> None:
    made = two_layers(timesteps=64)
    made.spiking(kind="if")
    net = made.apply("fire_outputs")
    assert isinstance(net["y"], IF)
    assert net["y"].inputs == ("y.current",)
    made.apply("balance_thresholds", reduce="max")
    net = made.apply("initialize_membrane", fraction=0.5)
    assert net.arrays["y/threshold"].item() == pytest.approx(ann(made, "y").max())
    found = simulated(net, made.context.values, made.context.calibration.inputs, 64)["y"]
    assert found.min() >= 0  # negative logits never leave
    counts = found * 64 / net.arrays["y/threshold"].item()
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    sure = np.sort(ann(made, "y"), 1)
    sure = (sure[:, -1] - sure[:, -2] > 0.5) & (sure[:, -1] > 0.5)
    assert sure.sum() > 10
    assert np.mean(found.argmax(1)[sure] == ann(made, "y").argmax(1)[sure]) > 0.9
    with pytest.raises(RecipeError, match="set already"):
        made.apply("fire_outputs")


def test_outputs_that_cannot_fire() -> None:
    made = two_layers(graph=TWO_LAYERS.replace("y = Gemm(s, u, d)", "z = Gemm(s, u, d) y = Softmax(z)"))
    made.spiking(kind="if")
    with pytest.raises(RecipeError, match="not linear"):
        made.apply("fire_outputs")


def test_the_readout_is_an_option() -> None:
    made = two_layers()
    net = made.spiking(kind="if")
    assert made.apply("fire_outputs", readout="membrane") is net
