# SPDX-License-Identifier: Apache-2.0
"""The ONNX graphs in onnxruntime against the reference: every neuron, every schedule, one step and a Loop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from spiking_networks import EXAMPLES, Example, Sketch, adaptive, every_neuron, images

from snncc import api
from snncc.errors import EmitError, UsageError
from snncc.execute.executors import ReferenceExecutor, TorchExecutor
from snncc.execute.onnx import step as onnx_step
from snncc.execute.onnx.executor import OnnxExecutor, started
from snncc.execute.onnx.step import loop_model, step_model
from snncc.ir.network import Network
from snncc.ir.nodes import IF, Conv, ConvTranspose, Encoder, Input, MsatIF
from snncc.ir.schedule import Schedule
from snncc.simulation.engines import executor

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"


def deterministic(network: Network) -> Network:
    """The network with its random encoder spread evenly and its random spikes kept."""

    def change(node: Any) -> Any:
        if isinstance(node, Encoder):
            return msgspec.structs.replace(node, kind="uniform")
        return msgspec.structs.replace(node, confidence=1.0) if isinstance(node, MsatIF) else node

    return network.rewrite(change)


CASES = {
    name: replace(example, network=deterministic(example.network))
    for name, make in EXAMPLES.items()
    for example in [make()]
}
CASES["late_readout"] = Example(network=every_neuron(Schedule(readout_after=3)), feeds=CASES["every_neuron"].feeds)
CASES["late_readout_cut"] = replace(CASES["late_readout"], timesteps=2)


def feeds_of(example: Example) -> dict[str, np.ndarray]:
    """One sample where the network has no axis for them."""
    single = all(node.batch is None for node in example.network.inputs)
    return {name: x[:1] if single else x for name, x in example.feeds.items()}


@pytest.mark.parametrize("name", CASES)
def test_every_step_and_every_count(name: str) -> None:
    """float64 to the last spike where onnxruntime has the operators in it, else float32; no spike differs."""
    example = CASES[name]
    network, points = example.network, tuple(range(1, example.timesteps + 1))
    narrow = any(isinstance(n, Conv | ConvTranspose) for n in network.nodes) or "f/model" in network.arrays
    found = OnnxExecutor(network, np.float32 if narrow else np.float64).run(
        feeds_of(example), example.timesteps, points
    )
    want = ReferenceExecutor(network).run(feeds_of(example), example.timesteps, points)
    assert found.events.keys() == want.events.keys()
    assert all(np.array_equal(found.events[n], want.events[n]) for n in want.events)
    assert (found.positive, found.negative) == (want.positive, want.negative)
    assert {n: c for n, c in found.clamped.items() if c} == {n: c for n, c in want.clamped.items() if c}
    for output, values in want.outputs.items():
        scale = max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(found.outputs[output], values, rtol=0, atol=(1e-5 if narrow else 1e-12) * scale)


@pytest.mark.parametrize("name", CASES)
def test_the_loop_is_the_steps(name: str) -> None:
    example = CASES[name]
    network, steps, feeds = example.network, example.timesteps, feeds_of(example)
    model = loop_model(network)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} <= {""}
    interface = json.loads(next(p.value for p in model.metadata_props if p.key == "snncc"))
    runtime = started(model.SerializeToString())
    wanted = {i.name for i in runtime.get_inputs()}
    kinds = {n.name: n.dtype for n in network.inputs}
    given = {name: x.astype(kinds[name]) for name, x in feeds.items()} | {interface["timesteps"]: np.array(steps)}
    names = [o.name for o in runtime.get_outputs()]
    found = dict(zip(names, runtime.run(names, {n: x for n, x in given.items() if n in wanted}), strict=True))
    want = OnnxExecutor(network).run(feeds, steps, (steps,))
    for output, values in want.outputs.items():
        np.testing.assert_allclose(found[interface["outputs"][output]], values[0], rtol=1e-5, atol=1e-6)
    for source, events in want.events.items():
        counts, node = found[interface["events"][source]], network[source]
        if node.batch is not None:
            split = (*counts.shape[: node.batch], -1, node.shape[node.batch], *counts.shape[node.batch + 1 :])
            counts = counts.reshape(split).sum(node.batch)
        np.testing.assert_array_equal(counts, events)


def test_a_step_by_hand() -> None:
    """u = 0.5 + 0.75 meets the threshold of 1.25 exactly; the states go in as zeros and come out as they are."""
    s = Sketch()
    s.add(Input, "x", [], (1, 1))
    s.arrays = {"t": np.array([1.25]), "a": np.array([2.0]), "v": np.array([0.5])}
    s.add(IF, "z", ["x"], (1, 1), threshold="t", amplitude="a", v_init="v")
    made = step_model(s.network("z"))
    onnx.checker.check_model(made.model, full_check=True)
    assert [(state.before, state.after) for state in made.states] == [
        ("step", "step/next"),
        ("z/potential", "z/potential/next"),
    ]
    runtime = started(made.model.SerializeToString())
    states = {"step": np.array(0), "z/potential": np.zeros((1, 1), np.float32)}
    seen = []
    for _ in range(3):
        z, _, step, u = runtime.run(
            ["z", "z/spikes", "step/next", "z/potential/next"], {"x": np.full((1, 1), 0.75, np.float32), **states}
        )
        states = {"step": step, "z/potential": u}
        seen.append((float(z[0, 0]), int(step), float(u[0, 0])))
    assert seen == [(2.0, 1, 0.0), (0.0, 2, 0.75), (2.0, 3, 0.25)]


def test_everything_that_cannot_be_said_is_named() -> None:
    with pytest.raises(EmitError, match="2 of the network's nodes") as refused:
        step_model(adaptive())
    assert "drawn: its spikes are drawn at random" in str(refused.value)
    assert "spikes6: its spikes are kept at random" in str(refused.value)


def test_a_network_too_large_for_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_step, "LIMIT", 100)
    with pytest.raises(EmitError, match="2 GiB"):
        step_model(images())


def test_the_same_network_gives_the_same_bytes() -> None:
    def data() -> bytes:
        return bytes(step_model(images()).model.SerializeToString(deterministic=True))

    assert data() == data()


def test_convert_emits_and_simulate_runs_it(tmp_path: Path) -> None:
    """Both graphs lie in the bundle, hashed; the engine counts what the reference does, up to float32."""
    made = api.convert(DIGITS, method="dnisnm", timesteps=4, emit="onnx", out=tmp_path / "d.snn")
    for name in ("onnx/step.onnx", "onnx/loop.onnx"):
        assert name in made.manifest.files
        onnx.checker.check_model(onnx.load(tmp_path / "d.snn" / name), full_check=True)
    found, want = (api.simulate(tmp_path / "d.snn", engine=engine) for engine in ("onnx", "torch"))
    assert (found.engine, found.accuracy, found.agreement) == ("onnx", want.accuracy, want.agreement)
    assert found.positive_spikes == pytest.approx(want.positive_spikes, rel=1e-5)
    assert found.synaptic_operations == pytest.approx(want.synaptic_operations, rel=1e-5)


@pytest.mark.data
@pytest.mark.parametrize("name", ["akamaster__resnet20_bn_op13", "mlperf-tiny__kws_dscnn", "lenet-jinsoo__lenet"])
def test_real_models(data_folder: Path, name: str) -> None:
    """float32 in onnxruntime against float32 in torch: at most one event in 100,000 differs by rounding."""
    network = api.convert(data_folder / "models" / f"{name}.onnx", method="rate", timesteps=4, write=False).network
    (node,) = network.inputs
    feeds = {node.name: np.random.default_rng(0).random((2, *node.shape[1:]), np.float32)}
    found = OnnxExecutor(network).run(feeds, 4, (4,)).events
    want = TorchExecutor(network, device="cpu", steps=4).run(feeds, 4, (4,)).events
    differ = sum(float(np.abs(found[source] - want[source]).sum()) for source in want)
    assert differ <= 1e-5 * sum(float(events.sum()) for events in want.values())


def test_what_onnxruntime_has_no_kernel_for_is_said() -> None:
    """Convolutions in float64."""
    with pytest.raises(EmitError, match=r"cannot run the step graph: .*Conv"):
        OnnxExecutor(images(), np.float64)


def test_the_engine_runs_on_the_cpu_alone() -> None:
    with pytest.raises(UsageError, match="not on cuda"):
        executor("onnx", None, device="cuda", steps=1)  # type: ignore[arg-type]
