# SPDX-License-Identifier: Apache-2.0
"""Gains and shifts behind weighted nodes become part of them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from small_networks import Small, samples

from snncc.execute.torch.engine import Engine
from snncc.integer import lower
from snncc.integer.executor import run
from snncc.integer.folding import fold_affines
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, Input
from snncc.ir.schedule import Schedule


def network(gain: np.ndarray, *, output: bool = False) -> Network:
    """A convolution, a gain and shift, neurons, a read-out with a shift."""
    s = Small(5)
    s.add(Input, "x", [], (1, 2, 4, 4))
    s.conv("c", "x", (1, 3, 4, 4), (3, 2, 1, 1))
    s.array("a/scale", gain)
    s.array("a/shift", np.array([0.3, -0.1, 0.2]).reshape(1, 3, 1, 1))
    s.add(Affine, "a", ["c"], (1, 3, 4, 4), scale="a/scale", shift="a/shift")
    s.neuron("n", "a", (1, 3, 4, 4), "early")
    s.conv("d", "n", (1, 2, 1, 1), (2, 3, 4, 4))
    s.array("y/shift", np.array([0.5, -0.5]).reshape(1, 2, 1, 1))
    s.add(Affine, "y", ["d"], (1, 2, 1, 1), shift="y/shift")
    return s.network(["y", "c"] if output else ["y"], Schedule())


CHANNELS = np.array([1.5, -0.4, 2.0]).reshape(1, 3, 1, 1)


def test_same_function_without_the_affines() -> None:
    net = network(CHANNELS)
    folded = fold_affines(net)
    assert [n.name for n in folded.nodes] == ["x", "a", "n", "y"]
    x = {"x": samples(net, 10).inputs["x"]}
    before, after = (Engine(n, dtype=torch.float64).run(x, 8).outputs["y"][0].numpy() for n in (net, folded))
    assert after == pytest.approx(before, abs=1e-6)


def test_chains_are_folded_whole() -> None:
    """BatchNorm behind a bias: shift, gain, shift."""
    net = network(CHANNELS)
    shifted = Affine(name="b", inputs=("c",), shape=(1, 3, 4, 4), batch=0, shift="b/shift")
    chained = net.rewrite(
        lambda node: [shifted, msgspec.structs.replace(node, inputs=("b",))] if node.name == "a" else node,
        {"b/shift": np.array([1.0, -2.0, 0.5], np.float32).reshape(1, 3, 1, 1)},
    )
    folded = fold_affines(chained)
    assert [n.name for n in folded.nodes] == ["x", "a", "n", "y"]
    x = {"x": samples(net, 10).inputs["x"]}
    before, after = (Engine(n, dtype=torch.float64).run(x, 8).outputs["y"][0].numpy() for n in (chained, folded))
    assert after == pytest.approx(before, abs=1e-6)


def test_what_others_read_stays() -> None:
    """An output, and a gain that differs between positions."""
    assert "c" in fold_affines(network(CHANNELS, output=True)).by_name
    positions = np.linspace(0.5, 1.5, 16).reshape(1, 1, 4, 4)
    assert "c" in fold_affines(network(positions)).by_name


def test_a_channel_that_is_switched_off() -> None:
    """A gain of nearly 0 leaves a constant, and no numbers without bound."""
    gain = CHANNELS.copy()
    gain[0, 0] = 1e-12
    net = network(gain)
    data = samples(net, 50)
    integer = lower(net, data)
    floats = Engine(net, dtype=torch.float64).run({"x": data.inputs["x"]}, 32).outputs["y"][0].numpy()
    found = run(integer, {"x": data.inputs["x"]}, 32)[1]["y"] * integer.output_scale["y"] / 32
    assert np.abs(found - floats).max() < 0.05 * np.abs(floats).max()
    assert max(w.largest for w in integer.widths) < 1 << 28
