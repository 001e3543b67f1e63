# SPDX-License-Identifier: Apache-2.0
"""Where the native engine cannot run, the torch engine does, and says so; compiled objects are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chains import Chain, samples

from snncc.execute.executors import TorchExecutor
from snncc.execute.native.executor import EngineNotice, NativeExecutor, native_executor
from snncc.functions import compiled as build
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, MultiThreshold, Operator

POINTS = (2, 3)
SOURCE = "void run(const void *r) { (void)r; }\n"


def network(kind: object = None) -> Network:
    c = Chain(shape=(2, 4, 4))
    a = c.neuron("x") if kind is None else c.neuron("x", kind=kind)
    return c.network(c.conv(a, 3))


def same_as_torch(net: Network, executor: object) -> None:
    assert isinstance(executor, TorchExecutor)
    expected = TorchExecutor(net, device="cpu", steps=3).run(samples(net), 3, POINTS)
    found = executor.run(samples(net), 3, POINTS)
    for name, y in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], y)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNNCC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "cache"


def test_a_node_without_event_driven_form_is_named() -> None:
    net = network(MultiThreshold)
    with pytest.warns(EngineNotice, match=r"MultiThreshold n1.*the torch engine runs instead"):
        executor = native_executor(net, steps=3)
    same_as_torch(net, executor)


def test_a_function_between_neurons_is_named() -> None:
    c = Chain(shape=(2, 4, 4))
    function = Operator(name="n2", inputs=("n1",), shape=(1, 2, 4, 4), batch=0, op="tanh")
    a = c.add(Differential, c.neuron("x"), function=function, low=(None,), high=(None,), nonzero=(0.0,))
    net = c.network(c.conv(c.neuron(a), 3))
    with pytest.warns(EngineNotice, match=r"Differential n2.*Operator has no event-driven form"):
        executor = native_executor(net, steps=3)
    same_as_torch(net, executor)


def test_no_compiler(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.warns(EngineNotice, match="no C compiler"):
        executor = native_executor(network(), steps=3)
    same_as_torch(network(), executor)


def test_a_compiler_that_refuses(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "picky"
    compiler.write_text("#!/bin/sh\necho 'network.c:1: error: not today' >&2\nexit 1\n", encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.warns(EngineNotice, match="refused the generated C.*not today"):
        executor = native_executor(network(), steps=3)
    same_as_torch(network(), executor)
    assert not list(empty_cache.glob("*.so"))


def test_the_cache_is_by_content(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.compiled(SOURCE)
    written = first.stat().st_mtime_ns
    assert build.compiled(SOURCE) == first
    assert first.stat().st_mtime_ns == written
    assert build.compiled(SOURCE + "\n") != first
    monkeypatch.setattr(build, "host", lambda: "another machine")
    assert build.compiled(SOURCE) != first
    assert len(list(empty_cache.glob("*.so"))) == 3
    assert all(path.suffix in (".so", ".c") for path in empty_cache.iterdir())


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNNCC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "snncc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert build.cache_folder() == Path.home() / ".cache" / "snncc"


def test_costs_count_the_additions_that_events_cause() -> None:
    """One input spike in the corner, in the middle, or nowhere: 4, 9 or 0 taps, 3 output channels."""
    c = Chain(shape=(1, 4, 4))
    a = c.neuron("x", scale=1.0)
    net = c.network(c.linear(c.flat(c.neuron(c.conv(a, 3), scale=64.0)), 2))
    net = net.with_arrays({f"{a}.threshold": np.full((1, 1, 1, 1), 1.0, np.float32)})
    net = net.with_arrays({f"{a}.v_init": np.zeros((1, 1, 1, 1), np.float32)})
    executor = NativeExecutor(net, steps=1, threads=1, route="events")
    x = np.zeros((3, 1, 4, 4), np.float32)
    x[0, 0, 0, 0] = x[1, 0, 1, 2] = 1
    executor.run({"x": x}, 1, (1,))
    neurons, events = executor.costs()
    assert (neurons.kernel, neurons.synaptic_operations, neurons.density) == ("neurons", 0, None)
    assert (events.synaptic_operations, events.density) == (3 * (4 + 9), 2 / 48)
    assert events.kernel == "events 3x3, 1 to 3 (dense from 100%)"
    assert events.rate == pytest.approx(events.synaptic_operations / events.seconds)
    assert 0 < events.share < 1
