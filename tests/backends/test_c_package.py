# SPDX-License-Identifier: Apache-2.0
"""The C package is the reference executor, bit for bit: every event of every layer and step, and every output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from c_programs import TARGETS, built, made
from integer_networks import currents, edges, integer, layouts, one_dimensional, random_network, residual, silent, zou

from snncc.execute.reference import run
from snncc.integer.executor import as_floats
from snncc.ir.network import Network
from snncc.ir.nodes import IF, SignedIF

NETWORKS: dict[str, Callable[[], Network]] = {
    "residual": residual,
    "window": lambda: residual(kind="window", steps=3),
    "late readout": lambda: residual(readout_after=2),
    "layouts": layouts,
    "one dimension": one_dimensional,
    "zou": zou,
    "currents": currents,
    "currents for a while": lambda: currents(kind="window", steps=4),
    "currents once": lambda: currents(kind="once"),
    "edges": edges,
    "silent": silent,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_bit_exact(name: str, tmp_path: Path) -> None:
    out = built(made(integer(NETWORKS[name](), 9), tmp_path, steps=9), "gcc-sanitizers")
    assert "golden vectors: 4 samples, 9 steps" in out
    assert out.endswith("passed\n")


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_vectors_are_those_of_the_definition(name: str) -> None:
    """They are computed in float64, which is exact; the definition is the same executor in int64."""
    network = NETWORKS[name]()
    image = np.random.default_rng(1).integers(0, 256, (3, *network.inputs[0].shape[1:])).astype(np.uint8)
    floats = run(as_floats(network), {"image": image.astype(np.float64)}, 6)
    for step, exact in zip(floats, run(network, {"image": image}, 6), strict=True):
        for node in network.nodes:
            assert np.array_equal(step[node.name], exact[node.name]), node.name
            assert exact[node.name].dtype.kind in "iu"


@pytest.mark.parametrize("target", TARGETS)
def test_every_target(target: str, tmp_path: Path) -> None:
    assert built(made(integer(residual(), 8), tmp_path, steps=8), target).endswith("passed\n")


@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    built(made(integer(random_network(seed), 7), tmp_path, steps=7, seed=seed), "gcc-sanitizers")


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_more_random_networks(block: int, tmp_path: Path) -> None:
    for seed in range(100 + 15 * block, 115 + 15 * block):
        network = random_network(seed)
        built(made(integer(network, 7), tmp_path / str(seed), steps=7, seed=seed), "gcc-sanitizers")


def test_examples_fire() -> None:
    """The networks above say something: every layer fires, and one of them with negative spikes."""
    negative = 0.0
    for network in (*(make() for make in NETWORKS.values()), *map(random_network, range(8))):
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (4, *network.inputs[0].shape[1:])).astype(np.float64)
        steps = run(as_floats(network), {"image": image}, 7)
        for node in network.nodes:
            if isinstance(node, IF | SignedIF):
                assert np.mean([step[node.name] > 0 for step in steps]) > 0.005, node.name
                negative += float(np.sum([step[node.name] < 0 for step in steps]))
    assert negative > 500
