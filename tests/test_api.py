# SPDX-License-Identifier: Apache-2.0
"""`snncc.convert`, `load` and `convert_torch`, and the bundle they share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import snncc
from snncc import api
from snncc.bundles.bundle import network_bytes, network_from, open_bundle
from snncc.errors import BundleError, UnsupportedModel
from snncc.execute.torch.engine import Engine

DIGITS = Path(__file__).parents[1] / "examples" / "digits"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "digits.snn"
    api.convert(DIGITS / "digits.onnx", method="dnisnm", out=path)
    return path


def files(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file() and p.name != "timings.json"}


def test_two_conversions_are_byte_identical_whatever_the_batch_size(bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "digits.snn"
    api.convert(DIGITS / "digits.onnx", method="dnisnm", out=again, batch_size=17)
    assert files(again) == files(bundle)


def test_nothing_of_this_machine_is_in_a_bundle(bundle: Path) -> None:
    import platform

    for name, data in files(bundle).items():
        for secret in (str(bundle.parent), str(DIGITS.parent), platform.node()):
            assert len(secret) < 3 or secret.encode() not in data, (name, secret)


def test_the_network_survives_saving(bundle: Path) -> None:
    network = open_bundle(bundle).network
    assert network_from(*network_bytes(network)) == network


def test_load_gives_a_module_scaled_like_the_ann(bundle: Path) -> None:
    module, opened = snncc.load(bundle), open_bundle(bundle)
    x = np.load(DIGITS / "digits.npz")["x"][:16]
    expected = opened.truth().run({"image": x})["logits"]
    short, long = module(torch.from_numpy(x)), module(torch.from_numpy(x), timesteps=128)
    assert isinstance(module, nn.Module)
    assert short.shape == long.shape == expected.shape
    errors = [float(np.square(y.numpy() - expected).mean()) for y in (short, long)]
    assert errors[1] < errors[0] / 5
    assert torch.equal(module(torch.from_numpy(x), 8), short)
    whole = Engine(opened.network).run({"image": x}, 8).outputs["logits"][0]
    assert torch.allclose(short, whole)
    assert module.double()(torch.from_numpy(x).double()).dtype == torch.float64


@pytest.mark.parametrize("name", ["network.json", "weights.safetensors", "ann.onnx", "samples.npz", "manifest.json"])
def test_a_changed_byte_is_found(bundle: Path, tmp_path: Path, name: str) -> None:
    import shutil

    copy = tmp_path / "copy.snn"
    shutil.copytree(bundle, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(BundleError):
        snncc.simulate(copy, timesteps=1)


def test_load_never_runs_code_of_the_bundle(bundle: Path, tmp_path: Path) -> None:
    import shutil

    copy, trace = tmp_path / "evil.snn", tmp_path / "trace"
    shutil.copytree(bundle, copy)
    (copy / "model.py").write_text(f"open({str(trace)!r}, 'w').close()")
    snncc.load(copy)
    assert not trace.exists()


def test_convert_torch_and_model_proto(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    net.train()
    made = snncc.convert_torch(net, torch.zeros(1, 1, 8, 8), method="rate", out=tmp_path / "t.snn")
    assert net.training
    x = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        expected = net.eval()(x)
    assert float((made.module()(x, timesteps=2048) - expected).square().mean()) < 0.01 * float(expected.square().mean())
    proto = onnx.load(DIGITS / "digits.onnx")
    assert snncc.convert(proto, method="rate", write=False).path is None


def test_options_reach_the_recipe_and_the_manifest(tmp_path: Path) -> None:
    made = snncc.convert(
        DIGITS / "digits.onnx",
        method="rate",
        granularity="channel",
        options=[("initialize_membrane", "fraction", 0.5)],
        out=tmp_path / "d.snn",
    )
    by_name = {r.name: r.options for r in made.manifest.records}
    assert by_name["balance_thresholds"]["granularity"] == "channel"
    assert by_name["initialize_membrane"]["fraction"] == 0.5
    stored = json.loads((tmp_path / "d.snn" / "manifest.json").read_text())
    assert (stored["timesteps"], stored["seed"]) == (8, 0)
    assert stored["samples"]["labelled"] is True
    assert set(made.manifest.files) >= {"network.json", "model.py", "weights.safetensors", "ann.onnx", "samples.npz"}


def test_dynamic_axes_are_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,L,3] x) => (float[N,L,3] y) { y = Relu(x) }'
    model = onnx.parser.parse_model(text)
    with pytest.raises(UnsupportedModel, match=r"--shape x=N,SIZE,3"):
        snncc.convert(model, write=False)
    assert not snncc.check(model).convertible
    assert snncc.check(model, shapes={"x": ("N", 4, 3)}).convertible
    made = snncc.convert(model, shapes={"x": ("N", 4, 3)}, out=tmp_path / "m.snn", method="dnisnm")
    assert made.path is not None
    assert snncc.simulate(made.path, timesteps=4).samples == 64
