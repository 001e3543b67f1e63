# SPDX-License-Identifier: Apache-2.0
"""Gathers of gathers become one, and a gather that something else reads stays."""

from __future__ import annotations

import numpy as np
from chains import Chain, samples

from snncc.execute.executors import ReferenceExecutor
from snncc.execute.native.executor import NativeExecutor
from snncc.execute.native.program import Gather


def test_slices_and_a_pad_are_one_gather() -> None:
    chain = Chain(shape=(2, 8, 6))
    a = chain.neuron(chain.conv("x", 16), per="neuron")
    half = chain.every_second(chain.every_second(a, 2), 3)
    wide = chain.more_channels(half, 3, 5)
    b = chain.neuron(chain.sum(chain.conv(chain.neuron(chain.conv(a, 24, stride=(2, 2))), 24), wide))
    c = chain.neuron(chain.conv(half, 8))
    net = chain.network(chain.conv(chain.concat(b, c), 2))
    executor, feeds = NativeExecutor(net, steps=3, dtype="float64", threads=1), samples(net)
    gathers = [step for step in executor.engine.program.steps if isinstance(step, Gather)]
    assert [step.out.node.name for step in gathers] == [half, wide]  # the first of the slices is gone
    assert all(source.node.name == a for step in gathers for source in step.sources)
    found, expected = executor.run(feeds, 3, (3,)), ReferenceExecutor(net).run(feeds, 3, (3,))
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)
