# SPDX-License-Identifier: Apache-2.0
"""One step of a network as ONNX nodes: every node in topological order, its state handed in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.errors import EmitError
from snncc.functions.onnx.foreign import current
from snncc.functions.onnx.graph import Graph
from snncc.functions.onnx.table import FUNCTIONS
from snncc.ir.network import Network
from snncc.ir.nodes import (
    Constant,
    Differential,
    Encoder,
    Foreign,
    Input,
    Neuron,
    Node,
    Repeat,
)
from snncc.neurons.cell import Cell, Clock
from snncc.neurons.encoder.cell import interval_cell
from snncc.neurons.table import definition

Array: TypeAlias = npt.NDArray[Any]


def problems(network: Network) -> Iterator[str]:
    """What a standard ONNX graph cannot say, node by node."""
    for node in network.nodes:
        inner = node.function if isinstance(node, Differential) else node
        if isinstance(node, Encoder) and node.random:
            yield f"{node.name}: its spikes are drawn at random (use kind = uniform)"
        elif isinstance(node, Neuron) and node.random:
            yield f"{node.name}: its spikes are kept at random"
        elif isinstance(node, Neuron) and definition(node).cell is None:
            yield f"{node.name}: {type(node).__name__} cannot be written in standard ONNX"
        elif isinstance(inner, Foreign) and current(network.arrays[inner.model]) is None:
            yield f"{node.name}: {inner.operator} cannot be written in the graph's opset"


def refuse(network: Network) -> None:
    """Raise EmitError with everything that cannot be said."""
    if found := list(problems(network)):
        lines = "\n".join(f"  {line}" for line in found)
        raise EmitError(f"ONNX cannot say {len(found)} of the network's nodes\n{lines}", cure="choose another method")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state of the graph: its value before and after the step, its shape for one sample and its samples' axis."""

    before: str
    after: str
    kind: np.dtype[Any]
    shape: tuple[int, ...]
    batch: int | None


@dataclass(slots=True, kw_only=True)
class Writer:
    """Writes a network: what is static into `outside`, the rest into `g` (the same graph, or the body of a loop)."""

    network: Network
    g: Graph
    outside: Graph
    clock: Clock
    #: The name of each node's value.
    names: Mapping[str, str]
    values: dict[str, str]
    states: list[State] = field(default_factory=list)
    clamped: dict[str, str] = field(default_factory=dict)
    #: The events of neurons through which a constant flows beside them.
    deviations: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Every node but the inputs, whose values are given."""
        for node in self.network.nodes:
            varies = node.name in self.network.varying
            g = self.g if varies else self.outside
            g.scope = node.name
            if isinstance(node, Input):
                if varies and self.clock.gate is not None:
                    self.values[node.name] = g.op("Mul", self.values[node.name], self.clock.gate)
                continue
            value = self.evaluated(g, node)
            self.values[node.name] = (
                value if isinstance(node, Constant) else g.rename_last(value, self.names[node.name])
            )

    def evaluated(self, g: Graph, node: Node) -> str:
        """A node's value at this step."""
        inputs = [self.values[name] for name in node.inputs]
        if isinstance(node, Constant):
            return g.constant(self.network.arrays[node.value])
        if isinstance(node, Repeat):
            return self.repeated(g, node, inputs[0])
        if isinstance(node, Neuron):
            return self.fired(node, inputs[0])
        if isinstance(node, Encoder):
            return interval_cell(self.cell(node), node, self.feed(node.inputs[0]))
        if isinstance(node, Differential):
            return self.difference(g, node, inputs)
        varying = self.network.varying_positions(node)
        gate = self.clock.gate if varying else None
        if gate is not None:  # steady summands follow the schedule
            group = next(s for s in node.linear_in() if set(varying) <= set(s))
            summands = [i in group and i not in varying for i in range(len(inputs))]
            inputs = [g.op("Mul", g.floating(x), gate) if s else x for x, s in zip(inputs, summands, strict=True)]
        return self.function(g, node, inputs, gate)

    def repeated(self, g: Graph, node: Repeat, value: str) -> str:
        """A value once per sample."""
        one = g.shape([1])
        count = g.op("Reshape", self.clock.samples, one)
        repeats = [count if i == node.batch else one for i in range(len(node.shape))]
        return g.op("Tile", value, g.op("Concat", *repeats, axis=0))

    def fired(self, node: Neuron, current: str) -> str:
        """What a neuron emits at this step."""
        write = definition(node).cell
        if write is None:
            raise TypeError(f"{node.name} was not checked before")
        value, events = write(self.cell(node), node, current)
        if events != value:
            self.deviations[node.name] = events
        return str(value)

    def events(self, node: Node) -> str:
        """What a source emits as events: its value, or its deviations from what flows beside them."""
        return self.deviations.get(node.name) or self.values[node.name]

    def feed(self, name: str) -> str:
        """What the graph is given for an input, before the schedule's gate."""
        return self.names[name]

    def function(self, g: Graph, node: Node, inputs: Sequence[str], offset: str | None) -> str:
        """A stateless node."""
        call = node.call()
        arrays = [None if name is None else self.network.arrays[name] for name in call.arrays]
        extra = {"offset": offset} if call.offset else {}
        return FUNCTIONS[call.function](g, node, *inputs, *arrays, **call.options, **extra)

    def state(self, node: Node, part: str, kind: Any, shape: tuple[int, ...], batch: int | None) -> str:
        """A new state of a node; its value after the step is not known yet."""
        name = self.g.declare(self.g.fresh(f"{node.name}/{part}"), kind)
        self.states.append(State(before=name, after="", kind=np.dtype(kind), shape=shape, batch=batch))
        return name

    def keep(self, before: str, after: str) -> str:
        """The value of a state after the step."""
        at = next(i for i, state in enumerate(self.states) if state.before == before)
        old = self.states[at]
        named = self.g.rename_last(self.g.op("Identity", after), self.g.fresh(f"{before}/next"))
        self.states[at] = State(before=before, after=named, kind=old.kind, shape=old.shape, batch=old.batch)
        return after

    def cell(self, node: Node) -> Cell:
        """A neuron with its states; the factor of an adaptive threshold is one number per sample or one for all."""
        loaded: dict[str, str] = {}

        def load(part: str) -> str:
            shape, batch = tuple(node.shape), node.batch
            if part == "factor":
                each = isinstance(node, Neuron) and node.shared == "sample" and node.batch is not None
                shape, batch = (1,), 0 if each else None
            loaded[part] = self.state(node, part, self.g.float_type, shape, batch)
            return loaded[part]

        def store(part: str, value: str) -> str:
            return self.keep(loaded.get(part) or load(part), value)

        return Cell(g=self.g, arrays=self.network.arrays, clock=self.clock, load=load, store=store)

    def difference(self, g: Graph, node: Differential, inputs: Sequence[str]) -> str:
        """y = G - G before, G = D f(clamp(X / D)); X the running sum of each varying input."""
        if node.name not in self.network.varying:
            return self.function(g, node.function, inputs, None)
        divisor = None if node.direct else g.floating(self.clock.divisor)
        arguments, moved = list(inputs), []
        for i in self.network.varying_positions(node):
            source = self.network[node.inputs[i]]
            before = self.state(node, f"sum{i}", g.float_type, tuple(source.shape), source.batch)
            total = self.keep(before, g.op("Add", before, g.floating(inputs[i])))
            mean = total if divisor is None else g.op("Div", total, divisor)
            arguments[i] = clamp(g, mean, node.low[i], node.high[i], node.nonzero[i])
            if arguments[i] != mean:
                same = g.op("Equal", arguments[i], mean, kind=bool)
                moved.append(g.op("ReduceSum", g.cast(g.op("Not", same), np.int64), keepdims=0))
        if moved:
            self.clamped[node.name] = reduce(lambda a, b: g.op("Add", a, b), moved)
        result = g.floating(self.function(g, node.function, arguments, None))
        result = result if divisor is None else g.op("Mul", result, divisor)
        last = self.state(node, "last", g.float_type, tuple(node.shape), node.batch)
        return g.op("Sub", self.keep(last, result), last)


def clamp(g: Graph, x: str, low: float | None, high: float | None, nonzero: float) -> str:
    """x in [low, high] and at least `nonzero` in magnitude, with its sign."""
    y = x if low is None else g.op("Max", x, low)
    y = y if high is None else g.op("Min", y, high)
    if nonzero:
        small = g.op("Less", g.op("Abs", y), nonzero, kind=bool)
        y = g.where(small, g.where(g.op("Less", y, 0.0, kind=bool), -nonzero, nonzero, kind=g.float_type), y)
    return y
