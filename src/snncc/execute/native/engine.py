# SPDX-License-Identifier: Apache-2.0
"""The native engine: a network's generated C, its constants, and runs of it with torch before and behind."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.execute.native.buffers import aligned
from snncc.execute.native.build import Run, compiled, load
from snncc.execute.native.emit import Source, emit
from snncc.execute.native.lower import lower
from snncc.execute.native.program import NumberType, Program, Value
from snncc.execute.native.routes import Route
from snncc.execute.torch_engine import Engine
from snncc.execute.torch_layout import Activity
from snncc.execute.torch_layout import Run as Result
from snncc.execute.torch_session import Session
from snncc.ir.network import Array, Network
from snncc.ir.nodes import SPIKING, Node

#: What torch computes with before and behind the C: whole numbers in a type that holds them all.
TORCH = {"float32": torch.float32, "float64": torch.float64, "int32": torch.float64}


class NativeEngine:
    """A network prepared: lowered, compiled and with its constants in memory.

    dtype: of the generated C; route: see `routes`; around: of torch before and behind the C.
    Raises UnsupportedNode and CompileError: then the torch engine has to do.
    """

    def __init__(
        self,
        network: Network,
        *,
        dtype: NumberType = "float32",
        threads: int | None = None,
        route: Route = "auto",
        around: torch.dtype | None = None,
    ) -> None:
        self.network, self.dtype = network, dtype
        self.threads = threads or min(torch.get_num_threads(), os.cpu_count() or 1)
        self.program: Program = lower(network)
        self.source: Source = emit(self.program, network.arrays, dtype, route)
        self.function = load(compiled(self.source.text))
        self.torch = Engine(network, dtype=around or TORCH[dtype])
        self.seconds = np.zeros(len(self.program.steps))
        self.tiles = np.zeros((len(self.program.steps), 2), np.int64)
        self.counted: dict[str, Array] = {}
        self.entries = 0
        self.kept: Memory | None = None
        self.constants: dict[int, Array] = {}
        for number, buffer in enumerate(self.source.buffers.all):
            if buffer.kind == "constant" and buffer.data is not None:
                self.constants[number] = aligned(buffer.data.size, buffer.dtype)
                self.constants[number][:] = buffer.data.reshape(-1)

    def bytes(self, samples: int, steps: int) -> dict[str, int]:
        """What the engine allocates for a batch and a piece of `steps` steps, by kind of buffer."""
        found: dict[str, int] = {}
        for buffer in self.source.buffers.all:
            size = buffer.entries(samples, steps) * np.dtype(buffer.dtype).itemsize
            found[buffer.kind] = found.get(buffer.kind, 0) + size
        found["scratch"] = self.source.scratch * self.threads
        return found

    def memory(self, samples: int, piece: int, *, counting: bool) -> Memory:
        """The buffers for a batch, at their first values; those of the last run where they fit."""
        if self.kept is None or (self.kept.samples, self.kept.piece) != (samples, piece):
            self.kept = None  # before the new ones are made
            self.kept = Memory(self, samples, piece)
        self.kept.reset(counting=counting)
        return self.kept

    def events(self, value: Value) -> Array:
        """Events per pixel and channel that a value has emitted in all runs that counted."""
        return self.counted.get(value.node.name, np.zeros((value.grid.pixels, value.grid.channels)))

    @torch.no_grad()
    def run(
        self,
        feeds: Mapping[str, Any],
        timesteps: int,
        *,
        checkpoints: Sequence[int] | None = None,
        steps_at_once: int | None = None,
        observe: Callable[[Node, Tensor], None] | None = None,
        count: bool = True,
        first_sample: int = 0,
    ) -> Result:
        """Simulate a batch; as `execute.torch_engine.Engine.run`."""
        session = NativeSession(
            self.torch, feeds, timesteps, tuple(checkpoints or (timesteps,)), observe, count, first_sample
        )
        piece = min(steps_at_once or timesteps, timesteps)
        session.memory = self.memory(session.samples, piece, counting=count)
        for begin in range(0, timesteps, piece):
            session.advance(begin, min(begin + piece, timesteps))
        self.seconds += session.memory.seconds
        if count:
            self.entries += session.samples * timesteps
            session.count_events()
        return session.finish()


@dataclass(slots=True)
class Memory:
    """The buffers of one run."""

    engine: NativeEngine
    samples: int
    piece: int
    arrays: list[Array] = field(default_factory=list)
    seconds: Array = field(init=False)
    scratch: Array = field(init=False)
    pointers: Any = field(init=False)

    def __post_init__(self) -> None:
        engine = self.engine
        self.seconds = np.zeros(len(engine.source.steps))
        self.scratch = aligned(engine.source.scratch * engine.threads, np.uint8)
        for number, buffer in enumerate(engine.source.buffers.all):
            if buffer.kind == "constant":
                self.arrays.append(engine.constants[number])
            else:
                self.arrays.append(aligned(buffer.entries(self.samples, self.piece), buffer.dtype))
        self.pointers = (ctypes.c_void_p * len(self.arrays))(*[a.ctypes.data for a in self.arrays])

    def reset(self, *, counting: bool) -> None:
        """States, and counters that are used, as before the first step."""
        self.seconds[:] = 0
        for buffer, array in zip(self.engine.source.buffers.all, self.arrays, strict=True):
            if buffer.kind == "count" and counting:
                array[:] = 0
            elif buffer.kind == "state" and buffer.data is not None:
                array.reshape(self.samples, -1)[:] = buffer.data

    def call(self, gates: Array, *, counting: bool = True) -> None:
        """Run the C over as many steps as there are gates."""
        gate = gates.astype(self.engine.dtype)
        run = Run(
            self.samples,
            len(gate),
            gate.ctypes.data,
            self.pointers,
            self.seconds.ctypes.data,
            self.engine.threads,
            self.scratch.ctypes.data,
            self.engine.source.scratch,
            counting,
            self.engine.tiles.ctypes.data,
        )
        self.engine.function(ctypes.byref(run))

    def series(self, value: Value, steps: int) -> Tensor:
        """A value over the steps of a piece as (T, N, ...)."""
        grid, node = value.grid, value.node
        places = self.engine.source.places[node.name]
        flat = self.arrays[places.series][: steps * self.samples * grid.size]
        y = torch.from_numpy(flat).reshape(steps, self.samples, grid.pixels, grid.padded)[..., : grid.channels]
        dtype = self.engine.torch.dtype
        if value.amplitude is not None:
            y = y.to(dtype) * torch.tensor(value.amplitude, dtype=dtype)
        return y.movedim(-1, 2).reshape(steps, self.samples, *node.shape[1:])

    def counts(self, value: Value, number: int) -> Tensor:
        """A counter of a value, shaped like one sample."""
        grid = value.grid
        found = torch.from_numpy(self.arrays[number]).reshape(grid.pixels, grid.padded)[:, : grid.channels]
        return found.movedim(0, 1).reshape(value.node.shape).to(torch.float64)


@dataclass(slots=True)
class NativeSession(Session):
    """A torch session whose series are computed by the generated C."""

    memory: Memory = field(init=False)

    def advance(self, begin: int, end: int) -> None:
        """Steps begin+1..end of everything before the tail."""
        engine = self.memory.engine
        if not begin:
            self.prepare()
        gates = self.gates(begin, end).numpy()
        self.memory.call(gates, counting=self.count)
        values = engine.program.values
        for name in engine.program.exports:
            value = values[name]
            self.accumulate(value.node, self.memory.series(value, end - begin), begin)

    def prepare(self) -> None:
        """The values that are the same at every step, by torch; those that the C reads are laid out for it."""
        memory, net = self.memory, self.engine.network
        gates = self.gates(0, 1)
        reachable = set(memory.engine.program.values)
        for node in net.nodes:
            if node.name in self.engine.tail or node.name in reachable:
                continue
            if all(name in self.steady for name in node.inputs) and not isinstance(node, SPIKING):
                self.steady[node.name] = self.compute(node, self.steady, gates)
        for name, number in memory.engine.source.steady.items():
            grid = memory.engine.program.steady[name]
            x = self.steady[name].data.reshape(self.samples, grid.channels, grid.pixels).movedim(1, 2)
            target = memory.arrays[number].reshape(self.samples, grid.pixels, grid.padded)
            target[..., : grid.channels] = x.numpy()
            target[..., grid.channels :] = 0

    def count_events(self) -> None:
        """What the C counted, as the activity of the run."""
        memory, engine = self.memory, self.memory.engine
        for name, value in engine.program.values.items():
            places, grid = engine.source.places[name], value.grid
            table = memory.arrays[places.events].reshape(grid.pixels, grid.padded)[:, : grid.channels]
            engine.counted[name] = engine.events(value) + table
            if name not in self.engine.emits:
                continue
            activity = Activity(events=memory.counts(value, places.events))
            if value.spikes and isinstance(value.node, SPIKING):
                activity.positive = float(memory.counts(value, places.positive).sum())
                activity.negative = float(memory.counts(value, places.negative).sum())
            self.result.activity[name] = activity
