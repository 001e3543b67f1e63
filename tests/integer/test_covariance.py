# SPDX-License-Identifier: Apache-2.0
"""What weighted nodes see, against a simulation by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from small_networks import images, samples

from snncc.execute import reference
from snncc.functions.numpy.linear import convolution
from snncc.integer.covariance import STEPS, input_covariances
from snncc.ir.nodes import Conv
from snncc.ir.schedule import Schedule


@pytest.mark.parametrize("schedule", [Schedule(), Schedule(kind="window", steps=4)])
def test_mean_and_covariance_are_those_of_a_simulation(schedule: Schedule) -> None:
    """Of the mean inputs at every output position; C e gives the variance of e'x for any weights e."""
    net = images("signed", schedule=schedule)
    data = samples(net, 10)
    found = input_covariances(net, data)
    steps = reference.run(net, data.inputs, STEPS)
    rng = np.random.default_rng(0)
    convolutions = [n for n in net.nodes if isinstance(n, Conv)]
    assert len(convolutions) >= 3
    for node in convolutions:
        x = sum(step[node.inputs[0]] for step in steps) / schedule.divisor(STEPS)
        weight = rng.standard_normal(net.arrays[node.weight].shape)
        options = {"stride": node.stride, "padding": node.padding, "dilation": node.dilation, "groups": node.groups}
        y = np.moveaxis(convolution(x, weight, None, **options), 1, 0).reshape(len(weight), -1)
        inputs, each = found[node.name], len(weight) // node.groups
        assert inputs.covariance is not None
        rows = weight.reshape(node.groups, each, -1)
        variance = np.einsum("gof,gfh,goh->go", rows, inputs.covariance, rows).ravel()
        assert inputs.lost(weight) == pytest.approx(y.mean(1), abs=1e-4), node.name
        assert variance == pytest.approx(y.var(1), rel=1e-3, abs=1e-6), node.name
