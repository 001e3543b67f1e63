# SPDX-License-Identifier: Apache-2.0
"""The native engine: a network's generated C, its constants, and runs of it with torch before and behind."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.execute.native.buffers import aligned
from snncc.execute.native.emit import Source, emit
from snncc.execute.native.gathers import without_chains
from snncc.execute.native.layout import steady_values
from snncc.execute.native.lower import lower
from snncc.execute.native.program import Grid, NumberType, Program, Route, Segment, UnsupportedNode, Value
from snncc.execute.protocol import Undecided
from snncc.execute.torch.early_exit import PIECE, advance_undecided
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.layout import Activity, fold, unfold
from snncc.execute.torch.layout import Run as Result
from snncc.execute.torch.layout import Value as Series
from snncc.execute.torch.session import Session, between
from snncc.functions.compiled import Run, compiled, load
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Node, Spiking

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
        self.program: Program = without_chains(lower(network))
        if dtype == "int32" and self.program.outside:
            raise UnsupportedNode(self.program.outside[0][1], "it has no form in whole numbers")
        self.source: Source = emit(self.program, network.arrays, dtype, route)
        self.function = load(compiled(self.source.text))
        self.torch = Engine(network, dtype=around or TORCH[dtype])
        steady = steady_values(network) - self.torch.tail
        self.head = tuple(node for node in network.nodes if node.name in steady)
        self.seconds = np.zeros(len(self.program.steps))
        self.tiles = np.zeros((len(self.program.steps), 2), np.int64)
        self.counted: dict[str, Array] = {}
        self.outside: dict[str, float] = {}  # seconds in torch
        self.entries = 0
        self.kept: Memory | None = None

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
        if self.kept is None or self.kept.most != samples or self.kept.piece < piece:
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
        undecided: Undecided | None = None,
    ) -> Result:
        """Simulate a batch; as `execute.torch.engine.Engine.run`."""
        session = NativeSession(
            self.torch, feeds, timesteps, tuple(checkpoints or (timesteps,)), observe, count, first_sample
        )
        piece = min(steps_at_once or timesteps if undecided is None else PIECE, timesteps)
        session.memory = self.memory(session.samples, piece, counting=count)
        if undecided is not None:
            advance_undecided(session, undecided)
        else:
            for begin in range(0, timesteps, piece):
                session.advance(begin, min(begin + piece, timesteps))
        self.seconds += session.memory.seconds
        if count:
            self.entries += session.computed
            session.count_events()
        return session.result if undecided is not None else session.finish()


@dataclass(slots=True)
class Memory:
    """The buffers of one run; samples: those still running, of the `most` that there is room for."""

    engine: NativeEngine
    most: int
    piece: int
    samples: int = field(init=False)
    fresh: bool = field(init=False)
    arrays: list[Array] = field(init=False)
    seconds: Array = field(init=False)
    scratch: Array = field(init=False)
    pointers: Any = field(init=False)

    def __post_init__(self) -> None:
        engine = self.engine
        self.seconds = np.zeros(len(engine.source.steps))
        self.scratch = aligned(engine.source.scratch * engine.threads, np.uint8)
        self.arrays = [buffer.array(self.most, self.piece) for buffer in engine.source.buffers.all]
        self.pointers = (ctypes.c_void_p * len(self.arrays))(*[a.ctypes.data for a in self.arrays])

    def reset(self, *, counting: bool) -> None:
        """All samples, before the first step; counters that are used at 0."""
        self.samples, self.fresh, self.seconds[:] = self.most, True, 0
        for buffer, array in zip(self.engine.source.buffers.all, self.arrays, strict=True):
            if buffer.kind == "count" and counting:
                array[:] = 0

    def keep(self, which: Array) -> None:
        """Go on with some of the samples alone, by their positions: the states of those that move are moved."""
        to = np.flatnonzero(which != np.arange(len(which)))
        for buffer, array in zip(self.engine.source.buffers.all, self.arrays, strict=True):
            if buffer.kind in ("state", "steady"):
                rows = array[: self.samples * buffer.size].reshape(self.samples, -1)
                rows[to] = rows[which[to]]
        self.samples = len(which)

    def call(self, segment: Segment, gates: Array, rested: Array, *, counting: bool = True) -> None:
        """Run a segment over as many steps as there are gates; rested: how many of `until` had passed at each step."""
        gate, rested = gates.astype(self.engine.dtype), rested.astype(self.engine.dtype)
        run = Run(
            images=self.samples,
            steps=len(gate),
            gate=gate.ctypes.data,
            rested=rested.ctypes.data,
            buffer=self.pointers,
            seconds=self.seconds.ctypes.data,
            threads=self.engine.threads,
            scratch=self.scratch.ctypes.data,
            scratch_size=self.engine.source.scratch,
            counting=counting,
            fresh=self.fresh,
            tiles=self.engine.tiles.ctypes.data,
            first=segment.first,
            last=segment.last,
        )
        self.engine.function(ctypes.byref(run))

    def total(self, value: Value, rested: Array, first: int, last: int) -> Tensor:
        """The sum of a value over some steps of a piece, (N, ...)."""
        grid, node, dtype = value.grid, value.node, self.engine.torch.dtype
        series = self.arrays[self.engine.source.places[node.name].series]
        flat = torch.from_numpy(series[first * self.samples * grid.size : last * self.samples * grid.size])
        y = flat.reshape(last - first, self.samples, grid.pixels, grid.padded)[..., : grid.channels].sum(0, dtype=dtype)
        if value.amplitude is not None:
            y = y * torch.from_numpy(value.amplitude).to(dtype)
        if value.rest is not None:
            y = y + float(rested[last] - rested[first]) * torch.from_numpy(value.rest).to(dtype)
        return y.movedim(-1, 1).reshape(self.samples, *node.shape[1:])

    def series(self, value: Value, rested: Array) -> Tensor:
        """A value over the steps of a piece, (T, N, ...)."""
        grid, node, dtype, steps = value.grid, value.node, self.engine.torch.dtype, len(rested) - 1
        series = self.arrays[self.engine.source.places[node.name].series][: steps * self.samples * grid.size]
        y = torch.from_numpy(series).reshape(steps, self.samples, grid.pixels, grid.padded)[..., : grid.channels]
        y = y.to(dtype)
        if value.amplitude is not None:
            y = y * torch.from_numpy(value.amplitude).to(dtype)
        if value.rest is not None:
            y = y + torch.from_numpy(np.diff(rested)).to(y).reshape(-1, 1, 1, 1) * torch.from_numpy(value.rest).to(y)
        return y.movedim(-1, 2).reshape(steps, self.samples, *node.shape[1:])

    def fill(self, value: Value, x: Tensor, *, counting: bool) -> None:
        """Lay out a series that torch has computed, (T N, ...)."""
        places = self.engine.source.places[value.node.name]
        target = self.lay_out(places.series, value.grid, x)
        if counting:
            self.arrays[places.events] += (target != 0).sum(0, dtype=torch.int32).reshape(-1).numpy()

    def lay_out(self, number: int, grid: Grid, x: Tensor) -> Tensor:
        """Write (rows, channels, ...) into a buffer as (rows, pixels, padded channels)."""
        target = torch.from_numpy(self.arrays[number][: len(x) * grid.size]).reshape(len(x), grid.pixels, grid.padded)
        target[..., : grid.channels].copy_(x.reshape(len(x), grid.channels, grid.pixels).movedim(1, 2))
        target[..., grid.channels :] = 0
        return target

    def counts(self, value: Value, number: int) -> Tensor:
        """A counter of a value, shaped like one sample."""
        grid = value.grid
        found = torch.from_numpy(self.arrays[number]).reshape(grid.pixels, grid.padded)[:, : grid.channels]
        return found.movedim(0, 1).reshape(value.node.shape).to(torch.float64)


@dataclass(slots=True)
class NativeSession(Session):
    """A torch session whose series are computed by the generated C."""

    memory: Memory = field(init=False)
    #: Steps of samples so far.
    computed: int = 0

    def keep(self, which: Tensor) -> None:
        """Go on with some of the samples alone, by their positions."""
        Session.keep(self, which)
        self.memory.keep(which.numpy())

    def advance(self, begin: int, end: int) -> None:
        """Steps begin+1..end of everything before the tail."""
        engine = self.memory.engine
        if not begin:
            self.prepare()
        self.computed += self.samples * (end - begin)
        self.begin, gates, values = begin, self.gates(begin, end), dict(self.steady)
        rested = np.minimum(np.arange(begin, end + 1), engine.program.until)
        for segment in engine.program.segments:
            for node in segment.outside:
                self.outside(node, values, gates)
            self.memory.call(segment, gates.numpy(), rested, counting=self.count)
            for value in segment.between:
                values[value.node.name] = Series(fold(self.memory.series(value, rested), 0), "series")
        self.memory.fresh = False
        for name, value in engine.program.values.items():
            if name in engine.program.exports:
                self.accumulate(value.node, end - begin, partial(self.memory.total, value, rested), begin)

    def outside(self, node: Node, values: dict[str, Series], gates: Tensor) -> None:
        """One node by torch, for torch, the C and the tail."""
        program, seconds, steps = self.memory.engine.program, self.memory.engine.outside, len(gates)
        began = time.perf_counter()
        values[node.name] = found = self.compute(node, values, gates)
        if node.name in self.engine.emits:
            self.watch(node, found, steps)
        if node.name in program.imports:
            self.memory.fill(program.imports[node.name], found.data, counting=self.count)
        seconds[node.name] = seconds.get(node.name, 0.0) + time.perf_counter() - began
        if node.name in program.exports:
            series = unfold(found.data, node.batch, steps)
            self.accumulate(node, steps, partial(between, series), self.begin)

    def prepare(self) -> None:
        """The values that are the same at every step, by torch; those that the C reads are laid out for it."""
        memory, gates = self.memory, self.gates(0, 1)
        for node in memory.engine.head:
            self.steady[node.name] = self.compute(node, self.steady, gates)
        for name, number in memory.engine.source.steady.items():
            x = self.steady[name].data.reshape(self.samples, -1)
            memory.lay_out(number, memory.engine.program.steady[name], x)

    def count_events(self) -> None:
        """What the C counted, as the activity of the run."""
        memory, engine = self.memory, self.memory.engine
        for name, value in (engine.program.imports | engine.program.values).items():
            places, grid = engine.source.places[name], value.grid
            table = memory.arrays[places.events].reshape(grid.pixels, grid.padded)[:, : grid.channels]
            engine.counted[name] = engine.events(value) + table
            if name not in self.engine.emits or name in engine.program.imports:
                continue
            activity = Activity(events=memory.counts(value, places.events if places.whole is None else places.whole))
            if isinstance(value.node, Spiking):
                activity.positive, activity.negative = memory.arrays[places.signs].astype(float).tolist()
            self.result.activity[name] = activity
