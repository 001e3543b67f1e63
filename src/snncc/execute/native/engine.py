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
from snncc.execute.torch_engine import Engine
from snncc.execute.torch_layout import Activity
from snncc.execute.torch_layout import Run as Result
from snncc.execute.torch_session import Session
from snncc.ir.network import Array, Network
from snncc.ir.nodes import SPIKING, Node

TORCH = {"float32": torch.float32, "float64": torch.float64}


class NativeEngine:
    """A network prepared: lowered, compiled and with its constants in memory.

    Raises UnsupportedNode and CompileError: then the torch engine has to do.
    """

    def __init__(self, network: Network, *, dtype: NumberType = "float32", threads: int | None = None) -> None:
        self.network, self.dtype = network, dtype
        self.threads = threads or min(torch.get_num_threads(), os.cpu_count() or 1)
        self.program: Program = lower(network)
        self.source: Source = emit(self.program, network.arrays, dtype)
        self.function = load(compiled(self.source.text))
        self.torch = Engine(network, dtype=TORCH[dtype])
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
        session.memory = Memory(self, session.samples, piece)
        for begin in range(0, timesteps, piece):
            session.advance(begin, min(begin + piece, timesteps))
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

    def __post_init__(self) -> None:
        engine = self.engine
        self.seconds = np.zeros(len(engine.source.steps))
        self.scratch = aligned(engine.source.scratch * engine.threads, np.uint8)
        for number, buffer in enumerate(engine.source.buffers.all):
            if buffer.kind == "constant":
                self.arrays.append(engine.constants[number])
                continue
            array = aligned(buffer.entries(self.samples, self.piece), buffer.dtype)
            if buffer.kind == "count":
                array[:] = 0
            if buffer.kind == "state" and buffer.data is not None:
                array.reshape(self.samples, -1)[:] = buffer.data
            self.arrays.append(array)

    def call(self, gates: Array) -> None:
        """Run the C over as many steps as there are gates."""
        gate = gates.astype(self.engine.dtype)
        pointers = (ctypes.c_void_p * len(self.arrays))(*[a.ctypes.data for a in self.arrays])
        size = self.engine.source.scratch
        run = Run(
            self.samples,
            len(gate),
            gate.ctypes.data,
            pointers,
            self.seconds.ctypes.data,
            self.engine.threads,
            self.scratch.ctypes.data,
            size,
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
            y = y.to(dtype) * torch.from_numpy(np.asarray(value.amplitude)).to(dtype)
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
        self.memory.call(gates)
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
        if not self.count:
            return
        memory = self.memory
        for name, value in memory.engine.program.values.items():
            if name not in self.engine.emits:
                continue
            places = memory.engine.source.places[name]
            activity = Activity(events=memory.counts(value, places.events))
            if value.spikes:
                activity.positive = float(memory.counts(value, places.positive).sum())
                activity.negative = float(memory.counts(value, places.negative).sum())
            self.result.activity[name] = activity
