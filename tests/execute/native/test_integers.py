# SPDX-License-Identifier: Apache-2.0
"""Integer networks in the generated C against torch in floats that hold every whole number: every spike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from chains import Chain, samples

from small_models import dataset
from snncc.execute.native.kernels import LayerPlan
from snncc.execute.native.program import Layer, Route
from snncc.integer import IntegerNetwork, lower
from snncc.integer.executor import IntegerExecutor
from snncc.integer.native import NativeIntegers
from snncc.ir.network import Network
from snncc.ir.nodes import IF

T, POINTS = 6, (1, 3, 6)


def shortcut(c: Chain) -> str:
    """An identity shortcut in units of its own; several spikes in a step; depthwise; an event-driven maximum."""
    a = c.neuron(c.conv("x", 16), levels=2, scale=0.5)
    b = c.neuron(c.sum(c.conv(c.neuron(c.conv(a, 16)), 16), a))
    d = c.max_pool(c.neuron(c.conv(b, 16, groups=16), cap=3))
    return c.linear(c.flat(c.neuron(c.conv(d, 40), kind=IF)), 4)


def wide(c: Chain) -> str:
    """So many inputs that sums need 32 bits, and lists of events 16."""
    a = c.neuron(c.conv("x", 150), scale=0.25)
    return c.linear(c.flat(c.neuron(c.conv(a, 64))), 3)


def lowered(build: Callable[[Chain], str]) -> tuple[Network, IntegerNetwork]:
    chain = Chain(shape=(3, 6, 6))
    net = chain.network(build(chain))
    return net, lower(net, dataset(**samples(net, 8)), max_timesteps=T)


@pytest.mark.parametrize("route", ["auto", "events", "dense"])
@pytest.mark.parametrize("build", [shortcut, wide], ids=lambda f: f.__name__)
def test_spikes_and_sums_are_those_of_the_definition(build: Callable[[Chain], str], route: Route) -> None:
    net, integer = lowered(build)
    feeds = samples(net)
    found = NativeIntegers(integer, steps=4, threads=2, route=route).run(feeds, T, POINTS)
    expected = IntegerExecutor(integer, device="cpu", steps=T).run(feeds, T, POINTS)
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)
    assert (found.positive, found.negative) == (expected.positive, expected.negative)
    assert 0 < found.negative < found.positive
    for name, y in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], y)


def test_sums_are_as_narrow_as_is_proved() -> None:
    """150 x 9 weights of up to 127 can exceed 16 bits in all, 32 x 3 of them (one list) cannot."""
    _, integer = lowered(wide)
    engine = NativeIntegers(integer, steps=T, threads=1).native.engine
    layers = [step for step in engine.program.steps if isinstance(step, Layer) and step.terms]
    plans = [LayerPlan.of(layer, "int32") for layer in layers]
    assert {(plan.sums, planned.kernel.dtype) for plan in plans for planned in plan.kernels.values()} == {
        ("int32", "int16")
    }
