# SPDX-License-Identifier: Apache-2.0
"""digits_nir in real simulators: each neuron's spike count is that of NIR's rules.

Needs the simulators of tests/simulators.txt (sinabs is asked too where it is installed); skipped where they are not.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snncc import api
from snncc.backends.nir_interpreter import NirMachine, read

STRIDED = Path(__file__).resolve().parents[2] / "examples" / "nir" / "digits_nir.onnx"
SAMPLES, T = 16, 16
#: Those that keep a threshold for every neuron.
PER_NEURON = ("norse", "sinabs")


@pytest.fixture(scope="module", params=[False, True], ids=["channel-thresholds", "unit-thresholds"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """The folder with the graph and the feed, and whether all thresholds are 1."""
    options = api.EmitOptions(allow=("hard-reset", "strict-threshold"), unit_thresholds=request.param)
    made = api.convert(STRIDED, method="rate", timesteps=T, emit="nir", emit_options=options, write=False)
    folder = tmp_path_factory.mktemp("nir")
    (folder / "graph.nir").write_bytes(made.files["nir/network.nir"])
    np.save(folder / "feed.npy", np.load(STRIDED.with_suffix(".npz"))["x"][:SAMPLES])
    return folder, request.param


@pytest.mark.parametrize("name", ["norse", "spikingjelly", "snntorch", "sinabs"])
def test_the_same_spike_counts(name: str, exported: tuple[Path, bool], tmp_path: Path) -> None:
    if any(importlib.util.find_spec(package) is None for package in (name, "nirtorch")):
        pytest.skip(f"{name} is not installed: pip install --no-deps -r tests/simulators.txt")
    folder, unit = exported
    script, result = Path(__file__).with_name("simulators.py"), tmp_path / "counts.npz"
    words = [name, str(folder / "graph.nir"), str(folder / "feed.npy"), str(T), str(result)]
    run = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
    if not unit and name not in PER_NEURON:
        assert run.returncode != 0
        assert "v_threshold must be" in run.stderr
        return
    assert run.returncode == 0, run.stderr
    found, feed = np.load(result), np.load(folder / "feed.npy")
    machine = NirMachine(read((folder / "graph.nir").read_bytes()), {"image": feed})
    steps = [machine.step() for _ in range(T)]
    neurons = [n for n, node in machine.graph.nodes.items() if type(node).__name__ == "IF"]
    assert len(neurons) == 3
    assert sorted(found) == sorted(neurons)
    for neuron in neurons:
        want = sum(step[neuron] for step in steps)
        assert want.sum() > 500
        np.testing.assert_array_equal(found[neuron], want)
