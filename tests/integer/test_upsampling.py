# SPDX-License-Identifier: Apache-2.0
"""Nearest-neighbour upsampling in whole numbers: the same function, and an executor that knows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import Small, samples

from snncc.execute.torch.engine import Engine
from snncc.integer import lower
from snncc.integer.executor import IntegerExecutor, run
from snncc.integer.upsampling import spread_repeats
from snncc.ir.network import Network
from snncc.ir.nodes import Constant, Differential, Expand, Input, Operator, Reshape
from snncc.ir.schedule import Schedule


def upsampled(rows: list[int]) -> Network:
    """Neurons, their rows taken as given, their columns three times, a convolution and a sigmoid."""
    s = Small(3)
    s.add(Input, "x", [], (1, 2, 3, 2))
    s.conv("c", "x", (1, 3, 3, 2), (3, 2, 1, 1))
    s.neuron("n", "c", (1, 3, 3, 2), "early")
    for axis, index in ((2, rows), (3, [0, 0, 0, 1, 1, 1])):
        s.nodes.append(Constant(name=f"i{axis}", shape=(len(index),), batch=None, dtype="int64", value=f"i{axis}"))
        s.arrays[f"i{axis}"] = np.array(index)
    s.add(Operator, "r", ["n", "i2"], (1, 3, len(rows), 2), op="gather", attributes={"axis": 2})
    s.add(Operator, "u", ["r", "i3"], (1, 3, len(rows), 6), op="gather", attributes={"axis": 3})
    s.conv("d", "u", (1, 2, 1, 1), (2, 3, len(rows), 6))
    sigmoid = Operator(name="y", inputs=("d",), shape=(1, 2, 1, 1), batch=0, op="sigmoid", attributes={})
    bounds = {"low": (None,), "high": (None,), "nonzero": (0.0,)}
    s.add(Differential, "y", ["d"], (1, 2, 1, 1), function=sigmoid, **bounds)
    return s.network(["y"], Schedule())


def test_same_function_in_floats_and_near_it_in_integers() -> None:
    net = upsampled([0, 0, 1, 1, 2, 2])
    spread = spread_repeats(net)
    kinds = [type(node) for node in spread.nodes]
    assert (kinds.count(Reshape), kinds.count(Expand), kinds.count(Operator)) == (4, 2, 0)
    data = samples(net, 40)
    floats, same = (Engine(n, dtype=torch.float64).run(data.inputs, 8).outputs["y"][0].numpy() for n in (net, spread))
    assert np.array_equal(floats, same)
    integer = lower(net, data)
    assert integer.network.outputs == ("d",)
    found = IntegerExecutor(integer, device="cpu", steps=8).run(data.inputs, 8, (8,)).outputs["y"][0]
    sums = run(integer, data.inputs, 8)[1]["d"] * integer.output_scale["d"] / 8
    assert found == pytest.approx(1 / (1 + np.exp(-sums)), abs=1e-12)
    assert np.abs(found - floats).max() < 0.05


def test_other_indices_stay() -> None:
    net = upsampled([0, 1, 1, 2, 2, 0])
    assert [node.name for node in spread_repeats(net).nodes if isinstance(node, Operator)] == ["r"]
