# SPDX-License-Identifier: Apache-2.0
"""`spike_functions`: weighted nodes and products get events, their mean is the value's, the report says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import dataset, lowered, normal, parsed, ran
from snncc import api
from snncc.conversion.recipe import PassEntry, Recipe, load_method, steps, with_options
from snncc.errors import RecipeError
from snncc.execute import reference
from snncc.execute.executors import TorchExecutor
from snncc.execute.torch.engine import Engine
from snncc.ir.classes import CARRIED, edge_kinds, operations
from snncc.ir.network import Network
from snncc.ir.nodes import LeakyIF, Linear, MultiThreshold
from snncc.neurons.multi_threshold.step import multi_threshold_step
from standins import STANDINS

TEXT = """g (float[N,4,6] x) => (float[N,4,3] y) {
    q = MatMul(x, w1)  k = MatMul(x, w2)  t = Transpose<perm=[0,2,1]>(k)  s = MatMul(q, t)  a = Softmax<axis=-1>(s)
    o = MatMul(a, q)  r = Relu(o)  e = Tanh(r)  y = MatMul(e, w3)
}"""
WEIGHTS = {"w1": normal(1, 6, 6) / 3, "w2": normal(2, 6, 6) / 3, "w3": normal(3, 6, 3)}
X = normal(4, 8, 4, 6)


def converted(**options: object) -> Network:
    """The method `transformer` with options of `spike_functions`."""
    case = lowered(parsed(TEXT, **WEIGHTS), dataset(x=X))
    recipe = with_options(load_method("transformer"), [("spike_functions", k, v) for k, v in options.items()])
    data = dataset(x=X)
    return ran(case.network, steps(recipe), truth=case.truth, calibration=data, timesteps=8, seed=0).network


def step(u: float, sizes: int) -> float:
    """The first threshold, from the largest, that |u| reaches to three quarters; threshold 1."""
    return next((np.sign(u) * 2.0**-i for i in range(sizes) if abs(u) >= 0.75 * 2.0**-i), 0.0)


def test_the_neuron_fires_the_largest_size_that_fits() -> None:
    """Against a transcription, at equality with every limit too; a threshold of 0 is silent."""
    u = np.concatenate([np.linspace(-3, 3, 97), [s * 0.75 * 2.0**-i for i in range(5) for s in (1, -1)], [np.inf]])
    u = u[np.isfinite(u)]
    for sizes in (1, 2, 4):
        z, left = multi_threshold_step(np.zeros_like(u), u, threshold=np.ones(()), sizes=sizes)
        assert z.tolist() == [step(v, sizes) for v in u]
        assert left.tolist() == (u - z).tolist()
    z, left = multi_threshold_step(np.zeros(2), np.array([2.0, -2.0]), threshold=np.zeros(()), sizes=3)
    assert z.tolist() == [0, 0]
    assert left.tolist() == [2, -2]


@pytest.mark.parametrize("x", [0.83, -0.83, 0.001, -0.37])
def test_the_sum_stays_within_half_a_threshold(x: float) -> None:
    """|sum y - T x| <= 1/2 at every step; a value below the smallest size waits until it has added up."""
    u, total = np.zeros(()), 0.0
    for t in range(1, 200):
        z, u = multi_threshold_step(u, np.asarray(x), threshold=np.ones(()), sizes=6)
        total += float(z)
        assert abs(total - t * x) <= (0.5 if abs(x) > 0.01 else 0.75 * 2.0**-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["multi_threshold", "signed_if"])
def test_torch_gives_the_reference(kind: str, dtype: torch.dtype) -> None:
    """Step by step in NumPy and in torch, in pieces of time."""
    net = converted(kind=kind)
    number = np.float64 if dtype is torch.float64 else np.float32
    slow = sum(values["y"] for values in reference.run(net, {"x": X}, 13, dtype=number)) / 13
    fast = TorchExecutor(net, device="cpu", steps=5, dtype=dtype).run({"x": X}, 13, (13,)).outputs["y"][0]
    assert np.abs(fast - slow).max() < (1e-12 if dtype is torch.float64 else 0.05)


def test_every_product_gets_events() -> None:
    net = converted()
    assert operations(net) == {**dict.fromkeys(CARRIED, 0), "spikes": operations(net)["spikes"]}
    assert operations(net)["spikes"] == 4 * 6 * 6 * 2 + 4 * 4 * 6 * 2 + 4 * 6 * 3
    relays = [node.inputs[0] for node in net.nodes if isinstance(node, MultiThreshold)]
    assert relays == ["x", "q", "t", "a", "e"]  # x and q serve two readers each
    kinds = edge_kinds(net)
    assert all(kinds[name, n.name] == "graded spikes" for n in net.nodes if isinstance(n, Linear) for name in n.inputs)
    assert kinds["s", "a"] == "analog"
    assert kinds["r", "e"] == "spikes"


def test_none_changes_nothing() -> None:
    net = converted(where="none")
    assert not any(isinstance(node, MultiThreshold) for node in net.nodes)
    assert operations(net)["spikes"] == 0


@pytest.mark.parametrize(("kind", "node"), [("multi_threshold", MultiThreshold), ("signed_if", LeakyIF)])
@pytest.mark.parametrize("granularity", ["layer", "channel", "neuron"])
def test_the_error_falls(kind: str, node: type, granularity: str) -> None:
    net = converted(kind=kind, granularity=granularity)
    assert any(isinstance(n, node) for n in net.nodes)
    wanted = reference.evaluate(lowered(parsed(TEXT, **WEIGHTS), dataset(x=X)).network, {"x": X})["y"]
    found = Engine(net, dtype=torch.float64).run({"x": X}, 512, checkpoints=(64, 512), count=False).outputs["y"].numpy()
    early, late = np.sqrt(((found - wanted) ** 2).mean(axis=(1, 2, 3)))
    assert late < early / 4
    assert late < 0.01 * np.abs(wanted).max()


@pytest.mark.parametrize("kind", ["vision transformer", "bidirectional lstm", "causal attention", "embedding"])
def test_the_share_on_spikes(kind: str) -> None:
    """Everything is on events but the products of a recurrent layer with its own state."""
    model, inputs = STANDINS[kind]()
    found = api.convert(model, method="transformer", calib=dataset(**inputs), write=False)
    counts = operations(found.network)
    assert counts["input"] == counts["graded"] == 0
    if kind == "bidirectional lstm":
        assert counts["spikes"] == 2 * 5 * 6 * 32 + 16 * 4
        assert counts["analog"] == 2 * 5 * 8 * 32
    else:
        assert counts["analog"] == 0
        assert counts["spikes"] > 0 or counts["static"] > 0


def test_corrections_come_before_it() -> None:
    passes = [*load_method("transformer").passes, PassEntry(use="correct_bias")]
    recipe = Recipe(name="late", source="", summary="", passes=tuple(passes))
    case = lowered(parsed(TEXT, **WEIGHTS), dataset(x=X))
    with pytest.raises(RecipeError, match="no value in the ANN"):
        ran(case.network, steps(recipe), truth=case.truth, calibration=dataset(x=X), timesteps=8, seed=0)


def test_the_report_lists_the_edges() -> None:
    found = api.convert(parsed(TEXT, **WEIGHTS), method="transformer", calib=dataset(x=X), write=False)
    text = found.files["report.json"].decode()
    assert '"edges":[' in text.replace(" ", "")
    assert '"graded spikes"' in text


def test_the_emitted_module_gives_the_same(tmp_path: Path) -> None:
    found = api.convert(parsed(TEXT, **WEIGHTS), method="transformer", calib=dataset(x=X), write=False)
    for name in ("model.py", "weights.safetensors"):
        (tmp_path / name).write_bytes(found.files[name])
    spec = importlib.util.spec_from_file_location("emitted_transformer", tmp_path / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    y = module.SpikingNetwork().double()(torch.from_numpy(X).double(), timesteps=11)
    wanted = Engine(found.network, dtype=torch.float64).run({"x": X}, 11, count=False).outputs["y"][0]
    assert torch.allclose(y, wanted, rtol=0, atol=1e-9)
