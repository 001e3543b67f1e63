# SPDX-License-Identifier: Apache-2.0
"""What the C of all steps shares while it is written: buffers, kernels and the memory of a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from snncc.execute.native.buffers import ALIGNMENT, Buffers
from snncc.execute.native.kernels import Kernel
from snncc.execute.native.names import Places
from snncc.execute.native.program import Grid, NumberType, Program, Route, Value
from snncc.execute.native.scatter import Scatter
from snncc.ir.network import Array
from snncc.ir.nodes import Differential

#: Bytes behind a list into which whole vectors may be written.
SLACK = 512
#: `TURN` of `c/gather.c`.
TURN = 4


@dataclass(slots=True)
class Emitter:
    """Collects text and buffers."""

    program: Program
    arrays: Mapping[str, Array]
    dtype: NumberType
    route: Route = "auto"
    buffers: Buffers = field(default_factory=Buffers)
    places: dict[str, Places] = field(default_factory=dict)
    steady: dict[str, int] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)
    scratch_size: int = 0
    scratch_used: int = 0
    number: int = 0
    shares: dict[int, list[float | None]] = field(default_factory=dict)

    def scratch(self, lines: int, pixels: int, longest: int, patch: int, kernel: Kernel) -> str:
        """A `struct lists` literal in the memory that a thread has for the step: `lines` of so many `pixels`.

        Its first part has room for the `patch` entries that the dense kernel reads instead.
        """
        signs = 2 if kernel.negative else 1
        events = lines * pixels * signs * -(-longest // TURN) * TURN
        number = np.dtype(self.dtype).itemsize if kernel.source else 0
        sizes = [
            max(2 * events, np.dtype(kernel.dtype).itemsize * patch),
            number * events,
            4 * lines,
            2 * lines * pixels,
            2 * lines * pixels * signs,
        ]
        return f"(struct lists){{{self.parts(('uint16_t', 'real', 'int32_t', 'uint16_t', 'uint16_t'), sizes)}}}"

    def event_lists(self, kernel: Scatter, rows: int, places: int, columns: int, source: Grid) -> str:
        """A `struct events` literal there, for all entries that a tile can see at so many `places` (steps, images)."""
        spans = [(n - 1) * s + k for n, s, k in zip((rows, columns), kernel.stride, kernel.taps, strict=True)]
        seen = min(spans[0], source.height) * min(spans[1], source.width) * places
        entries, lists = seen * source.padded, seen * (source.padded // kernel.block)
        sizes = [2 * entries, np.dtype(kernel.dtype).itemsize * entries, 4 * (lists + 1)]
        return f"(struct events){{{self.parts(('uint16_t', 'void', 'int32_t'), sizes)}}}"

    def parts(self, types: Sequence[str], sizes: Sequence[int]) -> str:
        """Pointers to parts of so many bytes each, with room for whole vectors behind them."""
        found = []
        for cast, size in zip(types, sizes, strict=True):
            found.append(f"({cast} *)(scratch + {self.scratch_used})")
            self.scratch_used += -(-size // ALIGNMENT) * ALIGNMENT + SLACK
        self.scratch_size = max(self.scratch_size, self.scratch_used)
        return ", ".join(found)

    def place(self, value: Value) -> Places:
        """The buffers of a value."""
        grid, name = value.grid, value.node.name
        whole = value.rest is not None and isinstance(value.node, Differential)
        kind = "int8" if value.spikes else self.dtype
        return Places(
            series=self.buffers.add("series", kind, grid.size, label=f"{name}, counts" if value.spikes else name),
            signs=self.buffers.add("count", "int64", 2),
            events=self.buffers.add("count", "int32", grid.size),
            whole=self.buffers.add("count", "int32", grid.size) if whole else None,
        )

    def table(self, value: Value, numbers: Array | None) -> str:
        """Numbers per pixel and channel of a value, or per channel, as a constant."""
        full = np.broadcast_to(np.asarray(numbers, np.float64), (value.grid.pixels, value.grid.channels))
        return f"r->buffer[{self.buffers.constant(value.grid.laid_out(full), self.dtype)}]"
