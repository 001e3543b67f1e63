# SPDX-License-Identifier: Apache-2.0
"""Proved widths hold for every input, and are not much wider than what inputs attain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import NEURONS, Small, images, samples

from snncc.errors import EmitError
from snncc.execute.reference import Machine
from snncc.integer import lower
from snncc.integer.widths import proved_widths
from snncc.ir.network import Network, frozen
from snncc.ir.nodes import Differential, Input, Linear, Neuron, SignedIF
from snncc.ir.schedule import Schedule

#: Bounds of membranes are at most this many times what inputs attain: spikes of either sign could first take a sum to
#: one end and then to the other, which a bound must allow for and a constant input does not do.
FACTOR = 2.0
SCHEDULES = (Schedule(), Schedule(kind="once"), Schedule(kind="window", steps=3))


def extremes(net: Network, seed: int) -> np.ndarray:
    """Bytes at their ends: all 0, all 255, and random patterns of both, some of them of few entries."""
    rng = np.random.default_rng(seed)
    shape = net["x"].shape[1:]
    patterns = [np.zeros(shape), np.full(shape, 255.0)]
    patterns += [255 * (rng.random(shape) < p) for p in (0.1, 0.5, 0.5, 0.5, 0.9)]
    return np.stack(patterns).astype(np.uint8)


def seen(net: Network, q: np.ndarray, timesteps: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Every quantity of the table at every step."""
    machine = Machine(network=net, feeds={"x": q})
    sums = {node.name: np.zeros((), np.int64) for node in net.nodes}
    for _ in range(timesteps):
        before = {name: state[0] for name, state in machine.neurons.items()}
        values = machine.step()
        sums = {name: total + values[name] for name, total in sums.items()}
        for node in net.nodes:
            yield node.name, "value", values[node.name]
            if isinstance(node, Neuron):
                potential = before.get(node.name)
                start = net.arrays[node.v_init] if potential is None else potential
                yield node.name, "membrane", start + values[node.inputs[0]]
                yield node.name, "membrane", machine.neurons[node.name][0]
                yield node.name, "count", sums[node.name]
            if isinstance(node, Differential):
                yield node.name, "sum", sums[node.inputs[0]]
        for name in net.outputs:
            yield name, "sum", sums[name]


@settings(max_examples=24)
@given(
    kind=st.sampled_from(sorted(NEURONS)),
    seed=st.integers(0, 10_000),
    schedule=st.sampled_from(SCHEDULES),
    silent=st.booleans(),
)
def test_bounds_hold_for_extreme_inputs(kind: str, seed: int, schedule: Schedule, silent: bool) -> None:
    net = images(kind, seed=seed, schedule=schedule, silent=silent)
    integer = lower(net, samples(net), max_timesteps=12)
    proved = {(w.layer, w.quantity): (w.smallest, w.largest) for w in integer.widths}
    for layer, quantity, values in seen(integer.network, extremes(integer.network, seed), 12):
        if (layer, quantity) in proved:
            smallest, largest = proved[layer, quantity]
            assert smallest <= values.min(), (layer, quantity)
            assert values.max() <= largest, (layer, quantity)


def test_every_accumulator_and_membrane_is_in_the_table() -> None:
    net = images("early")
    integer = lower(net, samples(net))
    listed = {(w.layer, w.quantity) for w in integer.widths}
    for node in integer.network.nodes:
        if isinstance(node, Neuron):
            assert {(node.name, "membrane"), (node.name, "count")} <= listed
        elif not isinstance(node, Input | Differential) and node.name != "k":  # a concatenation computes nothing
            assert (node.name, "value") in listed
    for w in integer.widths:
        limit = np.iinfo(w.type)
        assert limit.min <= w.smallest <= w.largest <= limit.max
        assert w.type == "int16" or w.smallest < -(1 << 15) or w.largest >= 1 << 15


def controlled(negative: str) -> Network:
    """Neurons that each fire as one byte says, and neurons that weight them: any pattern of spikes can be had."""
    s = Small(3)
    s.add(Input, "x", [], (1, 8))
    s.array("c/weight", np.eye(8) / 255)
    s.add(Linear, "c", ["x"], (1, 8), weight="c/weight", axis=1)
    names = {key: s.array(key, value) for key, value in (("threshold", 1.0), ("amplitude", 1.0), ("v_init", 0.0))}
    s.add(SignedIF, "n", ["c"], (1, 8), negative=negative, **names)
    s.linear("d", "n", (4, 8))
    s.array("d/bias", np.zeros(4))
    s.neuron("m", "d", (1, 4), "if")
    s.linear("y", "m", (2, 4))
    return s.network(["y"], Schedule())


@pytest.mark.parametrize("negative", ["signed", "early"])
def test_bounds_are_attained_within_a_factor(negative: str) -> None:
    """The lowest and highest membranes, by the inputs that make them: within a factor of the bound."""
    timesteps = 20
    net = controlled(negative)
    data = samples(net)
    data.inputs["x"][:] = np.linspace(0, 1, data.inputs["x"].size).reshape(data.inputs["x"].shape) * 255
    integer = lower(net, data, max_timesteps=timesteps)
    weight = integer.network.arrays["d/weight"]
    q = np.concatenate([np.where(weight > 0, 255, 0), np.where(weight < 0, 255, 0)]).astype(np.uint8)
    proved = {(w.layer, w.quantity): (w.smallest, w.largest) for w in integer.widths}
    found = list(seen(integer.network, q, timesteps))
    for layer, quantity in (("m", "membrane"), ("m", "count"), ("n", "count"), ("d", "value")):
        values = [v for name, what, v in found if (name, what) == (layer, quantity)]
        smallest, largest = proved[layer, quantity]
        assert largest <= FACTOR * max(int(v.max()) for v in values), (layer, quantity)
        if quantity == "membrane":
            assert smallest >= FACTOR * min(int(v.min()) for v in values)


def test_what_no_int32_holds_is_refused_and_named() -> None:
    net = images("early")
    integer = lower(net, samples(net))
    wide = integer.network.with_arrays(
        {"c1/weight": frozen(integer.network.arrays["c1/weight"].astype(np.int32) << 22)}
    )
    with pytest.raises(EmitError, match=r"^(c1|a1.0): its value can reach .*max-timesteps"):
        proved_widths(wide, 256)


def test_longer_runs_are_wider() -> None:
    net = images("if")
    network = lower(net, samples(net)).network
    short, long = ({(w.layer, w.quantity): w for w in proved_widths(network, t)} for t in (8, 256))
    assert long["n1", "membrane"].smallest < 8 * short["n1", "membrane"].smallest
    assert long["n1", "count"].largest == 256
