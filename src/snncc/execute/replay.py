# SPDX-License-Identifier: Apache-2.0
"""Calibration samples carried through a network layer by layer, so that each layer is simulated once.

Only what later layers still read is kept: spikes of neurons as int8 counts, other series as float32, in a temporary
file beyond `MEMORY` bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.execute.torch_dispatch import counts, resting
from snncc.execute.torch_engine import Engine
from snncc.execute.torch_layout import Value, fold, unfold
from snncc.execute.torch_session import Session
from snncc.ir.network import Network
from snncc.ir.nodes import NEURONS, CentredIF, Differential, Encoder, Input, Neuron, Node

MEMORY = 2 << 30


def sources(network: Network) -> frozenset[str]:
    """The nodes at which a layer ends: neurons and differential nodes that carry rates."""
    kinds = (*NEURONS, Differential)
    return frozenset(n.name for n in network.nodes if isinstance(n, kinds) and n.name in network.varying)


def between(network: Network, target: str, known: frozenset[str]) -> list[Node]:
    """The nodes to evaluate, in order, to get `target` from inputs, constants and known values."""
    needed, stack = set[str](), [target]
    while stack:
        name = stack.pop()
        if name in known or name in needed:
            continue
        needed.add(name)
        stack.extend(network[name].inputs)
    return [node for node in network.nodes if node.name in needed]


def last_readers(network: Network, ends: frozenset[str]) -> Mapping[str, str]:
    """For each end of a layer, the last end (or output) whose evaluation reads it."""
    readers: dict[str, str] = {}
    for node in network.nodes:
        if node.name in ends:
            for source in node.inputs:
                for inner in [source, *[i for n in between(network, source, ends) for i in n.inputs]]:
                    if inner in ends:
                        readers[inner] = node.name
    return readers


@dataclass(slots=True)
class Store:
    """Arrays by key; beyond `MEMORY` bytes they lie in an unnamed temporary file."""

    arrays: dict[Any, Tensor] = field(default_factory=dict)
    held: int = 0

    def put(self, key: Any, value: Tensor) -> None:
        """Keep a tensor."""
        size = value.numel() * value.element_size()
        if self.held + size > MEMORY:
            with tempfile.TemporaryFile() as spill:
                mapped = np.memmap(spill, dtype=value.numpy().dtype, mode="w+", shape=tuple(value.shape))
                mapped[...] = value.numpy()
                self.arrays[key] = torch.from_numpy(mapped)
            return
        self.held += size
        self.arrays[key] = value

    def drop(self, name: str) -> None:
        """Forget all pieces of a value."""
        for key in [k for k in self.arrays if k[0] == name]:
            value = self.arrays.pop(key)
            self.held = max(0, self.held - value.numel() * value.element_size())


@dataclass(slots=True)
class Replay:
    """One network, the samples in batches, and the values at the ends of the layers done so far."""

    network: Network
    batches: Sequence[Mapping[str, Any]]
    timesteps: int
    engine: Engine = field(init=False)
    ends: frozenset[str] = field(init=False)
    done: set[str] = field(default_factory=set)
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self.engine = Engine(self.network)
        self.ends = sources(self.network)

    def session(self, index: int) -> Session:
        """A fresh simulation of one batch."""
        return Session(self.engine, self.batches[index], self.timesteps, (self.timesteps,), None, False)

    def series(self, name: str, index: int) -> Value:
        """A value over all steps for one batch, from the layers done so far."""
        session = self.session(index)
        gates = session.gates(0, self.timesteps)
        known = frozenset(self.done)
        values: dict[str, Value] = {}
        for node in between(self.network, name, known):
            for source in node.inputs:
                if source in known and source not in values:
                    values[source] = Value(self.kept(source, index), "series")
            values[node.name] = session.compute(node, values, gates)
        return values[name] if name in values else Value(self.kept(name, index), "series")

    def mean(self, name: str, index: int) -> Tensor:
        """The mean of a value over D(T) for one batch: linear nodes act on the means of what they read."""
        samples = self.engine.samples(self.batches[index])
        known = frozenset(self.done)
        values: dict[str, Tensor] = {}

        def known_mean(source: str) -> Tensor:
            return self.store.arrays[source, index, "mean"]

        for node in between(self.network, name, known):
            if isinstance(node, Encoder):
                spikes = unfold(self.series(node.name, index).data, node.batch, self.timesteps)
                values[node.name] = spikes.sum(0) / self.network.schedule.divisor(self.timesteps)
                continue
            inputs = [values[s] if s in values else known_mean(s) for s in node.inputs]
            values[node.name] = self.engine.plain(node, inputs, 1.0, samples, self.batches[index])
        return values[name] if name in values else known_mean(name)

    def kept(self, name: str, index: int) -> Tensor:
        """The stored series of an end, folded."""
        node, stored = self.network[name], self.store.arrays[name, index, "series"]
        if stored.dtype == torch.int8:
            amplitude = self.engine.arrays[node.amplitude]  # type: ignore[attr-defined]
            steps = stored.to(self.engine.dtype) * amplitude
            if isinstance(node, CentredIF):
                steps = steps + resting(node, self.engine.arrays, steps, 0)
            return fold(steps, node.batch)
        return fold(stored, node.batch)

    def keep(self, name: str, index: int, steps: Tensor) -> None:
        """Store the output of an end, (T, N, ...)."""
        node = self.network[name]
        divisor = self.network.schedule.divisor(self.timesteps)
        self.store.put((name, index, "mean"), steps.sum(0) / divisor)
        if isinstance(node, Neuron) and not node.graded:
            steps = counts(node, steps, self.engine.arrays, 0).to(torch.int8)
        self.store.put((name, index, "series"), steps)

    def simulate_end(self, node: Node, index: int) -> None:
        """Run a differential node for one batch and store it; a steady one is not stored but evaluated anew."""
        session = self.session(index)
        values = {name: self.series(name, index) for name in node.inputs}
        if all(value.layout == "steady" for value in values.values()):
            return
        value = session.compute(node, values, session.gates(0, self.timesteps))
        self.keep(node.name, index, unfold(value.data, node.batch, self.timesteps))
        self.done.add(node.name)

    def release(self, reader: str, readers: Mapping[str, str]) -> None:
        """Drop what nothing reads after `reader`."""
        for name in [n for n in self.done if readers.get(n) == reader]:
            self.store.drop(name)


@dataclass(slots=True)
class AnnReplay:
    """The ANN carried along the same way: values at the ends of the layers done so far."""

    network: Network
    batches: Sequence[Mapping[str, Any]]
    ends: frozenset[str]
    engine: Engine = field(init=False)
    values: dict[Any, Tensor] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.engine = Engine(self.network)

    def value(self, name: str, index: int) -> Tensor:
        """A value of the ANN for one batch; values at ends are kept."""
        if (name, index) in self.values:
            return self.values[name, index]
        feeds = self.batches[index]
        known = frozenset(n for n in self.ends if (n, index) in self.values)
        found: dict[str, Tensor] = {}
        for node in between(self.network, name, known):
            inputs = [found[s] if s in found else self.values[s, index] for s in node.inputs]
            found[node.name] = self.engine.plain(node, inputs, 1.0, self.engine.samples(feeds), feeds)
            if node.name in self.ends and not isinstance(node, Input):
                self.values[node.name, index] = found[node.name]
        return found[name]

    def release(self, reader: str, readers: Mapping[str, str]) -> None:
        """Drop what nothing reads after `reader`."""
        for key in [k for k in self.values if readers.get(k[0]) == reader]:
            del self.values[key]
