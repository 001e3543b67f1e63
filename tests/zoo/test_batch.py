# SPDX-License-Identifier: Apache-2.0
"""A batch goes on past every failure, loses nothing when it is killed, and gives the same summary however it went."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from zoos import labelled, make_zoo, perceptron, processes_of

import snncc
from snncc.bundles.bundle import open_bundle
from snncc.cli.commands import cli
from snncc.errors import BundleError, UsageError
from snncc.reports.document import report_of
from snncc.zoo.results import Result

Told = list[tuple[str, bool]]


def batch(zoo: Path, out: Path, told: Told | None = None, **options: object) -> dict[str, Result]:
    def tell(result: Result, done: int, total: int, skipped: bool) -> None:
        if told is not None:
            told.append((result.name, skipped))

    found = snncc.batch(zoo, out=out, jobs=2, method="rate", timesteps=4, told=tell, **options)
    return {entry.result.name: entry.result for entry in found.entries}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Result]]:
    folder = tmp_path_factory.mktemp("batch")
    zoo = make_zoo(folder / "zoo")
    return zoo, folder / "out", batch(zoo, folder / "out")


def test_every_model_has_its_result(done: tuple[Path, Path, dict[str, Result]]) -> None:
    _, out, found = done
    kinds = {name: result.failure.kind if result.failure else None for name, result in found.items()}
    assert kinds == {"alpha": None, "broken": "UnreadableModel", "deep__beta": None, "random": "UnsupportedModel"}
    alpha = found["alpha"]
    assert (alpha.metric, alpha.ann, alpha.samples, alpha.timesteps) == ("accuracy", 1.0, 40, 4)
    assert alpha.drop == pytest.approx(1 - (alpha.value or 0))
    simulated = snncc.simulate(out / "alpha.snn")
    assert simulated.accuracy["4"] == alpha.value
    assert (found["deep__beta"].metric, found["deep__beta"].synthetic) == ("agreement", True)
    assert {p.name for p in out.iterdir()} == {
        *("alpha.snn", "deep__beta.snn", "results", "index.html"),
        *("summary.json", "summary.csv", "junit.xml", "timings.json"),
    }
    text = (out / "summary.json").read_text()
    summary = json.loads(text)
    assert {key: summary[key] for key in ("total", "converted", "failed")} == {"total": 4, "converted": 2, "failed": 2}
    assert [model["name"] for model in summary["models"]] == ["alpha", "broken", "deep__beta", "random"]
    assert [gate["gate"] for gate in summary["models"][1]["gates"] if not gate["passed"]] == ["converts"]
    assert "seconds" not in text
    assert str(out.parent) not in text
    assert json.loads((out / "timings.json").read_text())["models"]["alpha"]["seconds"] > 0


def test_a_second_run_does_what_is_missing_only(done: tuple[Path, Path, dict[str, Result]], tmp_path: Path) -> None:
    zoo, out, _ = done
    before = (out / "summary.json").read_bytes()
    told: Told = []
    batch(zoo, out, told)
    assert dict(told) == {"alpha": True, "deep__beta": True, "random": True, "broken": False}
    assert (out / "summary.json").read_bytes() == before
    (out / "deep__beta.snn" / "weights.safetensors").write_bytes(b"damaged")
    np.savez(zoo / "alpha.npz", **labelled(perceptron(1), 30))
    told.clear()
    found = batch(zoo, out, told)
    assert dict(told) == {"alpha": False, "deep__beta": False, "random": True, "broken": False}
    assert found["alpha"].samples == 30
    np.savez(zoo / "alpha.npz", **labelled(perceptron(1)))
    batch(zoo, out)
    assert (out / "summary.json").read_bytes() == before
    open_bundle(out / "deep__beta.snn")


def test_limits_end_a_model_and_not_the_batch(tmp_path: Path) -> None:
    for name in ("slow", "large"):
        onnx.save(perceptron(1), tmp_path / f"{name}.onnx")
    manifest = tmp_path / "zoo.toml"
    manifest.write_text(
        "[[models]]\npath='slow.onnx'\ntime_limit=0.2\n[[models]]\npath='large.onnx'\nmemory_limit=0.05\n"
    )
    found = batch(manifest, tmp_path / "out")
    assert {n: r.failure.kind for n, r in found.items() if r.failure} == {"slow": "TimeLimit", "large": "MemoryLimit"}
    manifest.write_text("[[models]]\npath='slow.onnx'\n")
    assert batch(manifest, tmp_path / "out")["slow"].status == "converted"


def test_auto_searches_for_each_model(tmp_path: Path) -> None:
    for name in ("easy", "hard"):
        onnx.save(perceptron(1), tmp_path / f"{name}.onnx")
        np.savez(tmp_path / f"{name}.npz", **labelled(perceptron(1)))
    manifest = tmp_path / "zoo.toml"
    manifest.write_text(
        "[defaults]\nmethod='auto'\n"
        "[[models]]\npath='easy.onnx'\nmax_drop=0.5\n[[models]]\npath='hard.onnx'\ntimesteps=1\nmax_drop=0.0\n"
    )
    given = snncc.batch(manifest, out=tmp_path / "out", jobs=2)
    easy, hard = (entry.result for entry in given.entries)
    search = report_of(open_bundle(tmp_path / "out" / "easy.snn")).search
    assert search is not None
    (chosen,) = (trial for trial in search.trials if trial.chosen)
    assert (easy.method, easy.timesteps, easy.levels) == (chosen.method, chosen.timesteps, chosen.levels)
    assert chosen.drop <= 50
    assert easy.drop is not None
    assert hard.failure is not None
    assert (hard.method, hard.failure.kind) == ("auto", "FidelityError")
    assert "a drop of at most 0 points, T <= 1" in hard.failure.message
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["models"][0]["levels"] == easy.levels


def test_foreign_folders_and_bad_requests_are_refused(tmp_path: Path) -> None:
    onnx.save(perceptron(1), tmp_path / "a.onnx")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="not the output of a batch"):
        batch(tmp_path / "a.onnx", tmp_path / "out")
    with pytest.raises(UsageError, match="address"):
        batch(tmp_path / "a.onnx", tmp_path / "new", backend="dask")
    with pytest.raises(UsageError, match="max_drop"):
        batch(tmp_path / "a.onnx", tmp_path / "new", max_drop=2)
    assert not (tmp_path / "new" / "summary.json").exists()


def command(zoo: Path, out: Path, *options: str) -> list[str]:
    base = [sys.executable, "-c", "from snncc.cli import main; main()", "batch", str(zoo), "--out", str(out)]
    return [*base, "--jobs", "2", "--method", "rate", "--timesteps", "4", "--quiet", *options]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("wait_for", ["a process", "a result"])
def test_a_killed_batch_is_resumed(done: tuple[Path, Path, dict[str, Result]], tmp_path: Path, wait_for: str) -> None:
    zoo, undisturbed, _ = done
    out = tmp_path / "out"
    process = subprocess.Popen(command(zoo, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if processes_of(out) if wait_for == "a process" else list(out.glob("results/alpha.json")):
                break
            time.sleep(0.02)
        else:
            pytest.fail("the batch did not begin")
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10
    while processes_of(out):
        assert time.monotonic() < deadline, "processes outlive the batch"
        time.sleep(0.05)
    kept = {path.stem: path.read_bytes() for path in out.glob("results/[a-z]*.json")}
    for bundle in out.glob("[a-z]*.snn"):
        open_bundle(bundle)
    assert not (out / "summary.json").exists()
    result = subprocess.run(command(zoo, out), capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr  # two models do not convert
    assert (out / "summary.json").read_bytes() == (undisturbed / "summary.json").read_bytes()
    for name in {"alpha", "deep__beta"} & kept.keys():
        assert (out / "results" / f"{name}.json").read_bytes() == kept[name], "what was finished was done again"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--allow-failures"], 0),
        (["--allow-failures", "--max-t", "1048576", "--max-drop", "1"], 1),  # no T reached is no T within the limit
        (["--max-drop", "1"], 1),
    ],
)
def test_the_exit_status_is_that_of_the_gates(
    done: tuple[Path, Path, dict[str, Result]], options: list[str], status: int
) -> None:
    zoo, out, _ = done
    arguments = ["batch", str(zoo), "--out", str(out), "--method", "rate", "--timesteps", "4", *options]
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, type(result.exception)) in {(status, type(None)), (status, SystemExit)}
    assert json.loads((out / "summary.json").read_text())["passed"] is (status == 0)
