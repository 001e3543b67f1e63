# SPDX-License-Identifier: Apache-2.0
"""What a newcomer gets wrong is refused by every command with the thing, the reason and the cure, never as a bug."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from snncc.cli.commands import cli
from snncc.errors import InvariantBroken, SnnccError

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
#: What is typed, and a part of the answer.
WRONG = {
    "check nothere.onnx": "no such file",
    "check text.onnx": "text file",
    "check empty.onnx": "is empty",
    "check folder": "is a folder",
    "check data.npz": "zip archive",
    "check net.pt2": "no exported program",
    "check model.onnx --shape image=-1": "INPUT=DIMS",
    "check model.onnx --shape foo=N,1,8,8": "no input 'foo'",
    "check model.onnx --shape image=2,1,8": "3 dimensions",
    "convert model.onnx --shape image=N,3,8,8": "3 channels come in, the weight takes 1",
    "convert model.onnx --method nope": "no method 'nope'",
    "convert model.onnx --timesteps -3": "-3 is not in the range",
    "convert model.onnx --max-drop 1": "targets of a search",
    "convert model.onnx --method auto --levels 2": "--method auto chooses",
    "convert model.onnx --calib nothere.npz": "nothere.npz",
    "convert model.onnx --calib wrong.npz": "expected an array 'calib_image'",
    "convert model.onnx --calib shape.npz": "expected shape",
    "convert model.onnx --calib nan.npz": "contains NaN",
    "convert model.onnx --calib text.npz": "not a zip file",
    "convert model.onnx --calib model.onnx": "neither .npz",
    "convert model.onnx --calib folder": "holds no images",
    "convert model.onnx --calib few.npz": "8 samples but 7 labels",
    "convert model.onnx --calib empty.npz": "holds no samples",
    "convert model.onnx --std 0": "std must be positive",
    "convert model.onnx --scale nan": "must be finite",
    "convert model.onnx --set foo": "PASS.OPTION=VALUE",
    "convert model.onnx --recipe nothere.toml": "nothere.toml",
    "convert model.onnx --method rate --timesteps 1 -o text.onnx/x.snn": "a folder of its path is a file",
    "simulate nothere.snn": "not a bundle",
    "simulate folder": "manifest.json",
    "report model.onnx": "not a bundle",
    "compare model.onnx --methods ,": "no method to compare",
    "compare model.onnx --methods rate --timesteps a": "time steps",
    "finetune model.onnx --method qffs --epochs 1 --train wrong.npz": "given 'foo'",
    "finetune model.onnx --method qffs --epochs 1 --train one.npy": "no labels",
    "finetune model.onnx --method qffs --epochs 1 --train labels.npz": "from 99 to 99, the network has 10 classes",
    "batch nothere --out o": "no model",
    "batch folder --out o": "no model",
    "batch text.toml --out o": "text.toml",
    "batch model.onnx --out folder --backend dask": "needs an address",
    "batch model.onnx --out images --method rate": "not the output of a batch",
    "emit nothere.snn --to onnx": "not a bundle",
    "emit": "--to",
    "explain nope": "no pass or method",
    "nope": "nope",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rubbish")
    shutil.copy(DIGITS / "digits.onnx", folder / "model.onnx")
    x = np.load(DIGITS / "digits.npz")["x"][:32]
    hole = x.copy()
    hole[3, 0, 1, 1] = np.nan
    for name, arrays in {
        "data": {"x": x},
        "wrong": {"foo": x},
        "shape": {"x": np.zeros((8, 3, 32, 32), np.float32)},
        "nan": {"x": hole},
        "few": {"x": x[:8], "y": np.arange(7)},
        "labels": {"x": x[:8], "y": np.full(8, 99)},
        "empty": {"x": x[:0]},
    }.items():
        np.savez(folder / f"{name}.npz", **arrays)
    np.save(folder / "one.npy", x)
    for name, content in {"text.onnx": "hello\n", "text.npz": "no", "text.toml": "a = [", "empty.onnx": ""}.items():
        (folder / name).write_text(content)
    (folder / "net.pt2").write_bytes(b"rubbish")
    (folder / "folder").mkdir()
    (folder / "images").mkdir()
    (folder / "images" / "x.png").write_text("no image")
    return folder


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_named_with_a_cure(line: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    before = sorted(p.name for p in place.rglob("*") if not p.name.endswith(".checkpoints"))
    error = CliRunner().invoke(cli, line.split(), standalone_mode=False).exception
    assert isinstance(error, SnnccError | click.ClickException), repr(error)
    assert not isinstance(error, InvariantBroken)
    message = error.message if isinstance(error, SnnccError) else error.format_message()
    assert WRONG[line] in str(error) + message
    if isinstance(error, SnnccError):
        assert error.cure or "  -> " in str(error)
    assert sorted(p.name for p in place.rglob("*") if not p.name.endswith(".checkpoints")) == before
