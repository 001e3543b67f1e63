# SPDX-License-Identifier: Apache-2.0
"""The pass `encode_uniform`."""

from __future__ import annotations

from two_layers import ann, two_layers

from snncc.conversion.verify import relative_power, simulated


def test_encoding_keeps_the_result_in_the_limit() -> None:
    errors = []
    for steps in (16, 256):
        made = two_layers(timesteps=steps, samples=16)
        made.spiking(kind="signed_if", negative="early")
        made.apply("encode_uniform")
        made.apply("balance_thresholds", granularity="neuron", reduce="max")
        net = made.apply("initialize_membrane", fraction=0.5)
        found = simulated(net, made.context.values, made.context.calibration.inputs, steps)
        errors.append(relative_power(found, {"y": ann(made, "y")}))
    assert errors[1] < errors[0] / 20
