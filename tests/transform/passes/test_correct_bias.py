# SPDX-License-Identifier: Apache-2.0
"""The pass `correct_bias`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from two_layers import ann, two_layers

from small_models import Case
from snncc.conversion.verify import relative_power, simulated
from snncc.execute.torch.engine import Engine
from snncc.transform.passes.correct_bias import correct_bias


def test_correct_bias_removes_the_mean_error() -> None:
    """After the correction each channel's mean rate is nearer to the ANN's, layer by layer."""

    def errors(made: Case) -> list[float]:
        found: dict[str, Any] = {}
        net, feeds = made.network, made.context.calibration.inputs
        Engine(net).run(feeds, 4, observe=lambda node, s: found.update({node.name: s.mean(0).numpy()}))
        return [float(np.abs((found[n] - ann(made, n)).mean((0, 2, 3) if n == "r" else 0)).mean()) for n in ("r", "s")]

    made = two_layers(timesteps=4)
    made.spiking(kind="if")
    made.apply("minimize_threshold_error", granularity="channel")
    made.apply("initialize_membrane", fraction=0.5)

    before = errors(made)
    made.apply("correct_bias", rounds=3)
    after = errors(made)
    assert after[0] < before[0] / 2
    assert after[1] < before[1] / 2
    assert [type(n).__name__ for n in made.network.nodes].count("Affine") == 0  # absorbed into the biases
    assert correct_bias.needs == {"thresholds", "membrane"}


def test_the_first_layer_is_corrected_as_the_equation_says() -> None:
    made = two_layers(timesteps=4)
    made.spiking(kind="if")
    made.apply("balance_thresholds", granularity="layer", reduce="max")
    made.apply("initialize_membrane", fraction=0.0)
    current, th = ann(made, "c"), made.network.arrays["r/threshold"].item()
    old = made.network.arrays[made.network["c"].bias]  # type: ignore[attr-defined]
    u, rate = np.zeros_like(current), np.zeros_like(current)
    for _ in range(4):
        u += current
        z = u >= th
        u, rate = u - z * th, rate + z * th / 4
    wanted = (ann(made, "r") - rate).mean((0, 2, 3))
    net = made.apply("correct_bias", samples=96)
    np.testing.assert_allclose(net.arrays[net["c"].bias] - old, wanted, atol=1e-5)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["correct_bias", "match_currents"])
def test_corrections_follow_encoders_and_graded_spikes(name: str) -> None:
    """The correction sees what the network emits: graded values are not rounded to whole spikes."""
    made = two_layers(timesteps=8, samples=32)
    for before in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
        made.apply(before)
    made.apply("select_multistage_neuron")
    made.apply("encode_uniform")
    made.apply("balance_thresholds", reduce="max")
    made.apply("initialize_membrane", fraction=0.5)

    def error() -> float:
        feeds = made.context.calibration.inputs
        return relative_power(simulated(made.network, made.context.values, feeds, 8), {"y": ann(made, "y")})

    before_it = error()
    made.apply(name)
    assert error() < before_it
