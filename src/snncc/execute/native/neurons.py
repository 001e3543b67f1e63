# SPDX-License-Identifier: Apache-2.0
"""The C of a neuron's step; the definitions stand in `snncc.neurons`, at equality with the threshold too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.execute.native.emitter import Emitter
from snncc.execute.native.layout import by_pixel, uniform
from snncc.execute.native.program import Grid, Layer, UnsupportedNode
from snncc.ir.network import Array
from snncc.ir.nodes import IF, CentredIF, LeakyIF, Node, SignedIF

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
    if isinstance(node, LeakyIF):
        if emitter.dtype == "int32":
            raise UnsupportedNode(node, "its slope is no whole number")
        tables |= {"slope": by_pixel(arrays[node.slope], node), "amplitude": by_pixel(arrays[node.amplitude], node)}
    numbers = {}
    for name, table in tables.items():
        fill = NEVER[emitter.dtype] if name == "theta" else 0.0
        laid = grid.laid_out(table[:1] if uniform(table) else table, fill)
        numbers[name] = buffers.constant(laid, emitter.dtype, name), len(laid) > 1
    count = None
    if not isinstance(node, IF):
        first = arrays[node.centre] if isinstance(node, CentredIF) else np.zeros(1)
        count = State.of(emitter, node, grid, first, "spikes emitted")
    return Tables(
        numbers=numbers,
        potential=State.of(emitter, node, grid, arrays[node.v_init], "potentials"),
        count=count,
    )


def neuron_lines(tables: Tables, layer: Layer, block: int) -> tuple[list[str], list[str], list[str]]:
    """Set-up, lines per pixel, and lines per channel that make z[c] from the current x."""
    node, grid = layer.neuron, layer.out.grid
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
    entry = ["const real v = u_before[c] + x;"]
    if isinstance(node, SignedIF | CentredIF):
        entry += signed_entry(node)
    elif isinstance(node, LeakyIF):
        entry += leaky_entry(node)
    elif isinstance(node, IF):
        entry += plain_entry(node)
    return setup, pixel, entry


def plain_entry(node: IF) -> list[str]:
    """Integrate and fire, one spike or up to `burst`."""
    reset = "0" if node.reset == "zero" else "v - s * theta[c]" if node.burst > 1 else "v - theta[c]"
    if node.burst == 1:
        fires = ["const int s = v >= theta[c];"]
    else:
        fires = [
            "const real q = QUOTIENT(v, theta[c]);",
            f"const real s = q < 0 ? 0 : q > {node.burst} ? {node.burst} : q;",
        ]
    return [*fires, f"u[c] = s > 0 ? {reset} : v;", "fired[c] = (int32_t)s;"]


def signed_entry(node: SignedIF | CentredIF) -> list[str]:
    """Signed integrate and fire with a memory of what was emitted."""
    cap, negative = (node.cap, node.negative) if isinstance(node, SignedIF) else (None, "early")
    if node.levels == 1:
        room = "" if cap is None else f" & (had < {cap})"
        below = {"early": "v < 0", "at_zero": "v <= 0", "signed": "v <= -theta[c]"}[negative]
        return [
            "const real had = n_before[c];",
            f"const int fires = (v >= theta[c]){room};",
            f"const int falls = !fires & ({below}) & (had > 0);",
            "u[c] = fires ? v - theta[c] : falls ? v + theta[c] : v;",
            "n[c] = had + (real)(fires - falls);",
            "fired[c] = fires - falls;",
        ]
    lines = [
        "const real had = n_before[c];",
        "real s = QUOTIENT(v, theta[c]);",
        f"const real lowest = had < {node.levels} ? -had : -{node.levels};",
        "s = s < lowest ? lowest : s;",
    ]
    highest = str(node.levels)
    if cap is not None:
        lines.append(f"const real highest = {cap} - had < {node.levels} ? {cap} - had : {node.levels};")
        highest = "highest"
    return [
        *lines,
        f"s = s > {highest} ? {highest} : s;",
        "u[c] = s == 0 ? v : v - s * theta[c];",
        "n[c] = had + s;",
        "fired[c] = (int32_t)s;",
    ]


def leaky_entry(node: LeakyIF) -> list[str]:
    """Two-sided signed integrate and fire; emits the change of phi(n) = n for n >= 0, slope n below."""
    if node.levels == 1:
        below = "(v < 0) & (theta[c] < -LOWEST)" if node.negative == "early" else "v <= -theta[c]"
        fires = ["const int fires = v >= theta[c];", f"const real s = fires - (!fires & ({below}));"]
    else:
        clipped = f"q < -{node.levels} ? -{node.levels} : q > {node.levels} ? {node.levels} : q"
        fires = ["const real q = QUOTIENT(v, theta[c]);", f"const real s = {clipped};"]
    return [
        "const real had = n_before[c];",
        *fires,
        "const real has = had + s;",
        "u[c] = s == 0 ? v : v - s * theta[c];",
        "n[c] = has;",
        "y[c] = ((has < 0 ? slope[c] * has : has) - (had < 0 ? slope[c] * had : had)) * amplitude[c];",
    ]
