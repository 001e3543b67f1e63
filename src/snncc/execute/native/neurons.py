# SPDX-License-Identifier: Apache-2.0
"""The C of a neuron's step; the definitions stand in `snncc.neurons`, at equality with the threshold too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.execute.native.emitter import Emitter
from snncc.execute.native.layout import by_pixel, uniform
from snncc.execute.native.program import Grid, Layer, UnsupportedNode
from snncc.ir.network import Array
from snncc.ir.nodes import Neuron, Node

#: What a neuron that never fires gets as its threshold.
NEVER = {"float32": np.inf, "float64": np.inf, "int32": 2**31 - 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A buffer of the neurons' state and what it is at the start (per pixel or not)."""

    buffer: int
    start: int
    per_pixel: bool

    @classmethod
    def of(cls, emitter: Emitter, node: Node, grid: Grid, start: Array, label: str) -> State:
        """A state that starts with an array in the shape of its neurons."""
        buffers, table = emitter.buffers, by_pixel(np.asarray(start, np.float64), node)
        per_pixel = not uniform(table)
        table = grid.laid_out(table if per_pixel else table[:1])
        return cls(
            buffer=buffers.add("state", emitter.dtype, grid.size, label=label),
            start=buffers.constant(table, emitter.dtype, f"{label} at the start", "start"),
            per_pixel=per_pixel,
        )

    def lines(self, name: str, offset: str) -> tuple[list[str], str]:
        """Set-up, and per pixel: `name`, what is written, and `name_before`, what is read."""
        all_of, start = f"real *{name}_all = r->buffer[{self.buffer}];", f"{name}_start"
        first = f"{start} + {'local' if self.per_pixel else '0'} {offset}"
        return [all_of, f"const real *{start} = r->buffer[{self.start}];"], (
            f"real *{name} = {name}_all + pixel {offset}; const real *{name}_before = fresh ? {first} : {name};"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Buffers of a neuron: its numbers by name (per pixel or not), potentials and counts."""

    numbers: dict[str, tuple[int, bool]]
    potential: State
    count: State | None


def neuron_tables(emitter: Emitter, layer: Layer) -> Tables:
    """Make the buffers of a layer's neurons."""
    node, grid, buffers = layer.neuron, layer.out.grid, emitter.buffers
    if node is None:
        raise TypeError("a layer without neurons")
    arrays = emitter.arrays
    threshold = by_pixel(np.asarray(arrays[node.threshold], np.float64), node)
    tables = {"theta": np.where(threshold > 0, threshold, NEVER[emitter.dtype])}
    if node.slope is not None:
        if emitter.dtype == "int32":
            raise UnsupportedNode(node, "its slope is no whole number")
        tables |= {"slope": by_pixel(arrays[node.slope], node), "amplitude": by_pixel(arrays[node.amplitude], node)}
    numbers = {}
    for name, table in tables.items():
        fill = NEVER[emitter.dtype] if name == "theta" else 0.0
        laid = grid.laid_out(table[:1] if uniform(table) else table, fill)
        numbers[name] = buffers.constant(laid, emitter.dtype, name), len(laid) > 1
    count = None
    if node.negative:
        first = np.zeros(1) if node.offset is None else arrays[node.offset]
        count = State.of(emitter, node, grid, first, "spikes emitted")
    return Tables(
        numbers=numbers,
        potential=State.of(emitter, node, grid, arrays[node.v_init], "potentials"),
        count=count,
    )


def neuron_lines(tables: Tables, layer: Layer, block: int) -> tuple[list[str], list[str], list[str]]:
    """Set-up, lines per pixel, and lines per channel that make z[c] from the current x."""
    node, grid = layer.neuron, layer.out.grid
    if node is None:
        raise TypeError("a layer without neurons")
    offset = f"* {grid.padded} + b * {block}"
    setup, pixel = [], []
    for name, (number, per_pixel) in tables.numbers.items():
        setup.append(f"const real *{name}_all = r->buffer[{number}];")
        pixel.append(f"const real *restrict {name} = {name}_all + {'local' if per_pixel else '0'} {offset};")
    for name, state in (("u", tables.potential), ("n", tables.count)):
        if state is not None:
            before, line = state.lines(name, offset)
            setup += before
            pixel.append(line)
    return setup, pixel, spike_lines(node)


def spike_lines(node: Neuron) -> list[str]:
    """From the current x to what is emitted: whole spikes, or the change of phi where negative values have a slope."""
    lines = ["const real v = u_before[c] + x, at = theta[c];"]
    lines += ["const real had = n_before[c];"] if node.negative else []
    after = "0" if node.reset == "zero" else "v - s * at"
    lines += [f"const real s = {node.spikes_in_c};", f"u[c] = s == 0 ? v : {after};"]
    lines += ["n[c] = had + s;"] if node.negative else []
    if node.slope is None:
        return [*lines, "fired[c] = (int32_t)s;"]
    return [*lines, "y[c] = (phi(had + s, slope[c]) - phi(had, slope[c])) * amplitude[c];"]
