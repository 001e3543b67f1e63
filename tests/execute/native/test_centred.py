# SPDX-License-Identifier: Apache-2.0
"""Centred neurons in the event-driven engine: the same network without resting rates, and the same spikes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from small_models import dataset, lowered, normal, parsed
from snncc.errors import SnnccError
from snncc.execute.native.centred import without_rests
from snncc.execute.native.executor import EngineNotice, NativeExecutor
from snncc.execute.native.program import UnsupportedNode
from snncc.execute.torch_engine import Engine
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, CentredIF

GRAPH = """
g (float[N, 3, 6, 6] x) => (float[N, 5] y) {
  a = Conv <pads=[1,1,1,1]> (x, w1, b1) r = Relu(a) c = Conv <pads=[1,1,1,1]> (r, w2, b2) s = Add(c, r) t = Relu(s)
  p = AveragePool <kernel_shape=[2,2], strides=[2,2]> (t) f = Flatten(p) y = Gemm(f, w3, b3)
}
"""
POOLED = """
g (float[N, 3, 6, 6] x) => (float[N, 4, 3, 3] q) {
  a = Conv <pads=[1,1,1,1]> (x, w1, b1) r = Relu(a) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r)
  c = Conv <pads=[1,1,1,1]> (p, w2, b2) q = Relu(c)
}
"""
WEIGHTS = {
    "w1": normal(1, 4, 3, 3, 3) / 2,
    "b1": normal(2, 4) / 4,
    "w2": normal(3, 4, 4, 3, 3) / 2,
    "b2": normal(4, 4) / 4,
}


def centred(graph: str, timesteps: int, **more: np.ndarray) -> Network:
    case = lowered(parsed(graph, **WEIGHTS, **more), dataset(x=normal(7, 60, 3, 6, 6)), timesteps=timesteps)
    case.spiking(kind="signed_if", negative="early")
    case.apply("minimize_threshold_error", granularity="neuron", centre=2.0)
    return case.apply("initialize_membrane")


def residual(timesteps: int = 4) -> Network:
    net = centred(GRAPH, timesteps, w3=normal(5, 36, 5), b3=normal(6, 5))
    assert any(net.arrays[n.centre].any() for n in net.nodes if isinstance(n, CentredIF))
    return net


def test_the_constants_are_told_apart() -> None:
    net, feeds = residual(), {"x": normal(8, 9, 3, 6, 6)}
    events, longest = without_rests(net)
    assert longest == 4
    assert sum(isinstance(n, Affine) for n in events.nodes) == 3  # in front of two neurons, and behind the output
    runs = [Engine(n, dtype=torch.float64).run(feeds, 4, checkpoints=(1, 2, 4)) for n in (net, events)]
    for name, activity in runs[0].activity.items():
        assert torch.equal(activity.events, runs[1].activity[name].events)
        assert (activity.positive, activity.negative) == (
            runs[1].activity[name].positive,
            runs[1].activity[name].negative,
        )
    assert torch.allclose(runs[0].outputs["y"], runs[1].outputs["y"], atol=1e-12)


def test_the_native_engine_gives_the_spikes_of_torch() -> None:
    net, feeds = residual(), {"x": normal(8, 9, 3, 6, 6)}
    try:
        found = NativeExecutor(net, steps=4, dtype="float64").run(feeds, 4, (2, 4))
    except SnnccError as error:
        pytest.skip(str(error))
    wanted = Engine(net, dtype=torch.float64).run(feeds, 4, checkpoints=(2, 4))
    assert np.allclose(found.outputs["y"], wanted.outputs["y"].numpy(), atol=1e-10)
    for name, activity in wanted.activity.items():
        assert np.array_equal(found.events[name], activity.events.numpy()), name
    assert found.positive == sum(a.positive for a in wanted.activity.values())


def test_beyond_the_design_torch_takes_over() -> None:
    net, feeds = residual(), {"x": normal(8, 9, 3, 6, 6)}
    executor = NativeExecutor(net, steps=4)
    with pytest.warns(EngineNotice, match="beyond T=4"):
        found = executor.run(feeds, 6, (6,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executor.run(feeds, 6, (6,))
    wanted = Engine(net).run(feeds, 6).outputs["y"].numpy()
    assert np.allclose(found.outputs["y"], wanted, atol=1e-4)


def test_a_maximum_of_centred_neurons_is_refused() -> None:
    with pytest.raises(UnsupportedNode, match="centre=0"):
        without_rests(centred(POOLED, 4))
