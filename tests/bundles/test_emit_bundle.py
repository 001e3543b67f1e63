# SPDX-License-Identifier: Apache-2.0
"""`emit BUNDLE --to` does for an existing bundle what `convert --emit` does."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import snncc
from small_models import normal, parsed
from snncc import api
from snncc.bundles.bundle import open_bundle
from snncc.cli.commands import cli
from snncc.errors import BundleError

TEXT = "agraph (float[N, 4] x) => (float[N, 3] y) { h = MatMul(x, w)  r = Relu(h)  y = MatMul(r, v) }"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model = parsed(TEXT, w=normal(1, 4, 8), v=normal(2, 8, 3))
    snncc.convert(model, method="rate", timesteps=4, out=tmp_path / "net.snn")
    return tmp_path / "net.snn"


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_it_gives_the_same_files_as_convert(bundle: Path, tmp_path: Path) -> None:
    model = parsed(TEXT, w=normal(1, 4, 8), v=normal(2, 8, 3))
    snncc.convert(model, method="rate", timesteps=4, emit="onnx", out=tmp_path / "both.snn")
    before = files(bundle)
    result = CliRunner().invoke(cli, ["emit", str(bundle), "--to", "onnx"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    after, both = files(bundle), files(tmp_path / "both.snn")
    new = {name for name in after if name.startswith("onnx/")}
    assert new
    assert {name: after[name] for name in new} == {name: both[name] for name in both if name.startswith("onnx/")}
    assert {n: d for n, d in after.items() if n not in new | {"manifest.json"}} == {
        n: d for n, d in before.items() if n != "manifest.json"
    }
    assert new < open_bundle(bundle).manifest.files.keys()
    again = files(bundle)
    api.emit(bundle, to="onnx")
    assert files(bundle) == again


@pytest.mark.parametrize("command", [["emit", "--to", "onnx"], ["simulate", "--quiet"], ["report", "--quiet"]])
def test_without_a_bundle_the_newest_one_here_is_named(
    command: list[str], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.parent)
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "no bundle given: using net.snn" in result.output
    assert any(bundle.glob("onnx/*.onnx")) == (command[0] == "emit")


def test_a_changed_bundle_is_left_alone(bundle: Path) -> None:
    (bundle / "model.py").write_text("print(1)")
    before = files(bundle)
    with pytest.raises(BundleError, match=r"model\.py was changed"):
        api.emit(bundle, to="onnx")
    assert files(bundle) == before
