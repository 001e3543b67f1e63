# SPDX-License-Identifier: Apache-2.0
"""Calibration samples carried through a network layer by layer, so that each layer is simulated once.

Only what later layers still read is kept: spikes of neurons as int8 counts, other series and the values of the ANN as
float32, in temporary files beyond `MEMORY` bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.errors import CalibrationError
from snncc.execute.torch.dispatch import resting, scan
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.fused_scan import emitted
from snncc.execute.torch.layout import Value, fold, spread, unfold
from snncc.execute.torch.session import Session
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Encoder, Input, Neuron, Node

#: Bytes that are held in memory.
MEMORY = 2 << 30
#: Entries of the largest value of one batch over all steps (16 MiB): what is computed from it stays near the processor.
PIECE = 1 << 22


def sources(network: Network) -> frozenset[str]:
    """The nodes at which a layer ends: neurons and differential nodes that carry rates."""
    kinds = (Neuron, Differential)
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


def spilled(array: np.ndarray) -> np.ndarray:
    """The array in an unnamed temporary file."""
    try:
        with tempfile.TemporaryFile() as file:
            array.tofile(file)  # a full disk is an error here; written through the map it would end the process
            return np.memmap(file, dtype=array.dtype, mode="r+", shape=array.shape)
    except OSError as error:
        raise CalibrationError(
            f"the calibration samples do not fit into the temporary folder: {error}",
            cure="calibrate on fewer samples, or set TMPDIR to a folder with more room",
        ) from error


@dataclass(slots=True)
class Store:
    """Tensors by keys whose first part is a name; beyond `MEMORY` bytes they lie in unnamed temporary files."""

    arrays: dict[Any, Tensor] = field(default_factory=dict)
    #: Bytes in memory of the keys that lie there.
    sizes: dict[Any, int] = field(default_factory=dict)

    def put(self, key: Any, value: Tensor) -> None:
        """Keep a tensor. Raises CalibrationError when the temporary folder is full."""
        size = value.numel() * value.element_size()
        if size and sum(self.sizes.values()) + size > MEMORY:
            value = torch.from_numpy(spilled(value.numpy()))
        else:
            self.sizes[key] = size
        self.arrays[key] = value

    def drop(self, name: str) -> None:
        """Forget all pieces of a value."""
        for key in [k for k in self.arrays if k[0] == name]:
            del self.arrays[key]
            self.sizes.pop(key, None)


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

    def mean(self, name: str, index: int, without: str | None = None) -> Tensor:
        """The mean of a value over D(T) for one batch, where the node `without` gives zeros: linear nodes act on the
        means of what they read."""
        samples = self.engine.samples(self.batches[index])
        known = frozenset(self.done)
        values: dict[str, Tensor] = {}
        if without is not None:
            node = self.network[without]
            shape = [d * samples if i == node.batch else d for i, d in enumerate(node.shape)]
            values[without] = torch.zeros((), dtype=self.engine.dtype).expand(shape)
        for node in between(self.network, name, known | values.keys()):
            if isinstance(node, Encoder):
                spikes = unfold(self.series(node.name, index).data, node.batch, self.timesteps)
                values[node.name] = spikes.sum(0) / self.network.schedule.divisor(self.timesteps)
                continue
            inputs = [values[s] if s in values else self.kept_mean(s, index) for s in node.inputs]
            values[node.name] = self.engine.plain(node, inputs, 1.0, samples, self.batches[index])
        return values[name] if name in values else self.kept_mean(name, index)

    def kept(self, name: str, index: int) -> Tensor:
        """The stored series of an end, folded."""
        node, stored = self.network[name], self.store.arrays[name, index]
        series = stored.new_empty(stored.shape, dtype=self.engine.dtype)
        rest = resting(node, self.engine.arrays, stored, 0)
        for t, step in enumerate(series):  # one step of a batch stays in the cache, all steps do not
            step.copy_(stored[t])
            if isinstance(node, Neuron) and not node.graded:
                step.mul_(self.engine.arrays[node.amplitude])
            if rest is not None:
                step.add_(rest[t])
        return fold(series, node.batch)

    def kept_mean(self, name: str, index: int) -> Tensor:
        """The mean of the stored series of an end over D(T)."""
        node, stored = self.network[name], self.store.arrays[name, index]
        total = stored[0].to(self.engine.dtype, copy=True)
        for step in stored[1:]:
            total += step
        if isinstance(node, Neuron) and not node.graded:
            total *= self.engine.arrays[node.amplitude]
        if (rest := resting(node, self.engine.arrays, stored, 0)) is not None:
            total += rest.sum(0)
        return total.div_(self.network.schedule.divisor(self.timesteps))

    def current(self, neuron: Neuron, index: int) -> Tensor:
        """The current (T, N, ...) of a neuron in one batch; whoever gets it may overwrite it."""
        found = self.series(neuron.inputs[0], index)
        if found.layout == "steady":
            return spread(found.data, None, self.session(index).gates(0, self.timesteps))
        return unfold(found.data, self.network[neuron.inputs[0]].batch, self.timesteps).contiguous()

    def fire(self, neuron: Neuron, current: Tensor, index: int) -> Tensor:
        """The output (T, N, ...) of a neuron in one batch for its current, which is overwritten."""
        return scan(neuron, current, self.engine.arrays, None, self.session(index).place)[0]

    def emitted(self, neuron: Neuron, current: Tensor, index: int) -> Tensor:
        """The sum of that output over the steps (N, ...); the current stays."""
        total = emitted(neuron, current, self.engine.arrays)
        return self.fire(neuron, current.clone(), index).sum(0) if total is None else total

    def keep(self, name: str, index: int, steps: Tensor) -> None:
        """Store the output of an end, (T, N, ...), which is overwritten."""
        node = self.network[name]
        if isinstance(node, Neuron) and not node.graded:
            amplitude, rest = self.engine.arrays[node.amplitude], resting(node, self.engine.arrays, steps, 0)
            inverse = torch.where(amplitude != 0, 1 / amplitude, 0)
            spikes = torch.empty(steps.shape, dtype=torch.int8)
            for t, step in enumerate(steps):
                if rest is not None:
                    step -= rest[t]
                spikes[t] = step.mul_(inverse).round_()
            steps = spikes
        self.store.put((name, index), steps)

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
    store: Store = field(default_factory=Store)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = Engine(self.network)

    def value(self, name: str, index: int, end: str | None = None) -> Tensor:
        """A value of the ANN for one batch; values at ends are kept, that of `end` too, from what this one needs."""
        feeds, values = self.batches[index], self.store.arrays
        known = frozenset(n for n in self.ends if (n, index, "ann") in values)
        found: dict[str, Tensor] = {}

        def at(source: str) -> Tensor:
            return found[source] if source in found else values[source, index, "ann"]

        for target in (name, end or name):
            for node in between(self.network, target, known | found.keys()):
                inputs = [at(source) for source in node.inputs]
                found[node.name] = self.engine.plain(node, inputs, 1.0, self.engine.samples(feeds), feeds)
                if node.name in self.ends and not isinstance(node, Input):
                    self.store.put((node.name, index, "ann"), found[node.name])
        return at(name)

    def release(self, reader: str, readers: Mapping[str, str]) -> None:
        """Drop what nothing reads after `reader`."""
        for name in {k[0] for k in self.store.arrays if readers.get(k[0]) == reader}:
            self.store.drop(name)
