# SPDX-License-Identifier: Apache-2.0
"""Real simulators on NIR files: digits_nir gives NIR's spike counts in each, and the table of docs/exchange.md holds.

Needs the simulators of tests/simulators.txt (sinabs is asked too where it is installed); skipped where they are not.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snncc import api
from snncc.backends.nir.interpreter import NirMachine

STRIDED = Path(__file__).resolve().parents[2] / "examples" / "nir" / "digits_nir.onnx"
SAMPLES, T = 16, 16
CHANNEL, UNIT = "digits_nir by channel", "digits_nir with unit thresholds"
#: The graphs that do not give the counts of NIR's rules: other counts, or an error. norse and sinabs drop nodes that
#: they do not know, and what is left fails in one run and counts wrongly in another.
WRONG = {
    "norse": {"Conv1d", "AvgPool2d", "Scale", "reset"},
    "spikingjelly": {CHANNEL, "Scale", "tie"},
    "snntorch": {CHANNEL, "Scale", "reset"},
    "sinabs": {"Conv1d", "AvgPool2d", "Scale", "Linear", "tie", "reset"},
}
RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def neuron(*shape: int, threshold: float = 0.5, reset: float = 0.0) -> nir.IF:
    ones = np.ones(shape, np.float32)
    return nir.IF(r=ones, v_threshold=ones * np.float32(threshold), v_reset=ones * np.float32(reset))


def chain(shape: tuple[int, ...], *nodes: Any) -> nir.NIRGraph:
    """Nodes one behind the other; the last is a neuron."""
    named = {"input": nir.Input(np.array(shape))} | {f"n{i}": node for i, node in enumerate(nodes)}
    named["output"] = nir.Output(np.array(nodes[-1].v_threshold.shape))
    return nir.NIRGraph(nodes=named, edges=list(zip(named, [*named][1:], strict=False)), metadata={})


def convolution() -> nir.Conv2d:
    weight, bias = numbers(2, 2, 3, 3), numbers(2)
    return nir.Conv2d((4, 4), weight, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1, bias=bias)


def two_edges() -> nir.NIRGraph:
    nodes = {
        "input": nir.Input(np.array([6])),
        "a": nir.Affine(numbers(4, 6), numbers(4)),
        "i": neuron(4),
        "b": nir.Affine(numbers(4, 4), numbers(4)),
        "j": neuron(4),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "a"), ("a", "i"), ("i", "b"), ("b", "j"), ("i", "j"), ("j", "output")]
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata={})


def graphs() -> Iterator[tuple[str, nir.NIRGraph, np.ndarray]]:
    """One small graph per row of the table, and a feed."""
    pool = {"kernel_size": np.array([2, 2]), "stride": np.array([2, 2]), "padding": np.array([0, 0])}
    line = nir.Conv1d(6, numbers(3, 2, 3), stride=1, padding=1, dilation=1, groups=1, bias=numbers(3))
    image, row = (2, 4, 4), (6,)
    made = {
        "Conv1d": chain((2, 6), line, neuron(3, 6)),
        "Conv2d": chain(image, convolution(), neuron(*image)),
        "AvgPool2d": chain(image, convolution(), nir.AvgPool2d(**pool), neuron(2, 2, 2)),
        "SumPool2d": chain(image, convolution(), nir.SumPool2d(**pool), neuron(2, 2, 2)),
        "Flatten": chain(image, convolution(), nir.Flatten(np.array(image), start_dim=0), neuron(32)),
        "Scale": chain(image, nir.Scale(numbers(*image)), neuron(*image)),
        "Affine": chain(row, nir.Affine(numbers(4, 6), numbers(4)), neuron(4)),
        "Linear": chain(row, nir.Linear(numbers(4, 6)), neuron(4)),
        "edges": two_edges(),
    }
    for name, graph in made.items():
        yield name, graph, numbers(3, *graph.nodes["input"].input_type["input"])
    quarter = nir.Affine(np.full((1, 1), 0.25, np.float32), np.zeros(1, np.float32))
    for name, reset in (("tie", 0.0), ("reset", -0.5)):
        yield name, chain((1,), quarter, neuron(1, threshold=1.0, reset=reset)), np.ones((1, 1), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All graphs with their feeds."""
    found = tmp_path_factory.mktemp("nir")
    for name, unit in ((CHANNEL, False), (UNIT, True)):
        options = api.EmitOptions(allow=("hard-reset", "strict-threshold"), unit_thresholds=unit)
        made = api.convert(STRIDED, method="rate", timesteps=T, emit="nir", emit_options=options, write=False)
        (found / f"{name}.nir").write_bytes(made.files["nir/network.nir"])
        with np.load(STRIDED.with_suffix(".npz")) as archive:
            np.save(found / f"{name}.npy", archive["x"][:SAMPLES])
    for name, graph, feed in graphs():
        nir.write(found / f"{name}.nir", graph)
        np.save(found / f"{name}.npy", feed)
    return found


def by_nir(path: Path) -> dict[str, np.ndarray]:
    """The spike counts of every neuron by NIR's rules."""
    feed, graph = np.load(path.with_suffix(".npy")), nir.read(path)
    machine = NirMachine(graph, dict.fromkeys(graph.inputs, feed))
    steps = [machine.step() for _ in range(T)]
    return {n: sum(s[n] for s in steps) for n, node in graph.nodes.items() if isinstance(node, nir.IF)}


@pytest.mark.parametrize("name", WRONG)
def test_what_each_makes_of_it(name: str, folder: Path) -> None:
    if any(importlib.util.find_spec(package) is None for package in (name, "nirtorch")):
        pytest.skip(f"{name} is not installed: see tests/simulators.txt")
    script = Path(__file__).with_name("simulators.py")
    words = [sys.executable, str(script), name, str(folder), str(T)]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    wrong = set()
    for path in sorted(folder.glob("*.nir")):
        counts, want = folder / name / f"{path.stem}.npz", by_nir(path)
        found = np.load(counts) if counts.exists() else {}
        same = sorted(found) == sorted(want) and all(found[n].size == want[n].size for n in want)
        if not (same and all(np.array_equal(found[n].reshape(want[n].shape), want[n]) for n in want)):
            wrong.add(path.stem)
    assert wrong == WRONG[name]
    if CHANNEL in wrong:
        assert "v_threshold must be" in (folder / name / f"{CHANNEL}.txt").read_text(encoding="utf-8")
    assert all(counts.sum() > 500 for counts in by_nir(folder / f"{CHANNEL}.nir").values())
