# SPDX-License-Identifier: Apache-2.0
"""The reference executor: plain NumPy, step by step, node by node. Slow; it is the definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.functions.numpy.table import FUNCTIONS
from snncc.functions.onnx import reference as by_onnx
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    Constant,
    Differential,
    Encoder,
    Input,
    Neuron,
    Node,
    Repeat,
)
from snncc.neurons.encoder.step import step as encoder_step
from snncc.neurons.node import Place
from snncc.neurons.table import definition


def evaluate_function(node: Node, inputs: Sequence[Array], arrays: Mapping[str, Array], offset: float) -> Array:
    """A stateless node on whole arrays; `offset` multiplies the constants that it adds."""
    if isinstance(node, Differential):
        node = node.function
    call = node.call()
    with np.errstate(all="ignore"):
        if call.function not in FUNCTIONS:
            return by_onnx.evaluate(node, inputs)
        operands = [None if name is None else arrays[name] for name in call.arrays]
        options = call.options | ({"offset": offset} if call.offset else {})
        return np.asarray(FUNCTIONS[call.function](*inputs, *operands, **options))


def clamped(x: Array, low: float | None, high: float | None, nonzero: float) -> tuple[Array, int]:
    """The argument of a differential node, kept in its range; and how many entries were moved."""
    y = x if low is None and high is None else np.clip(x, low, high)
    if nonzero:
        y = np.where(np.abs(y) < nonzero, np.where(y < 0, -nonzero, nonzero), y).astype(x.dtype)
    return y, int(np.count_nonzero(y != x))


@dataclass(slots=True)
class State:
    """What a differential node carries from step to step."""

    sums: list[Array] = field(default_factory=list)
    last: Array | None = None


@dataclass(slots=True)
class Machine:
    """A network on a batch of samples; `step()` advances it by one step and returns every value."""

    network: Network
    feeds: Mapping[str, Array]
    dtype: Any = np.float64
    t: int = 0
    first_sample: int = 0
    clamps: dict[str, int] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    neurons: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(init=False)
    samples: int = field(init=False)

    def __post_init__(self) -> None:
        if self.network.stage == "integer":
            self.dtype = np.int64
        self.arrays = {name: self.typed(a) for name, a in self.network.arrays.items()}
        self.feeds = {name: self.typed(a) for name, a in self.feeds.items()}
        first = self.network.sampled
        self.samples = self.feeds[first.name].shape[first.batch] if first.batch is not None else 1

    def typed(self, array: Array) -> Array:
        """An array, floats in the machine's type; int64 throughout where the network is of whole numbers."""
        a = np.asarray(array)
        return a.astype(self.dtype) if self.dtype is np.int64 or np.issubdtype(a.dtype, np.floating) else a

    def step(self) -> dict[str, Array]:
        """One time step: each node in topological order, without delay."""
        self.t += 1
        gate = self.network.schedule.gate(self.t)
        values: dict[str, Array] = {}
        for node in self.network.nodes:
            values[node.name] = self.evaluate(node, values, gate)
        return values

    def evaluate(self, node: Node, values: Mapping[str, Array], gate: int) -> Array:
        """The node's value at this step."""
        net = self.network
        if isinstance(node, Input):
            x = self.feeds[node.name]
            return x * x.dtype.type(gate) if node.name in net.varying else x
        if isinstance(node, Constant):
            return self.arrays[node.value]
        inputs = [values[name] for name in node.inputs]
        if isinstance(node, Repeat):
            return np.concatenate([inputs[0]] * self.samples, axis=node.batch)
        if isinstance(node, Neuron):
            return self.fire(node, inputs[0])
        if isinstance(node, Encoder):
            return self.encode(node, self.feeds[node.inputs[0]])
        if isinstance(node, Differential):
            return self.difference(node, inputs)
        varying = net.varying_positions(node)
        if not varying:
            return evaluate_function(node, inputs, self.arrays, 1.0)
        group = next(g for g in node.linear_in() if set(varying) <= set(g))
        inputs = [x * x.dtype.type(gate) if i in group and i not in varying else x for i, x in enumerate(inputs)]
        return evaluate_function(node, inputs, self.arrays, gate)

    @property
    def place(self) -> Place:
        """Where this step lies."""
        return Place(samples=self.samples, first_sample=self.first_sample, first_step=self.t - 1)

    def fire(self, node: Neuron, current: Array) -> Array:
        """One step of a neuron."""
        step = definition(node).step
        value, self.neurons[node.name] = step(node, current, self.neurons.get(node.name), self.arrays, self.place)
        return np.asarray(value)

    def encode(self, node: Encoder, x: Array) -> Array:
        """One step of the spikes of an input."""
        divisor = self.network.schedule.divisor
        return encoder_step(node, x, divisor(self.t - 1), divisor(self.t), self.arrays, self.place)

    def difference(self, node: Differential, inputs: Sequence[Array]) -> Array:
        """One step of a differential node."""
        state = self.states.setdefault(node.name, State())
        varying = self.network.varying_positions(node)
        if not state.sums:
            state.sums = [np.zeros_like(inputs[i]) for i in varying]
        state.sums = [total + inputs[i] for total, i in zip(state.sums, varying, strict=True)]
        divisor = self.dtype(1 if node.direct else self.network.schedule.divisor(self.t))
        arguments = list(inputs)
        for total, i in zip(state.sums, varying, strict=True):
            mean = total if node.direct else total / divisor
            arguments[i], moved = clamped(mean, node.low[i], node.high[i], node.nonzero[i])
            self.clamps[node.name] = self.clamps.get(node.name, 0) + moved
        result = evaluate_function(node.function, arguments, self.arrays, 1.0)
        total = result.astype(self.dtype) * divisor
        before = np.zeros_like(total) if state.last is None else state.last
        state.last = total
        return np.asarray(total - before)


def run(
    network: Network, feeds: Mapping[str, Array], timesteps: int, dtype: Any = np.float64
) -> list[dict[str, Array]]:
    """Every value at every step, for a batch of samples: a list over steps of name -> array."""
    machine = Machine(network=network, feeds=feeds, dtype=dtype)
    return [machine.step() for _ in range(timesteps)]


def evaluate(network: Network, feeds: Mapping[str, Array], dtype: Any = np.float64) -> dict[str, Array]:
    """Every value of a network in its ANN stage (no neurons): one evaluation, inputs and constants once."""
    machine = Machine(network=network, feeds=feeds, dtype=dtype)
    values: dict[str, Array] = {}
    for node in network.nodes:
        if isinstance(node, Input | Constant | Repeat):
            values[node.name] = machine.evaluate(node, values, 1)
        else:
            values[node.name] = evaluate_function(node, [values[n] for n in node.inputs], machine.arrays, 1.0)
    return values
