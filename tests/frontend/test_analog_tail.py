# SPDX-License-Identifier: Apache-2.0
"""What changes its shape with the data is cut off behind the network and evaluated by onnxruntime at read-out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from small_models import dataset, normal, parsed
from snncc import api
from snncc.ann.truth import Truth
from snncc.backends.torch.module import emit
from snncc.errors import UnsupportedModel, UsageError
from snncc.execute.analog_tail import evaluate, places
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.readout import output_first
from snncc.simulation.run import Simulation
from snncc.training.run import prepare
from snncc.training.settings import Settings

DETECTOR = """g (float[N,3,8,8] x) => (int64[] chosen, float[] kept, float[] boxes) {
    c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w)  r = Relu(c)
    b = Conv(r, wb)  fb = Reshape(b, sb)  tb = Transpose<perm=[0,2,1]>(fb)  boxes = Identity(tb)
    s = Conv(r, ws)  fs = Reshape(s, ss)  scores = Sigmoid(fs)
    chosen = NonMaxSuppression(boxes, scores, most, iou, least)
    which = Gather<axis=1>(chosen, two)  kept = Gather<axis=1>(boxes, which)
}"""
WEIGHTS: dict[str, Any] = {
    "w": normal(1, 6, 3, 3, 3) / 3, "wb": normal(2, 4, 6, 1, 1) / 2, "ws": normal(3, 2, 6, 1, 1),
    "sb": np.array([0, 4, -1]), "ss": np.array([0, 2, -1]), "most": np.array(5), "two": np.array(2),
    "iou": np.array(0.5, np.float32), "least": np.array(0.5, np.float32),
}  # fmt: skip
#: Operators at the end of a small network: text behind `r` (of 6 entries), weights.
ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "NonZero": ("i = NonZero(r)  y = Transpose<perm=[1,0]>(i)", {}),
    "Unique": ("y = Unique<sorted=1>(r)", {}),
    "Compress": ("k = Greater(r, half)  f = Flatten(k)  k1 = Squeeze(f)  y = Compress<axis=1>(r, k1)",
                 {"half": np.float32(0.5)}),
    "sequence": ("q = SplitToSequence<axis=1>(r)  y = ConcatFromSequence<axis=0>(q)", {}),
    "weights behind": ("i = NonZero(r)  j = Transpose(i)  k = GatherND(r, j)  u = Reshape(k, o)  y = MatMul(u, v)",
                       {"v": normal(5, 1, 3), "o": np.array([-1, 1])}),
}  # fmt: skip


def direct(model: onnx.ModelProto, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """What onnxruntime gives for one sample."""
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(names, {"x": x})


def end(kind: str) -> onnx.ModelProto:
    """A small network with one of ENDS."""
    text, weights = ENDS[kind]
    graph = f"g (float[N,4] x) => (float[] y) {{ h = MatMul(x, w)  r = Relu(h)  {text} }}"
    model = parsed(graph, w=normal(1, 4, 6), **weights)
    if kind == "NonZero":
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return model


@pytest.mark.parametrize("kind", ENDS)
def test_the_tail_of_the_anns_values_is_what_the_file_computes(kind: str) -> None:
    model = end(kind)
    prepared = samples_first(model)
    network = lowered_network(normalize(prepared))
    assert network.outputs == (("r", "k1") if kind == "Compress" else ("r",))
    tail = network.analog_tail
    assert tail is not None
    assert tail.outputs == ("y",)
    assert tail.weights == (3 if kind == "weights behind" else 0)
    x = normal(7, 5, 4)
    results = evaluate(network, Truth(prepared).run({"x": x}, list(network.outputs)), places(network))
    shapes = set()
    for i, found in enumerate(results):
        (wanted,) = direct(model, x[i : i + 1], ["y"])
        np.testing.assert_array_equal(found["y"].numpy(), wanted)
        shapes.add(wanted.shape)
    assert len(shapes) > 1 or kind == "sequence"


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    torch.set_num_threads(1)
    bundle, x = tmp_path_factory.mktemp("tail") / "d.snn", np.abs(normal(9, 12, 3, 8, 8))
    api.convert(parsed(DETECTOR, **WEIGHTS), method="dnisnm", calib=dataset(x=x), out=bundle)
    return bundle, x


def test_check_and_report_name_the_tail(detector: tuple[Path, np.ndarray]) -> None:
    found = api.check(parsed(DETECTOR, **WEIGHTS))
    assert found.convertible
    assert found.outputs == ["boxes", "scores"]
    assert found.analog_tail is not None
    assert found.analog_tail.starts == ("NonMaxSuppression",)
    assert found.analog_tail.inputs == ("boxes", "scores")
    report = json.loads((detector[0] / "report.json").read_text())
    lines = [note["node"] for note in report["notes"] if "analog tail: NonMaxSuppression" in note["text"]]
    assert lines == ["chosen", "kept"]
    assert any("analog tail" in warning for warning in report["warnings"])
    assert "analog_tail=NonMaxSuppression and 2 more operators" in (detector[0] / "network.txt").read_text()


def test_simulation_measures_the_tail(detector: tuple[Path, np.ndarray]) -> None:
    found: Simulation = api.simulate(detector[0], timesteps=512)
    shape, equal = found.analog_tail["chosen"].shape, found.analog_tail["chosen"].equal
    assert equal is not None
    assert shape["1"] < 0.8
    assert shape["512"] == 1.0
    assert equal["512"] >= 11 / 12
    assert all(equal[t] <= shape[t] for t in shape)
    assert found.analog_tail["kept"].equal is None
    assert found.analog_tail["kept"].shape == shape
    slow = api.simulate(detector[0], timesteps=4, engine="reference")
    assert slow.analog_tail == api.simulate(detector[0], timesteps=4).analog_tail


def test_modules_stop_in_front_of_the_tail_and_evaluate_it_when_asked(detector: tuple[Path, np.ndarray]) -> None:
    bundle, x = detector
    source = (bundle / "model.py").read_text()
    assert "onnxruntime, for the analog tail" in source
    code: dict[str, Any] = {"__file__": str(bundle / "model.py"), "__name__": "emitted"}
    exec(compile(source, "model.py", "exec"), code)
    emitted, loaded, inputs = code["SpikingNetwork"](), api.load(bundle), torch.from_numpy(x)
    y = loaded(inputs, timesteps=32)
    assert list(y) == ["boxes", "scores"]
    one, other = loaded.tail(y), emitted.tail(emitted(inputs, timesteps=32))
    assert len({a["chosen"].shape for a in one}) > 1
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys() == {"chosen", "kept"}
        torch.testing.assert_close(a["chosen"], b["chosen"], rtol=0, atol=0)
        torch.testing.assert_close(a["kept"], b["kept"])


def test_one_sample_at_a_time(tmp_path: Path) -> None:
    """The samples' axis is merged into others in front of the tail."""
    text = """g (float[N,2,3] x) => (int64[] y) {
        h = MatMul(x, w)  r = Relu(h)  t = Transpose<perm=[1,0,2]>(r)  s = ReduceSum<axes=[0,1]>(t)  y = NonZero(s)
    }"""
    model = parsed(text, opset=11, w=normal(1, 3, 5) - 0.4)
    x = normal(2, 6, 2, 3)
    assert api.check(model).one_at_a_time
    api.convert(model, method="dnisnm", calib=dataset(x=x), out=tmp_path / "m.snn")
    assert api.simulate(tmp_path / "m.snn", timesteps=256).analog_tail["y"].shape["256"] == 1.0
    module = api.load(tmp_path / "m.snn")
    for i, found in enumerate(module.tail(module(torch.from_numpy(x), timesteps=256))):
        np.testing.assert_array_equal(found["y"].numpy(), direct(model, x[i : i + 1], ["y"])[0])
    assert "(0, 0)" in emit(module.network, title="m", timesteps=4)


@pytest.mark.parametrize(
    "graph",
    [
        "g (float[N,4] x) => (int64[] y) { y = NonZero(x) }",  # nothing to spike in front of it
        "g (float[N,4] x) => (float[] y) { r = Relu(x)  k = NonZero(r)  y = RandomNormalLike(r) }",
        "g (float[N,4] x) => (seq(float[]) y) { r = Relu(x)  y = SplitToSequence<axis=1>(r) }",
    ],
)
def test_refuses(graph: str) -> None:
    with pytest.raises(UnsupportedModel):
        lowered_network(normalize(samples_first(parsed(graph))))


def test_outputs_whose_samples_share_an_axis_count_samples() -> None:
    """A value of 3 rows per sample on axis 1 is N samples, not 3 N."""
    prepared = samples_first(
        parsed(
            "g (float[1,3,2] x) => (float[] y) { f = Reshape(x, s)  h = MatMul(f, w)  r = Relu(h)  y = Reshape(r, t) }",
            w=normal(1, 2, 5),
            s=np.array([-1, 2]),
            t=np.array([1, -1, 5]),
        )
    )
    node = lowered_network(normalize(prepared))["y"]
    assert (node.shape, node.batch) == ((1, 3, 5), 1)
    value = np.arange(60.0).reshape(1, 12, 5)
    np.testing.assert_array_equal(output_first(value, node)[1].reshape(3, 5), value[0, 3:6])
    assert len(output_first(value, node)) == 4


def test_a_target_gets_the_tail_as_a_file_of_its_own() -> None:
    model, x = parsed(DETECTOR, **WEIGHTS), np.abs(normal(9, 4, 3, 8, 8))
    converted = api.convert(model, method="dnisnm", calib=dataset(x=x), emit="onnx", write=False)
    assert any("onnx/analog_tail.onnx" in note for note in converted.notes)
    session = ort.InferenceSession(converted.files["onnx/analog_tail.onnx"], providers=["CPUExecutionProvider"])
    values = Truth(samples_first(model)).run({"x": x[:1]}, ["boxes", "scores"])
    wanted = direct(model, x[:1], ["chosen", "kept"])
    chosen, kept = session.run(["chosen", "kept"], values)
    np.testing.assert_array_equal(chosen, wanted[0])
    np.testing.assert_allclose(kept, wanted[1], rtol=1e-5)


def test_what_stands_behind_a_tail_is_not_trained() -> None:
    network = lowered_network(normalize(samples_first(parsed(DETECTOR, **WEIGHTS))))
    with pytest.raises(UsageError, match="analog tail"):
        prepare(network, Settings(method="qffs", epochs=1), dataset(x=normal(9, 4, 3, 8, 8)))
