# SPDX-License-Identifier: Apache-2.0
"""The command line from outside: what it prints, its exit codes, and that bad input leaves nothing behind.

`process` starts a new process as a shell would, which imports everything anew; `snncc` is the same in this process.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from snncc.cli import cli
from snncc.cli.commands import run

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"


def process(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from snncc.cli import main; main()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
    )


def snncc(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    command = partial(cli, words, prog_name="snncc", standalone_mode=False)
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        run(command)
    assert isinstance(end.value.code, int)
    return subprocess.CompletedProcess(words, end.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    shutil.copy(DIGITS / "digits.onnx", folder)
    shutil.copy(DIGITS / "digits.npz", folder)
    done = process("convert", "digits.onnx", "--method", "dnisnm", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder


def test_simulate_takes_the_newest_bundle_and_its_json_has_the_pinned_keys(converted: Path) -> None:
    done = snncc("simulate", "--timesteps", "4", "--json", folder=converted)
    assert done.returncode == 0, done.stderr
    assert "digits.snn" in done.stderr
    result = json.loads(done.stdout)
    pinned = {
        "schema", "method", "timesteps", "samples", "device", "ann_accuracy", "accuracy", "agreement", "error",
        "firing_rate", "synaptic_operations",
    }  # fmt: skip
    assert pinned <= result.keys()
    assert list(result["accuracy"]) == ["1", "2", "4"]
    assert result["samples"] == 450
    assert result["ann_accuracy"] > 0.98
    assert 0.95 <= result["accuracy"]["4"] <= 1
    assert 0 < result["firing_rate"] < 1
    assert result["error"]["4"] < result["error"]["1"]


def test_the_table_fits_80_columns(converted: Path) -> None:
    done = process("simulate", folder=converted)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout


def test_engines_agree(converted: Path) -> None:
    found = []
    small = np.load(DIGITS / "digits.npz")
    np.savez(converted / "few.npz", x=small["x"][:20], y=small["y"][:20])
    for engine in ("torch", "reference"):
        words = ("simulate", "digits.snn", "--data", "few.npz", "--timesteps", "3", "--engine", engine, "--json")
        found.append(json.loads(snncc(*words, folder=converted).stdout))
    assert found[0]["accuracy"] == found[1]["accuracy"]
    assert found[0]["synaptic_operations"] == pytest.approx(found[1]["synaptic_operations"], rel=1e-4)
    assert found[0]["error"]["3"] == pytest.approx(found[1]["error"]["3"], rel=1e-2)


def test_simulate_changes_no_file_of_the_bundle(converted: Path) -> None:
    bundle = converted / "digits.snn"
    before = {p.name: p.read_bytes() for p in bundle.iterdir() if p.is_file()}
    snncc("simulate", "digits.snn", folder=converted)
    assert {p.name: p.read_bytes() for p in bundle.iterdir() if p.is_file()} == before
    assert (bundle / "runs").is_dir()


def test_check_json(converted: Path) -> None:
    done = snncc("check", "digits.onnx", "--json", folder=converted)
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["convertible"], result["problems"]) == (True, [])
    assert result["inputs"] == {"image": ["N", 1, 8, 8]}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("convert", "digits.onnx"), 7, "exists already"),
        (("convert", "missing.onnx"), 3, "no such file"),
        (("convert", "digits.onnx", "--force", "--method", "dnism"), 4, "did you mean 'dnisnm'"),
        (("convert", "digits.onnx", "--force", "--calib", "missing.npz"), 5, "missing.npz"),
        (("convert", "digits.onnx", "--force", "--calib", "empty.npz"), 5, "samples"),
        (("convert", "digits.onnx", "--force", "--calib", "wrong.npz"), 5, "expected"),
        (("convert", "digits.onnx", "--force", "--calib", "nan.npz"), 5, "NaN"),
        (("convert", "digits.onnx", "--force", "--calib", "pickled.npz"), 5, "object"),
        (("convert", "digits.onnx", "--method", "rate", "--set", "balance_thresholds.percentile=200"), 4, "percentile"),
        (("convert", "digits.onnx", "--force", "--set", "nonsense"), 2, "PASS.OPTION=VALUE"),
        (("convert", "digits.onnx", "--force", "--shape", "image=1"), 2, "dimensions"),
        (("convert", "text.onnx"), 3, "text file"),
        (("check", "truncated.onnx"), 3, "truncated"),
        (("simulate", "nothing.snn"), 7, "not a bundle"),
        (("simulate", "digits.snn", "--device", "abacus"), 2, "abacus"),
        (("simulate", "digits.snn", "--data", "labels.npz"), 5, "label"),
        (("explain", "folding"), 4, "fold_batchnorm"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else None,
)
def test_bad_input_gets_one_message_and_leaves_nothing(
    converted: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    x = np.zeros((4, 1, 8, 8), np.float32)
    np.savez(converted / "empty.npz", x=x[:0])
    np.savez(converted / "wrong.npz", x=x[:, :, :5])
    np.savez(converted / "nan.npz", x=x + np.nan)
    np.savez(converted / "pickled.npz", x=np.array([{}], dtype=object))
    np.savez(converted / "labels.npz", x=x, y=np.zeros(3, np.int64))
    (converted / "text.onnx").write_text("no model")
    (converted / "truncated.onnx").write_bytes((DIGITS / "digits.onnx").read_bytes()[:2000])
    before = {p: p.stat().st_mtime_ns for p in (converted / "digits.snn").iterdir() if p.is_file()}
    names = {p.name for p in converted.iterdir()}
    done = snncc(*words, folder=converted)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert says in " ".join(done.stderr.split())
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert {p.name for p in converted.iterdir()} == names


def test_a_process_ends_with_the_code_and_one_message(converted: Path) -> None:
    done = process("convert", "missing.onnx", folder=converted)
    assert (done.returncode, done.stdout) == (3, "")
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_that_are_no_classes_are_named(converted: Path) -> None:
    np.savez(converted / "far.npz", x=np.zeros((4, 1, 8, 8), np.float32), y=np.array([0, 1, 2, 99]))
    done = snncc("simulate", "digits.snn", "--data", "far.npz", "--timesteps", "2", folder=converted)
    assert done.returncode == 0, done.stderr
    assert "labels of far.npz are no indices of output" in " ".join(done.stderr.split())


def test_a_bug_says_so(tmp_path: Path) -> None:
    code = "from snncc.cli import commands; commands.run(lambda: 1 / 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr
    assert "bug in snncc" in done.stderr


def test_out_of_memory_is_no_bug(tmp_path: Path) -> None:
    code = "from snncc.cli import commands; commands.run(lambda: bytes(1 << 62))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "out of memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_synthetic_calibration_is_loud(tmp_path: Path) -> None:
    shutil.copy(DIGITS / "digits.onnx", tmp_path / "lonely.onnx")
    done = snncc("convert", "lonely.onnx", "--method", "rate", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "synthetic" in done.stderr
    report = json.loads((tmp_path / "lonely.snn" / "report.json").read_text())
    assert any("synthetic" in warning for warning in report["warnings"])
    manifest = json.loads((tmp_path / "lonely.snn" / "manifest.json").read_text())
    assert manifest["calibration"]["synthetic"] is True


def test_keep_passes_writes_each_network(tmp_path: Path) -> None:
    done = snncc("convert", str(DIGITS / "digits.onnx"), "--method", "rate", "--keep-passes", "stages", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (tmp_path / "stages").iterdir())
    assert names[0] == "00-fold_batchnorm.json"
    assert "IF(" in (tmp_path / "stages" / names[-1]).read_text()
