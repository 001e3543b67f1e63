# SPDX-License-Identifier: Apache-2.0
"""Real models as C packages: emitted, compiled, bit-exact on their golden vectors."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
from c_programs import built, write
from PIL import Image

from snncc import api
from snncc.bundles.targets import EmitOptions
from snncc.data.dataset import Dataset, Preprocessing
from snncc.frontend.files.from_torch import export
from snncc.training.run import finetune
from snncc.training.settings import Settings

#: Widths proved for few steps, so that the test of the limit is quick.
OPTIONS = EmitOptions(max_timesteps=16)
PAPERS = Path(__file__).parents[2] / "examples" / "papers"
pytestmark = [pytest.mark.data, pytest.mark.slow]


def dataset(name: str, x: np.ndarray, **preprocessing: Any) -> Dataset:
    """Bytes as calibration data."""
    given = Preprocessing(scale=1 / 255, **preprocessing)
    return Dataset(inputs={name: x}, source="test", preprocessing=given, continuous=frozenset({name}))


def digits(folder: Path) -> Dataset:
    with np.load(folder / "mnist_train.npz", allow_pickle=False) as file:
        images = [Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR) for image in file["x"][:64]]
    return dataset("input.1", np.stack([np.asarray(image) for image in images])[:, None])


def photos(folder: Path) -> Dataset:
    with np.load(folder / "cifar10_test500.npz", allow_pickle=False) as file:
        x = file["x"][:64].transpose(0, 3, 1, 2)
    return dataset("input", x, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


#: Model, its data (None: synthetic inputs), layers that emit events.
MODELS = {
    "lenet": ("lenet-jinsoo__lenet", digits, 6),
    "keywords": ("mlperf-tiny__kws_dscnn", lambda folder: None, 9),
    "resnet20": ("akamaster__resnet20_op13", photos, 19),
}


def checked(converted: api.Converted, folder: Path, layers: int) -> None:
    """Build the emitted package with two compilers and sanitizers, and replay its golden vectors."""
    prefix = "integer/"
    files = {name.removeprefix(prefix): data for name, data in converted.files.items() if name.startswith(prefix)}
    stated = json.loads(files["manifest.json"])
    assert stated["max_timesteps"] == 16
    for target in ("gcc-O2", "clang-O2", "gcc-sanitizers", "arm-O2"):
        out = built(write(folder / target, files), target)
        assert f"{stated['timesteps']} steps, {layers} layers: equal" in out
        assert out.endswith("passed\n")


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, data_folder: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    file, data, layers = MODELS[name]
    model = data_folder / "models" / f"{file}.onnx"
    options: dict[str, Any] = {"timesteps": 8, "emit": "integer", "emit_options": OPTIONS, "write": False}
    checked(api.convert(model, calib=data(data_folder), **options), tmp_path, layers)


def test_ternary_lenet_of_zou(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained with ternary weights, at a quarter of the channels and on few images."""
    torch.set_num_threads(1)
    monkeypatch.setenv("SNNCC_DATA", str(data_folder))
    monkeypatch.syspath_prepend(str(PAPERS))
    lenet = importlib.import_module("mnist_lenet")
    data = lenet.mnist(False, 3000)
    onnx.save(
        export(lenet.trained_float(data, epochs=1, width=0.25), torch.zeros(1, 1, 28, 28)), tmp_path / "lenet.onnx"
    )
    chosen = {"method": "zou", "level": 0, "epochs": 1, "lr": 0.002, "optimizer": "adam", "pool": "stride"}
    trained = tmp_path / "zou.onnx"
    finetune(tmp_path / "lenet.onnx", msgspec.convert(chosen, Settings), train=data, out=trained)
    options: dict[str, Any] = {"method": "zou", "emit": "integer", "emit_options": OPTIONS, "write": False}
    converted = api.convert(trained, calib=data.head(64), **options)
    layers = json.loads(converted.files["integer/manifest.json"])["layers"]
    assert sum(layer.get("weights_bits") == 2 for layer in layers) == 4
    checked(converted, tmp_path / "package", 5)
