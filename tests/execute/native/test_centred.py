# SPDX-License-Identifier: Apache-2.0
"""Centred neurons in the event-driven engine: their constants are told apart, every spike is the reference's."""

from __future__ import annotations

import numpy as np
import pytest
from chains import Chain, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from small_models import dataset, lowered, normal, parsed
from snncc.errors import SnnccError
from snncc.execute.executors import ReferenceExecutor
from snncc.execute.native.centred import Rests
from snncc.execute.native.executor import NativeExecutor
from snncc.execute.native.lower import lower
from snncc.execute.native.program import Pool, UnsupportedNode
from snncc.ir.network import Network
from snncc.ir.nodes import CentredIF
from snncc.ir.schedule import Schedule

#: More steps than the neurons are made for, in pieces that do not end where they do.
UNTIL, T, POINTS, PIECE = 4, 7, (1, 4, 5, 7), 3


def native(net: Network) -> NativeExecutor:
    try:
        return NativeExecutor(net, steps=PIECE, dtype="float64", threads=1)
    except SnnccError as error:
        pytest.skip(str(error))


def agree(net: Network, executor: NativeExecutor, tolerance: float = 1e-12) -> None:
    """Equal events of every neuron and every maximum, equal spikes, outputs within rounding."""
    feeds = samples(net)
    found, expected = executor.run(feeds, T, POINTS), ReferenceExecutor(net).run(feeds, T, POINTS)
    assert any(np.any(net.arrays[n.centre]) for n in net.nodes if isinstance(n, CentredIF))
    assert found.events
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)
    assert (found.positive, found.negative) == (expected.positive, expected.negative)
    for name, y in expected.outputs.items():
        np.testing.assert_allclose(found.outputs[name], y, rtol=tolerance, atol=tolerance)


def centred(c: Chain, source: str, per: str = "neuron", **fields: object) -> str:
    return c.neuron(source, kind=CentredIF, per=per, until=UNTIL, **fields)


def branches(c: Chain) -> str:
    """Shortcuts, slices and pads, concatenations, averages, several spikes in a step, uncentred neurons between."""
    a = centred(c, c.conv("x", 18))
    b = centred(c, c.sum(c.conv(c.neuron(c.conv(a, 18)), 18), a), per="channel", levels=2, scale=0.5)
    d = c.more_channels(c.every_second(c.every_second(b, 2), 3), 3, 3)
    e = centred(c, c.sum(c.conv(b, 24, stride=(2, 2)), d, coefficients=(1.0, -1.0)))
    f = c.neuron(c.conv(c.concat(e, centred(c, c.average(a))), 20))
    return c.linear(c.flat(centred(c, c.affine(f))), 3)


def maxima(c: Chain) -> str:
    """Maxima of neurons with a rest each, of channels with one, of a sum, of a maximum; a maximum that is read out."""
    a = c.max_pool(centred(c, c.conv("x", 18)), kernel=3, stride=1, padding=1)
    b = centred(c, c.conv(a, 18), per="channel")
    d = c.max_pool(c.sum(a, b), kernel=2, stride=1)
    e = c.max_pool(c.max_pool(centred(c, c.conv(d, 16), per="channel")))
    f = centred(c, c.conv(e, 10))
    return c.concat(c.max_pool(f, kernel=1, stride=1), f)


@pytest.mark.parametrize("schedule", [Schedule(), Schedule(kind="window", steps=5)], ids=lambda s: s.kind)
@pytest.mark.parametrize("build", [branches, maxima])
def test_every_spike_is_that_of_the_reference(build: object, schedule: Schedule) -> None:
    c = Chain(shape=(3, 8, 8), schedule=schedule)
    net = c.network(build(c))  # type: ignore[operator]
    agree(net, native(net))


@settings(deadline=None, max_examples=10)
@given(
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 1),
    per=st.sampled_from(["neuron", "channel"]),
    rank=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_windows_of_any_geometry(
    kernel: int, stride: int, dilation: int, padding: int, per: str, rank: int, seed: int
) -> None:
    c = Chain(shape=(2, *(7, 6)[:rank]), rng=np.random.default_rng(seed))
    pooled = c.max_pool(centred(c, "x", per=per), kernel, stride, min(padding, kernel // 2), dilation)
    net = c.network(c.linear(c.flat(centred(c, pooled)), 2))
    agree(net, native(net))


def test_a_maximum_of_one_rest_per_channel_stays_counts() -> None:
    kinds = {}
    for per in ("channel", "neuron"):
        c = Chain(shape=(8, 6, 6))
        net = c.network(c.linear(c.flat(c.neuron(c.max_pool(centred(c, "x", per=per)))), 2))
        kinds[per] = next(step for step in lower(net).steps if isinstance(step, Pool))
    assert kinds["channel"].out.spikes
    assert kinds["channel"].out.rest.any()  # type: ignore[union-attr]
    assert not kinds["neuron"].out.spikes


def test_neurons_that_rest_for_different_times_are_refused() -> None:
    c = Chain(shape=(2, 6, 6))
    a = c.neuron("x", kind=CentredIF, until=4)
    net = c.network(c.linear(c.flat(c.neuron(a, kind=CentredIF, until=8)), 2))
    with pytest.raises(UnsupportedNode, match="rests for 8 steps, others for 4"):
        Rests(net)


GRAPH = """
g (float[N, 3, 6, 6] x) => (float[N, 5] y) {
  a = Conv <pads=[1,1,1,1]> (x, w1, b1) r = Relu(a) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r)
  c = Conv <pads=[1,1,1,1]> (p, w2, b2) q = Relu(c) f = Flatten(q) s = Gemm(f, w3, b3) y = LogSoftmax(s)
}
"""
WEIGHTS = {
    "w1": normal(1, 4, 3, 3, 3) / 2,
    "b1": normal(2, 4) / 4,
    "w2": normal(3, 4, 4, 3, 3) / 2,
    "b2": normal(4, 4) / 4,
    "w3": normal(5, 36, 5),
    "b3": normal(6, 5),
}


def test_a_network_with_maxima_as_matched_makes_it() -> None:
    case = lowered(parsed(GRAPH, **WEIGHTS), dataset(x=normal(7, 60, 3, 6, 6)), timesteps=4)
    case.apply("rewrite_max_pooling")
    case.apply("rewrite_functions")
    case.spiking(kind="signed_if", negative="early")
    case.apply("minimize_threshold_error", granularity="neuron", centre=2.0)
    net = case.apply("initialize_membrane")
    feeds = {"x": normal(8, 9, 3, 6, 6)}
    executor = native(net)
    found, expected = executor.run(feeds, 4, (2, 4)), ReferenceExecutor(net).run(feeds, 4, (2, 4))
    assert any(isinstance(step, Pool) and step.slopes for step in executor.engine.program.steps)
    for name in ("r", "q"):
        np.testing.assert_array_equal(found.events[name].reshape(-1), expected.events[name].reshape(-1))
    assert (found.positive, found.negative) == (expected.positive, expected.negative)
    np.testing.assert_allclose(found.outputs["y"], expected.outputs["y"], atol=1e-10)
