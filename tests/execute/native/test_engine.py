# SPDX-License-Identifier: Apache-2.0
"""The event-driven engine against the reference executor: every spike, on networks whose sums are exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from chains import Chain, samples

from snncc.execute.executors import ReferenceExecutor
from snncc.execute.native.executor import NativeExecutor
from snncc.execute.native.program import Route
from snncc.ir.network import Network
from snncc.ir.nodes import IF, LeakyIF
from snncc.ir.schedule import Schedule

T, POINTS = 7, (1, 4, 7)


def residual(c: Chain) -> str:
    """Shortcuts: the identity, a strided convolution, and every second pixel with more channels."""
    a = c.neuron(c.conv("x", 20), per="neuron")
    b = c.neuron(c.sum(c.conv(c.neuron(c.conv(a, 20)), 20), a))
    d = c.conv(c.neuron(c.conv(b, 40, stride=(2, 2))), 40)
    e = c.neuron(c.sum(d, c.conv(b, 40, kernel=1, stride=(2, 2), padding=(0,) * 4)))
    f = c.more_channels(c.every_second(c.every_second(b, 2), 3), 10, 10)
    g = c.neuron(c.sum(c.conv(e, 40), f, coefficients=(1.0, -1.0)))
    return c.linear(c.flat(c.mean(c.neuron(c.conv(g, 70)))), 5)


def windows(c: Chain) -> str:
    """Kernels, strides, dilations and groups; blocks of 16, 32 and 64 channels."""
    a = c.neuron(c.conv("x", 33, kernel=5), negative="signed")
    b = c.neuron(c.conv(a, 17, kernel=(1, 3), padding=(0, 1, 0, 1)), cap=2)
    d = c.neuron(c.conv(b, 12, dilation=(2, 1), padding=(2, 1, 2, 1)))
    e = c.neuron(c.conv(d, 24, groups=3))
    f = c.neuron(c.conv(e, 24, groups=24, stride=(2, 2)))
    g = c.neuron(c.conv(c.neuron(f, per="neuron"), 24, groups=24))
    return c.linear(c.flat(c.neuron(c.conv(g, 96, kernel=7))), 3)


def pools(c: Chain) -> str:
    """Event-driven maxima (also of overlapping windows), averages, concatenation, an average in front of weights."""
    a = c.neuron(c.conv("x", 18), per="neuron")
    b = c.max_pool(a)
    d = c.neuron(c.conv(b, 16))
    e = c.max_pool(d, kernel=3, stride=1, padding=1)
    f = c.neuron(c.conv(c.concat(d, c.neuron(c.conv(e, 30))), 20))
    g = c.neuron(c.sum(c.conv(c.average(f), 8), c.average(c.neuron(c.conv(f, 8)))))
    return c.linear(c.flat(c.neuron(c.affine(g))), 4)


def levels(c: Chain) -> str:
    """Several spikes in one step, hard reset, neurons without negative spikes."""
    a = c.neuron(c.conv("x", 16), levels=3, scale=0.5)
    b = c.neuron(c.conv(a, 16), kind=IF, burst=4, scale=0.5)
    d = c.neuron(c.conv(b, 16), kind=IF, reset="zero")
    e = c.neuron(c.conv(d, 16), levels=2, cap=3, per="neuron")
    f = c.neuron(c.conv(e, 16), kind=IF)
    g = c.neuron(c.linear(c.flat(f), 40))
    return c.linear(c.neuron(c.linear(g, 21), kind=IF), 3)


def leaky(c: Chain) -> str:
    """Two-sided neurons: their events are numbers, which convolutions, shortcuts and maxima read."""
    a = c.neuron(c.conv("x", 16), kind=LeakyIF, negative="early", per="neuron")
    b = c.neuron(c.sum(c.conv(a, 16), a), kind=LeakyIF)
    d = c.neuron(c.conv(c.max_pool(b), 20), kind=LeakyIF, negative="early", levels=3, scale=0.5)
    return c.linear(c.flat(c.neuron(c.conv(d, 16))), 3)


def line(c: Chain) -> str:
    """One dimension, longer than a tile; neurons on the input itself; a current that two neurons read."""
    a = c.neuron("x", kind=IF)
    b = c.conv(a, 16, kernel=9, stride=(2,))
    d = c.sum(c.neuron(b), c.neuron(b, per="neuron"), b)
    e = c.neuron(c.max_pool(c.neuron(d)))
    return c.conv(c.neuron(c.conv(e, 16)), 2)


BUILT: dict[Callable[[Chain], str], tuple[int, ...]] = {
    residual: (3, 9, 10),
    windows: (2, 11, 9),
    pools: (3, 8, 12),
    levels: (2, 6, 5),
    leaky: (3, 6, 8),
    line: (3, 310),
}


def built(build: Callable[[Chain], str], schedule: Schedule | None = None) -> Network:
    chain = Chain(shape=BUILT[build], schedule=schedule or Schedule())
    return chain.network(build(chain))


def agree(net: Network, executor: NativeExecutor, tolerance: float) -> None:
    """Equal events of every neuron, equal spikes, outputs within rounding."""
    feeds = samples(net)
    found, expected = executor.run(feeds, T, POINTS), ReferenceExecutor(net).run(feeds, T, POINTS)
    assert found.events.keys() <= expected.events.keys()
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)
    assert (found.positive, found.negative) == (expected.positive, expected.negative)
    assert 0 < found.negative < found.positive
    for name, y in expected.outputs.items():
        np.testing.assert_allclose(found.outputs[name], y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("build", BUILT, ids=lambda f: f.__name__)
def test_spikes_are_those_of_the_reference(build: Callable[[Chain], str]) -> None:
    net = built(build)
    agree(net, NativeExecutor(net, steps=T, dtype="float64", threads=2), 1e-12)


@pytest.mark.parametrize("route", ["events", "dense"])
@pytest.mark.parametrize("build", BUILT, ids=lambda f: f.__name__)
def test_either_route_gives_the_same_spikes(build: Callable[[Chain], str], route: Route) -> None:
    net = built(build)
    executor = NativeExecutor(net, steps=T, threads=1, route=route)
    agree(net, executor, 1e-5)
    listed, dense = executor.engine.tiles.sum(0)
    assert (listed > 0, dense > 0) == (route == "events", route == "dense")


@pytest.mark.parametrize("build", [residual, pools], ids=lambda f: f.__name__)
def test_single_precision_is_exact_on_eighths(build: Callable[[Chain], str]) -> None:
    net = built(build)
    agree(net, NativeExecutor(net, steps=T, threads=1), 1e-5)


@pytest.mark.parametrize("schedule", [Schedule(kind="window", steps=3), Schedule(kind="once")], ids=lambda s: s.kind)
def test_states_go_from_piece_to_piece_and_constants_follow_the_schedule(schedule: Schedule) -> None:
    net = built(pools, schedule)
    agree(net, NativeExecutor(net, steps=2, dtype="float64", threads=2), 1e-12)
