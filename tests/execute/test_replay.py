# SPDX-License-Identifier: Apache-2.0
"""Samples carried layer by layer are those of a whole simulation; what is kept is small, and spilled to files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from small_models import Case, dataset, lowered, normal, parsed
from snncc.errors import CalibrationError
from snncc.execute.torch import replay
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.replay import AnnReplay, Replay, Store, last_readers, sources
from snncc.ir.nodes import Neuron, Node

LAYERS = 6
GRAPH = """
g (float[N,3,4,4] x) => (float[N,48] y) {
  a0 = Conv<pads=[1,1,1,1]>(x, w) r0 = Relu(a0) a1 = Conv<pads=[1,1,1,1]>(r0, w) r1 = Relu(a1)
  a2 = Conv<pads=[1,1,1,1]>(r1, w) s2 = Add(a2, r0) r2 = Relu(s2) a3 = Conv<pads=[1,1,1,1]>(r2, w) r3 = Relu(a3)
  a4 = Conv<pads=[1,1,1,1]>(r3, w) r4 = Relu(a4) a5 = Conv<pads=[1,1,1,1]>(r4, w) r5 = Relu(a5) y = Flatten(r5)
}
"""
SAMPLES, TIMESTEPS = 40, 3


def spiking(levels: int = 1, centre: float = 2.0) -> Case:
    """Six layers with a shortcut, ready for `match_currents`."""
    data = dataset(x=normal(3, SAMPLES, 3, 4, 4))
    case = lowered(parsed(GRAPH, w=normal(1, 3, 3, 3, 3) * 0.4), data, timesteps=TIMESTEPS)
    case.spiking(kind="signed_if", negative="early", levels=levels)
    case.apply("minimize_threshold_error", granularity="neuron", centre=centre)
    case.apply("initialize_membrane")
    return case


@pytest.mark.parametrize(("levels", "centre"), [(1, 0.0), (1, 2.0), (3, 2.0)])
@torch.no_grad()
def test_layer_by_layer_is_the_whole_simulation(levels: int, centre: float) -> None:
    net = spiking(levels, centre).network
    feeds = {"x": normal(4, 8, 3, 4, 4)}
    series: dict[str, Tensor] = {}

    def observe(node: Node, steps: Tensor) -> None:
        series[node.name] = steps.clone()

    Engine(net).run(feeds, TIMESTEPS, observe=observe)
    work = Replay(net, [feeds], TIMESTEPS)
    neurons = [n for n in net.nodes if isinstance(n, Neuron)]
    assert len(neurons) == LAYERS
    for node in neurons:
        work.keep(node.name, 0, work.fire(node, work.current(node, 0), 0))
        work.done.add(node.name)
        assert work.store.arrays[node.name, 0].dtype == torch.int8
        assert torch.allclose(work.series(node.name, 0).data, series[node.name].flatten(0, 1), atol=1e-6)
        assert torch.allclose(work.mean(node.name, 0), series[node.name].mean(0), atol=1e-6)


@torch.no_grad()
def test_a_mean_without_a_node_is_the_rest() -> None:
    net = spiking().network
    work = Replay(net, [{"x": normal(4, 8, 3, 4, 4)}], TIMESTEPS)
    for name in ("r0", "r1"):
        node = net[name]
        assert isinstance(node, Neuron)
        work.keep(name, 0, work.fire(node, work.current(node, 0), 0))
        work.done.add(name)
    assert torch.allclose(work.mean("s2", 0, without="a2"), work.mean("r0", 0))
    assert torch.allclose(work.mean("s2", 0), work.mean("a2", 0) + work.mean("r0", 0), atol=1e-6)


def test_values_of_the_ann_are_those_of_onnxruntime() -> None:
    case = spiking()
    feeds = {"x": normal(4, 8, 3, 4, 4)}
    ann = AnnReplay(case.context.ann, [feeds], sources(case.network))
    names = ["s2", "r2", "y"]
    expected = case.truth.run(feeds, names)
    ann.value("s2", 0, end="r2")
    assert set(ann.store.arrays) == {("r0", 0, "ann"), ("r1", 0, "ann"), ("r2", 0, "ann")}
    for name in names:
        assert np.allclose(ann.value(name, 0).numpy(), expected[name], atol=1e-4)


def test_a_store_spills_what_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MEMORY", 1000)
    store = Store()
    values = {(name, i): torch.randint(-9, 9, (10, 40)).to(torch.int8) for name in "ab" for i in range(3)}
    for key, value in values.items():
        store.put(key, value.clone())
        assert sum(store.sizes.values()) <= 1000
    assert len(store.sizes) == 2  # the others lie in files
    assert all(torch.equal(store.arrays[key], value) for key, value in values.items())
    store.drop("a")
    assert set(store.arrays) == {("b", i) for i in range(3)}
    assert not store.sizes
    store.put(("c", 0), values["a", 0])
    assert store.sizes == {("c", 0): 400}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MEMORY", 100)
    with Path("/dev/full").open("wb") as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        with pytest.raises(CalibrationError, match="temporary folder"):
            Store().put(("a", 0), torch.zeros(1000))


def matched(monkeypatch: pytest.MonkeyPatch, memory: int) -> tuple[dict[str, Any], int, int]:
    """The network corrected on eight samples at a time; the most bytes in memory, and the most kept, at a time."""
    most = {"memory": 0, "all": 0}
    put = Store.put

    def watched(self: Store, key: Any, value: Tensor) -> None:
        put(self, key, value)
        kept = sum(a.numel() * a.element_size() for a in self.arrays.values())
        most.update(memory=max(most["memory"], sum(self.sizes.values())), all=max(most["all"], kept))

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", watched)
        patch.setattr(replay, "MEMORY", memory)
        patch.setattr(import_module("snncc.transform.passes.match_currents"), "PIECE", 8 * 48 * TIMESTEPS)
        case = spiking()
        case.apply("match_currents")
    return dict(case.network.arrays), most["memory"], most["all"]


def test_little_memory_gives_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _, kept = matched(monkeypatch, 2 << 30)
    found, memory, _ = matched(monkeypatch, 5000)
    assert 0 < memory <= 5000 < kept
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_live_values_alone_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most r0, r1 and r2 live at a time: a byte per step of the spikes, four for the ANN's value."""
    entries = SAMPLES * 48
    assert matched(monkeypatch, 2 << 30)[2] <= 3 * entries * (TIMESTEPS + 4)


def test_the_last_reader_of_a_shortcut() -> None:
    net = spiking().network
    readers = last_readers(net, sources(net))
    assert (readers["r0"], readers["r1"], readers["r4"]) == ("r2", "r2", "r5")
