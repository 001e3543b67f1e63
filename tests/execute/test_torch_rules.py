# SPDX-License-Identifier: Apache-2.0
"""Networks with changing thresholds and encoders: torch against the reference, in pieces of time and of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from snncc.conversion.shapes import check_shapes
from snncc.execute import reference
from snncc.execute.executors import ReferenceExecutor, TorchExecutor
from snncc.execute.torch.engine import Engine
from snncc.ir.check import check
from snncc.ir.network import Network
from snncc.ir.nodes import IF, AdaptiveIF, Encoder, Input, Linear, MsatIF, Node, Transpose
from snncc.ir.schedule import Schedule

MSAT: dict[str, Any] = {"alpha": 0.3, "k_a": 1.0, "k_i": 1.0, "c": 5.0, "tau_mp": 0.5, "tau_rd": 0.5}
KINDS: dict[str, tuple[type[Node], dict[str, Any]]] = {
    "burst": (IF, {"burst": 3}),
    "burst-zero": (IF, {"burst": 3, "reset": "zero"}),
    **{
        f"adaptive-{subtract}-{rule}": (AdaptiveIF, {"subtract": subtract, "rule": rule})
        for subtract in ("vmax", "vcur", "graded")
        for rule in ("running_max", "alg2")
    },
    "adaptive-batch": (AdaptiveIF, {"scope": "batch"}),
    "fixed": (AdaptiveIF, {"adapt": False, "eta": 0.5}),
    "msat": (MsatIF, MSAT),
    "msat-dtt": (MsatIF, {**MSAT, "det": False, "burst": 4}),
    "msat-det": (MsatIF, {**MSAT, "dtt": False}),
    "msat-confidence": (MsatIF, {**MSAT, "confidence": 0.6, "unsure": 5, "key": 99}),
    "msat-off": (MsatIF, {**MSAT, "dtt": False, "det": False}),
}
T, SAMPLES = 9, 4


def network(
    kind: str, *, encoder: str | None = None, axis: int = 0, schedule: Schedule | None = None, batched: bool = True
) -> Network:
    """x -> [encoder] -> linear -> neuron -> linear -> neuron -> linear, the samples on `axis` of (N, 2, 3)."""
    rng, (neuron, options) = np.random.default_rng(3), KINDS[kind]
    batch: int | None = axis if batched else None
    shape: tuple[int, ...] = (1, 2, 3) if batched else (2, 3)
    features = 3
    arrays: dict[str, np.ndarray] = {}
    nodes: list[Node] = [Input(name="x", shape=shape, batch=0 if batched else None)]
    last = "x"
    same: dict[str, Any] = {"shape": shape, "batch": nodes[0].batch}
    if encoder:
        arrays["scale"] = np.array(2.0)
        nodes.append(Encoder(name="e", inputs=("x",), **same, kind=encoder, scale="scale", key=5))  # type: ignore[arg-type]
        last = "e"
    if axis:
        shape = (2, 1, 3)
        nodes.append(Transpose(name="p", inputs=(last,), shape=shape, batch=1, permutation=(1, 0, 2)))
        last = "p"
    same = {"shape": shape, "batch": batch}
    for i in range(2):
        arrays[f"w{i}"], arrays[f"b{i}"] = rng.standard_normal((features, features)), rng.standard_normal(features) / 4
        weights: dict[str, Any] = {"weight": f"w{i}", "bias": f"b{i}", "axis": len(shape) - 1}
        nodes.append(Linear(name=f"l{i}", inputs=(last,), **same, **weights))
        arrays[f"t{i}"] = np.abs(rng.standard_normal([1] * (len(shape) - 1) + [features])) + 0.5
        arrays[f"t{i}"][..., 0] *= i  # a dead channel in the first layer
        arrays[f"v{i}"] = arrays[f"t{i}"] / 4
        arrays_of: dict[str, Any] = {"threshold": f"t{i}", "amplitude": f"t{i}", "v_init": f"v{i}"}
        nodes.append(neuron(name=f"n{i}", inputs=(f"l{i}",), **same, **arrays_of, **options))
        last = f"n{i}"
    arrays["w"] = rng.standard_normal((2, features))
    nodes.append(Linear(name="y", inputs=(last,), shape=(*shape[:-1], 2), batch=batch, weight="w", axis=len(shape) - 1))
    return Network(nodes=tuple(nodes), outputs=("y",), arrays=arrays, stage="snn", schedule=schedule or Schedule())


def feeds(batched: bool = True) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(8).standard_normal((SAMPLES, 2, 3) if batched else (2, 3)) * 1.5}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoder", [None, "poisson", "uniform"])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_torch_equals_the_reference(kind: str, encoder: str | None, axis: int | None) -> None:
    schedule = Schedule(kind="window", steps=4) if axis == 1 else Schedule()
    net = network(kind, encoder=encoder, axis=axis or 0, schedule=schedule, batched=axis is not None)
    check(net, "test")
    check_shapes(net, "test")
    data = feeds(axis is not None)
    machine = reference.Machine(network=net, feeds=data, first_sample=2)
    steps = [machine.step() for _ in range(T)]
    assert all(any(step[n].any() for step in steps) for n in ("n0", "n1"))
    for pieces in (None, 1, 4):
        seen: dict[str, list[np.ndarray]] = {}
        run = Engine(net, dtype=torch.float64).run(
            data,
            T,
            steps_at_once=pieces,
            first_sample=2,
            observe=lambda node, series, seen=seen: seen.setdefault(node.name, []).append(series.numpy().copy()),
        )
        for name in ("n0", "n1", *(["e"] if encoder else [])):
            np.testing.assert_allclose(np.concatenate(seen[name]), [s[name] for s in steps], atol=1e-12)
        mean = sum(s["y"] for s in steps) / schedule.divisor(T)
        np.testing.assert_allclose(run.outputs["y"][0].numpy(), mean, atol=1e-12)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "adaptive-batch"])
def test_batches_do_not_matter(kind: str) -> None:
    net, data = network(kind, encoder="poisson"), feeds()
    engine = Engine(net, dtype=torch.float64)
    whole = engine.run(data, T).outputs["y"][0]
    parts = [engine.run({"x": data["x"][i : i + 1]}, T, first_sample=i).outputs["y"][0] for i in range(SAMPLES)]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-12)


def test_the_batch_scope_depends_on_the_batch() -> None:
    """A current of 0.75 fires at once at c = 0.75, but not where another sample has raised c to 1."""
    nodes: list[Node] = [Input(name="x", shape=(1, 1), batch=0)]
    same: dict[str, Any] = {"shape": (1, 1), "batch": 0, "threshold": "one", "amplitude": "one", "v_init": "zero"}
    arrays = {"one": np.ones(()), "zero": np.zeros(())}
    for scope, wanted in (("sample", [[1.0], [1.0]]), ("batch", [[0.0], [1.0]])):
        neuron = AdaptiveIF(name="n", inputs=("x",), **same, scope=scope)  # type: ignore[arg-type]
        net = Network(nodes=(*nodes, neuron), outputs=("n",), arrays=arrays, stage="snn")
        data = {"x": np.array([[0.75], [2.0]])}
        assert Engine(net, dtype=torch.float64).run(data, 1).outputs["n"][0].tolist() == wanted
        assert reference.run(net, data, 1)[0]["n"].tolist() == wanted


def test_confidence_drops_spikes_of_the_first_steps_only() -> None:
    sure, unsure = network("msat"), network("msat-confidence")
    spikes = []
    for net in (sure, unsure):
        found: list[np.ndarray] = []
        Engine(net, dtype=torch.float64).run(
            feeds(), 40, observe=lambda n, s, found=found: found.append(s.numpy().copy()) if n.name == "n0" else None
        )
        spikes.append(np.concatenate(found) != 0)
    assert spikes[1][:5].sum() < spikes[0][:5].sum()
    assert spikes[1][5:].sum() >= spikes[0][5:].sum()  # the charge was kept


@pytest.mark.parametrize("kind", KINDS)
def test_the_executors_count_alike(kind: str) -> None:
    net, data = network(kind, encoder="uniform"), feeds()
    a = ReferenceExecutor(net).run(data, T, (T,), first_sample=1)
    b = TorchExecutor(net, device="cpu", steps=4, dtype=torch.float64).run(data, T, (T,), first_sample=1)
    assert a.positive == pytest.approx(b.positive)
    assert b.negative > 0  # the encoder's
    assert a.negative == pytest.approx(b.negative)
    for name, events in a.events.items():
        assert np.array_equal(events, b.events[name]), name


def test_states_start_anew() -> None:
    """MSAT's published code keeps its mean from batch to batch; here every run starts afresh."""
    net, data = network("msat-confidence"), feeds()
    engine = Engine(net, dtype=torch.float64)
    assert torch.equal(engine.run(data, T).outputs["y"], engine.run(data, T).outputs["y"])
