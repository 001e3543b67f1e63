# SPDX-License-Identifier: Apache-2.0
"""Convolutions from the side of the events: any geometry, against the reference executor, spike by spike."""

from __future__ import annotations

import numpy as np
import pytest
from chains import Chain, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from snncc.execute.executors import ReferenceExecutor
from snncc.execute.native.executor import NativeExecutor
from snncc.execute.native.kernels import LayerPlan, Scattered
from snncc.execute.native.program import Layer
from snncc.ir.network import Network

T = 3


def plans(executor: NativeExecutor) -> list[object]:
    """How each convolution of spikes is computed."""
    layers = [step for step in executor.engine.program.steps if isinstance(step, Layer)]
    return [plan for layer in layers for plan in LayerPlan.of(layer, executor.engine.dtype).kernels.values()]


def agree(net: Network, executor: NativeExecutor) -> None:
    feeds = samples(net)
    found, expected = executor.run(feeds, T, (T,)), ReferenceExecutor(net).run(feeds, T, (T,))
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)
    for name, y in expected.outputs.items():
        np.testing.assert_allclose(found.outputs[name], y, rtol=1e-12, atol=1e-12)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(2, 5)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    extents=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    channels=st.tuples(st.sampled_from([3, 16, 33]), st.sampled_from([5, 16, 40])),
    threads=st.integers(1, 3),
)
def test_any_geometry(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    extents: tuple[int, int],
    channels: tuple[int, int],
    threads: int,
) -> None:
    chain = Chain(shape=(2, *extents))
    before = chain.neuron(chain.conv("x", channels[0]), per="neuron")
    after = chain.neuron(chain.conv(before, channels[1], kernel=kernel, stride=stride, padding=padding))
    net = chain.network(chain.conv(after, 2))
    executor = NativeExecutor(net, steps=T, dtype="float64", threads=threads)
    if max(kernel) <= 3:  # in double precision larger ones do not fit into the registers
        assert isinstance(plans(executor)[0], Scattered)
    agree(net, executor)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rows_of_one_image_are_shared_among_threads(threads: int) -> None:
    chain = Chain(shape=(2, 11, 7))
    before = chain.neuron(chain.conv("x", 16))
    net = chain.network(chain.conv(chain.neuron(chain.conv(before, 16)), 2))
    feeds = {name: x[:1] for name, x in samples(net).items()}
    found = NativeExecutor(net, steps=2, dtype="float64", threads=threads).run(feeds, T, (T,))
    expected = ReferenceExecutor(net).run(feeds, T, (T,))
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)


def test_many_outputs_take_lists_per_pixel() -> None:
    """Where the outputs are many, one list for all of them is cheaper."""
    chain = Chain(shape=(2, 4, 4))
    before = chain.neuron(chain.conv("x", 16))
    wide = chain.neuron(chain.conv(before, 272))
    net = chain.network(chain.conv(chain.neuron(chain.conv(wide, 16)), 2))
    executor = NativeExecutor(net, steps=T, threads=1)
    assert [isinstance(plan, Scattered) for plan in plans(executor)] == [False, True]
    agree(net, NativeExecutor(net, steps=T, dtype="float64", threads=1))
