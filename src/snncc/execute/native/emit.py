# SPDX-License-Identifier: Apache-2.0
"""The C source of a program: one function per step, specialised to its shapes; kernels come from `c/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from snncc.execute.native.buffers import ALIGNMENT, Buffers
from snncc.execute.native.kernels import Kernel
from snncc.execute.native.layers import emit_layer
from snncc.execute.native.names import C_TYPES, LOWEST, QUOTIENT, Places, comment, conv_text, template
from snncc.execute.native.program import Grid, Layer, Move, NumberType, Pool, Program, Route, Step, Value
from snncc.execute.native.scatter import Scatter
from snncc.ir.network import Array
from snncc.ir.nodes import Differential

#: Bytes behind a list into which whole vectors may be written.
SLACK = 512
#: `TURN` of `c/gather.c`.
TURN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Generated C with the buffers that it expects, in order."""

    text: str
    buffers: Buffers
    places: dict[str, Places]
    steady: dict[str, int]
    steps: tuple[str, ...]
    scratch: int
    #: For each step and convolution the density from which tiles are computed densely; None where events are scattered.
    dense_from: tuple[tuple[float | None, ...], ...]


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

    def run(self) -> Source:
        """The whole source."""
        for name, grid in self.program.steady.items():
            self.steady[name] = self.buffers.add("steady", self.dtype, grid.size, label=f"{name}, at every step")
        for value in self.program.imports.values():
            self.places[value.node.name] = self.place(value)
        bodies = []
        for number, step in enumerate(self.program.steps):
            self.places[step.out.node.name] = self.place(step.out)
            bodies.append(self.step(number, step))
        head = [
            f"#define REAL {C_TYPES[self.dtype]}",
            f"#define LOWEST {LOWEST[self.dtype]}",
            f"#define QUOTIENT(v, theta) {QUOTIENT[self.dtype]}",
            template("prelude.c"),
            template("gather.c"),
            template("route.c"),
            template("diagonal.c"),
            template("moves.c"),
            template("pool.c"),
            *self.kernels.values(),
        ]
        calls = [
            f"        if (r->first <= {k} && {k} < r->last) {{\n            step_{k}(r);\n#pragma omp master\n"
            f"            {{ r->seconds[{k}] += now() - began; began = now(); }}\n        }}"
            for k in range(len(bodies))
        ]
        main = (
            "void run(const struct run *r)\n{\n    double began = now();\n"
            "#pragma omp parallel num_threads((int)r->threads)\n    {\n" + "\n".join(calls) + "\n    }\n}\n"
        )
        names = tuple(step.out.node.name for step in self.program.steps)
        text = "\n".join([*head, *bodies, main])
        return Source(
            text=text,
            buffers=self.buffers,
            places=self.places,
            steady=self.steady,
            steps=names,
            scratch=self.scratch_size,
            dense_from=tuple(tuple(self.shares.get(k, ())) for k in range(len(bodies))),
        )

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

    def step(self, number: int, step: Step) -> str:
        """One function."""
        self.number, self.scratch_used = number, 0
        if isinstance(step, Layer):
            body = emit_layer(self, step)
        elif isinstance(step, Pool):
            body = self.pool(step)
        else:
            body = self.move(step)
        text = comment(step)
        return f"/* {text} */\nstatic void step_{number}(const struct run *r)\n{{\n{body}{self.counting(step.out)}}}\n"

    def counting(self, value: Value) -> str:
        """Lines that count a value's events."""
        p, size = self.places[value.node.name], value.grid.size
        names = f"r->buffer[{p.series}], r->images * r->steps, {size}, r->buffer[{p.signs}], r->buffer[{p.events}]"
        return f"    if (r->counting)\n        count_{'spikes' if value.spikes else 'values'}({names});\n"

    def pool(self, step: Pool) -> str:
        """Event-driven max pooling."""
        source, out = step.source, step.out
        given, made = self.places[source.node.name], self.places[out.node.name]
        table, rest, most, kernel, after = "0", "0", "0", "pool_values", ""
        if out.spikes:
            kernel = "pool_counts"
        elif source.amplitude is not None:
            kernel, table = "pool_spikes", self.table(source, source.amplitude)
        if out.rest is not None:
            most = self.table(out, out.rest)
            rest = self.table(source, source.rest) if step.slopes else "0"
            kind, each = ("spikes", self.table(out, out.amplitude)) if out.spikes else ("values", "0")
            after = (
                f"    if (r->counting)\n        count_whole_{kind}(r->buffer[{made.series}], {each}, {most}, r, "
                f"{out.grid.size}, r->buffer[{made.whole}]);\n"
            )
        total = self.buffers.add("state", self.dtype, source.grid.size)
        last = self.buffers.add("state", self.dtype, out.grid.size)
        geometry = conv_text(source.grid, out.grid, step.kernel, step.stride, step.dilation, step.padding)
        clear = [f"clear(r->buffer[{s}], r->images * {g.size});" for s, g in ((total, source.grid), (last, out.grid))]
        return (
            f"    if (r->fresh) {{\n        {' '.join(clear)}\n    }}\n"
            f"    {kernel}(r->buffer[{made.series}], r->buffer[{given.series}], {table}, {rest}, {most},\n        "
            f"r->buffer[{total}], r->buffer[{last}], r, {out.grid.padded}, {out.grid.width},\n"
            f"        {geometry});\n{after}"
        )

    def table(self, value: Value, numbers: Array | None) -> str:
        """Numbers per pixel and channel of a value, or per channel, as a constant."""
        full = np.broadcast_to(np.asarray(numbers, np.float64), (value.grid.pixels, value.grid.channels))
        return f"r->buffer[{self.buffers.constant(value.grid.laid_out(full), self.dtype)}]"

    def move(self, step: Move) -> str:
        """Entries moved by tables."""
        made = self.places[step.out.node.name]
        kernel = "move_spikes" if step.out.spikes else "move_values"
        lines = []
        for k, (source, table) in enumerate(zip(step.sources, step.tables, strict=True)):
            where = self.buffers.constant(table, "int32")
            lines.append(
                f"    {kernel}(r->buffer[{made.series}], r->buffer[{self.places[source.node.name].series}], "
                f"r->buffer[{where}], r->images * r->steps, {step.out.grid.size}, {source.grid.size}, {int(k == 0)});\n"
            )
        return "".join(lines)


def emit(program: Program, arrays: Mapping[str, Array], dtype: NumberType, route: Route = "auto") -> Source:
    """The C source of a program in a number type; `arrays`: those of the network; `route`: see `routes`."""
    return Emitter(program, arrays, dtype, route).run()
