# SPDX-License-Identifier: Apache-2.0
"""The papers' examples at a small setting: the tables come out, and they say what the methods promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAPERS = Path(__file__).resolve().parents[2] / "examples" / "papers"
pytestmark = [pytest.mark.slow, pytest.mark.data]
Rows = dict[str, list[str]]


def run(script: str, data_folder: Path, folder: Path, *options: str) -> tuple[Rows, str]:
    """The rows of the tables that a script prints, by their first cell, and all it prints."""
    command = [sys.executable, str(PAPERS / script), "--out", str(folder), *options]
    environment = {**os.environ, "SNNCC_DATA": str(data_folder)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    cells = [
        [c.strip() for c in line.strip("| ").split(" | ")] for line in result.stdout.splitlines() if line[:1] == "|"
    ]
    return {row[0]: row[1:] for row in cells}, result.stdout


def ann(text: str) -> float:
    """The accuracy of the ANN."""
    found = re.search(r"^ANN ([\d.]+)", text, re.M)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(("paper", "keys"), [("zou", "012"), ("qffs", "1234")])
def test_what_is_quantised_is_lossless(tmp_path: Path, data_folder: Path, paper: str, keys: str) -> None:
    rows, text = run(f"{paper}/run.py", data_folder, tmp_path, "--quick", "--test", "200", "--ablations")
    for key in keys:
        cells = rows[key]
        assert cells[-1].startswith("0 of ")
        assert abs(float(cells[0]) - float(cells[-2])) <= 0.2
        assert float(cells[0]) > 92
    if paper == "zou":
        mismatches = re.findall(r"[\d.]+, T=\d+, (\d+), \d+ \|", text)
        assert mismatches == ["0"] * 24
    else:
        exact, plain = float(rows["+ event max pooling"][0]), float(rows["+ negative spikes"][0])
        assert exact > plain + 20


def test_dnisnm(tmp_path: Path, data_folder: Path) -> None:
    options = ("--quick", "--test", "200", "--calibration", "500", "--runs", "2")
    rows, text = run("dnisnm/run.py", data_folder, tmp_path, *options)
    mean = {name: [float(cell.split()[0]) for cell in cells if "±" in cell] for name, cells in rows.items()}
    last, whole = 5, mean["DNISNM: neuron maximum, initialised, signed"]
    assert abs(whole[last] - ann(text)) <= 1.5
    for t in (2, 3):  # T = 4, 8
        assert whole[t] > mean["neuron maximum, signed (2022)"][t] + 3
        assert mean["layer maximum, initialised (OPI)"][t] > mean["layer maximum (RMP)"][t] + 3
    assert any(not cell.endswith("± 0.00") for cell in rows["layer maximum (RMP)"] if "±" in cell)


def test_chen(tmp_path: Path, data_folder: Path) -> None:
    options = ("--quick", "--test", "100", "--calibration", "500", "--timesteps", "64")
    rows, text = run("chen/run.py", data_folder, tmp_path, *options)
    adaptive, fixed = rows["adaptive threshold"], rows["fixed at 0.7, reset by 0.7"]
    assert abs(float(adaptive[4]) - ann(text)) <= 3  # T = 64
    assert 1 <= int(adaptive[5]) <= 64
    assert float(adaptive[-1]) < 0.9 * float(fixed[-1])
    rasters = re.findall(r"^[|.]{64}$", text, re.M)
    assert len(rasters) == 32
    assert 0 < "".join(rasters[:16]).count("|") < "".join(rasters[16:]).count("|")


def test_msat(tmp_path: Path, data_folder: Path) -> None:
    rows, text = run("msat/run.py", data_folder, tmp_path, "--quick", "--test", "100", "--calibration", "300")
    whole = rows["MSAT: DTT, DET, confidence in the last layer"]
    off = rows["DTT and DET"]
    assert abs(float(whole[4]) - ann(text)) <= 4  # T = 64
    assert 0 < float(whole[5]) < float(off[5])  # fewer spikes of inactivated neurons
    assert len({tuple(rows[name]) for name in ("constant threshold", "DTT", "DET", "DTT and DET")}) == 4


@pytest.mark.parametrize(("script", "epochs", "least", "near"), [("speech", 4, 70, 12), ("text", 3, 62, 6)])
def test_other_tasks(tmp_path: Path, data_folder: Path, script: str, epochs: int, least: float, near: float) -> None:
    options = ("--epochs", str(epochs), "--test", "100", "--timesteps", "16", "--methods", "msat,dnisnm")
    rows, text = run(f"msat/{script}.py", data_folder, tmp_path, *options)
    assert ann(text) > least
    assert abs(float(rows["`dnisnm`"][2]) - ann(text)) <= near  # T = 16
    assert float(rows["`msat`"][2]) > 15


def test_a_given_cifar_network(tmp_path: Path, data_folder: Path) -> None:
    """What the full-size commands do, on a network of a tenth of the channels that has seen 200 images."""
    run("cifar.py", data_folder, tmp_path, "--net", "resnet18", "--width", "0.1", "--images", "200", "--epochs", "1")
    options = ("--model", str(tmp_path / "resnet18.onnx"), "--images", "100", "--test", "20", "--timesteps", "8")
    rows, text = run("chen/run.py", data_folder, tmp_path, *options)
    assert ann(text) <= 100
    assert len(rows["adaptive threshold"]) == len(rows["fixed at the full quantum"]) == 5
