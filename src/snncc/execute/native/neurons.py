# SPDX-License-Identifier: Apache-2.0
"""The C of a neuron's step; the definitions stand in `snncc.neurons`, at equality with the threshold too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from snncc.execute.native.layout import by_pixel, uniform
from snncc.execute.native.program import Layer
from snncc.ir.nodes import IF, CentredIF, SignedIF

if TYPE_CHECKING:
    from snncc.execute.native.emit import Emitter

#: What a neuron that never fires gets as its threshold.
NEVER = {"float32": np.inf, "float64": np.inf, "int32": 2**31 - 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Buffers of a neuron: thresholds (per pixel or not), potentials and counts."""

    threshold: int
    per_pixel: bool
    potential: int
    count: int | None


def neuron_tables(emitter: Emitter, layer: Layer) -> Tables:
    """Make the buffers of a layer's neurons."""
    node, grid, buffers = layer.neuron, layer.out.grid, emitter.buffers
    if node is None:
        raise TypeError("a layer without neurons")
    arrays = emitter.arrays
    threshold = by_pixel(np.asarray(arrays[node.threshold], np.float64), node)
    threshold = np.where(threshold > 0, threshold, NEVER[emitter.dtype])
    table = threshold[:1] if uniform(threshold) else threshold
    start = by_pixel(np.asarray(arrays[node.v_init], np.float64), node)
    count = None
    if not isinstance(node, IF):
        first = by_pixel(np.asarray(arrays[node.centre] if isinstance(node, CentredIF) else 0.0, np.float64), node)
        count = buffers.add("state", emitter.dtype, grid.size, grid.laid_out(first).reshape(-1), "spikes emitted")
    return Tables(
        threshold=buffers.constant(grid.laid_out(table, NEVER[emitter.dtype]), emitter.dtype, "thresholds"),
        per_pixel=len(table) > 1,
        potential=buffers.add("state", emitter.dtype, grid.size, grid.laid_out(start).reshape(-1), "potentials"),
        count=count,
    )


def neuron_lines(tables: Tables, layer: Layer, block: int) -> tuple[list[str], list[str], list[str]]:
    """Set-up, lines per pixel, and lines per channel that make z[c] from the current x."""
    node, grid = layer.neuron, layer.out.grid
    offset = f"* {grid.padded} + b * {block}"
    setup = [
        f"const real *thresholds = r->buffer[{tables.threshold}];",
        f"real *u_all = r->buffer[{tables.potential}];",
    ]
    pixel = [
        f"const real *restrict theta = thresholds + {'local' if tables.per_pixel else '0'} {offset};",
        f"real *restrict u = u_all + pixel {offset};",
    ]
    if tables.count is not None:
        setup.append(f"real *n_all = r->buffer[{tables.count}];")
        pixel.append(f"real *restrict n = n_all + pixel {offset};")
    entry = ["const real v = u[c] + x;"]
    if isinstance(node, SignedIF | CentredIF):
        entry += signed_entry(node)
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
        room = "" if cap is None else f" & (n[c] < {cap})"
        below = {"early": "v < 0", "at_zero": "v <= 0", "signed": "v <= -theta[c]"}[negative]
        return [
            f"const int fires = (v >= theta[c]){room};",
            f"const int falls = !fires & ({below}) & (n[c] > 0);",
            "u[c] = fires ? v - theta[c] : falls ? v + theta[c] : v;",
            "n[c] += (real)(fires - falls);",
            "fired[c] = fires - falls;",
        ]
    lines = [
        "real s = QUOTIENT(v, theta[c]);",
        f"const real lowest = n[c] < {node.levels} ? -n[c] : -{node.levels};",
        "s = s < lowest ? lowest : s;",
    ]
    highest = str(node.levels)
    if cap is not None:
        lines.append(f"const real highest = {cap} - n[c] < {node.levels} ? {cap} - n[c] : {node.levels};")
        highest = "highest"
    return [
        *lines,
        f"s = s > {highest} ? {highest} : s;",
        "u[c] = s == 0 ? v : v - s * theta[c];",
        "n[c] += s;",
        "fired[c] = (int32_t)s;",
    ]
