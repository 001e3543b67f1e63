# SPDX-License-Identifier: Apache-2.0
"""Networks of the kinds that people bring: each converts, and its error against onnxruntime falls with T."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from more_standins import MORE
from small_models import dataset, lowered, normal, parsed
from snncc import api
from snncc.conversion.verify import rows
from snncc.errors import ModelError, SnnccError
from snncc.execute.torch.engine import Engine
from snncc.ir.masks import MASK
from snncc.ir.network import Network
from standins import SHAPES, STANDINS, Inputs

STEPS = (64, 512)
#: Relative to the largest value of an output: rounding of onnxruntime's float32.
ROUNDING = 4e-6


def errors(model: onnx.ModelProto, network: Network, inputs: Inputs, **shapes: tuple[int | str, ...]) -> dict:
    """Root mean square error of each output at STEPS in float64, relative to the output's largest value."""
    case = lowered(model, dataset(**inputs), **shapes)
    values = case.context.values
    wanted: Mapping[str, np.ndarray] = values.run(inputs, list(network.outputs))
    engine, found = Engine(network, dtype=torch.float64), {}
    parts = [
        engine.run(feed, STEPS[-1], checkpoints=STEPS, count=False, first_sample=i).outputs
        for i, feed in enumerate(rows(values, inputs))
    ]
    for name in network.outputs:
        steps = [part[name].numpy() for part in parts]
        got = np.stack(steps, 1) if values.one_at_a_time else steps[0]
        off = ((got - wanted[name]) ** 2).reshape(len(STEPS), -1).mean(1)
        found[name] = np.sqrt(off) / np.abs(wanted[name]).max()
    return found


EVERY = {**STANDINS, **MORE}


@pytest.mark.parametrize("kind", EVERY)
def test_converts_and_converges(kind: str) -> None:
    torch.set_num_threads(1)
    model, inputs = EVERY[kind]()
    shapes = SHAPES.get(kind, {})
    converted = api.convert(
        model,
        method="dnisnm",
        calib=dataset(**inputs),
        shapes=shapes,
        options=[("balance_thresholds", "reduce", "max")],
        write=False,
    )
    for name, (early, late) in errors(model, converted.network, inputs, **shapes).items():
        assert late < max(early / 4, ROUNDING), (name, early, late)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind != "control"])
def test_samples_run_together(kind: str) -> None:
    """Only the control network, whose input is one vector, has no axis for them."""
    model, _ = EVERY[kind]()
    assert api.check(model, shapes=SHAPES.get(kind, {})).one_at_a_time is None


def test_a_mask_of_infinities_is_made_finite_and_noted() -> None:
    model, inputs = STANDINS["causal attention"]()
    converted = api.convert(model, calib=dataset(**inputs), write=False)
    assert min(float(a.min()) for a in converted.network.arrays.values() if a.size) == -MASK
    assert all(np.isfinite(a).all() for a in converted.network.arrays.values() if a.dtype.kind == "f")
    notes = [note for record in converted.manifest.records for note in record.notes]
    assert any("infinities" in note.text and note.kind == "information" for note in notes)


@pytest.mark.parametrize("low", [-np.inf, np.finfo(np.float32).min, -1e4])
@pytest.mark.parametrize("op", ["Add", "Where"])
@pytest.mark.parametrize("method", ["dnisnm", "qffs"])  # qffs stops the input: the mask meets a gate of 0
def test_masks(low: float, op: str, method: str) -> None:
    """Whatever stands for "hidden", the hidden entries get the weight 0 and nothing becomes NaN."""
    hidden = np.triu(np.ones((4, 4)), 1) > 0
    masked = "Add(s, mask)" if op == "Add" else "Where(hidden, low, s)"
    model = parsed(
        f"""g (float[N,4,5] x) => (float[N,4,5] y) {{
            h = MatMul(x, w)  r = Relu(h)  t = Transpose<perm=[0,2,1]>(r)  s = MatMul(r, t)
            m = {masked}  a = Softmax<axis=-1>(m)  y = MatMul(a, r)
        }}""",
        w=normal(1, 5, 5),
        **({"mask": np.where(hidden, low, 0)} if op == "Add" else {"hidden": hidden, "low": np.float32(low)}),
    )
    x = normal(2, 5, 4, 5)
    converted = api.convert(model, method=method, calib=dataset(x=x), write=False, timesteps=16)
    found = Engine(converted.network).run({"x": x}, 256).outputs["y"][0].numpy()
    wanted = lowered(model, dataset(x=x)).truth.run({"x": x}, ["y"])["y"]
    assert np.abs(found[:, 0] - wanted[:, 0]).max() < 0.1 * np.abs(wanted).max()  # row 0 sees itself alone
    assert np.isfinite(found).all()


CUSTOM = """<ir_version: 8, opset_import: ["" : 17, "acme" : 1]>
g (float[N,4] x) => (float[N,4] y) { h = Relu(x)  y = acme.Warp(h) }"""


def refused(model: Path) -> SnnccError:
    """Why a file is refused."""
    with pytest.raises(ModelError) as caught:
        api.convert(model, write=False)
    return caught.value


def test_refuses_a_custom_domain(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(CUSTOM).SerializeToString())
    text = str(refused(tmp_path / "m.onnx"))
    assert "acme" in text
    assert "Warp" in text


def test_refuses_missing_external_data(tmp_path: Path) -> None:
    model = parsed("g (float[N,64] x) => (float[N,64] y) { h = MatMul(x, w)  y = Relu(h) }", w=normal(1, 64, 64))
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    (tmp_path / "m.bin").unlink()
    assert "m.bin" in str(refused(tmp_path / "m.onnx"))


def test_refuses_a_file_without_opset(tmp_path: Path) -> None:
    model = parsed("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    del model.opset_import[:]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert "opset" in str(refused(tmp_path / "m.onnx"))


def test_what_only_follows_from_a_problem_is_none_of_its_own() -> None:
    text = CUSTOM.replace("y = acme.Warp(h)", "w = acme.Warp(h)  k = acme.Bend(w)  y = Relu(k)")
    found = api.check(onnx.parser.parse_model(text))
    assert [p.operator for p in found.problems] == ["Warp", "Bend"]
    assert all("acme" in p.reason and "ONNX" in p.cure for p in found.problems)
    assert found.nodes_converting == 0.25
