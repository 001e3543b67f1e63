# SPDX-License-Identifier: Apache-2.0
"""The C of a layer: convolutions into a tile of accumulators, then the neurons of the tile, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from snncc.execute.native.emitter import Emitter
from snncc.execute.native.kernels import Gathered, LayerPlan, Scattered
from snncc.execute.native.names import C_TYPES, conv_text, rendered
from snncc.execute.native.neurons import neuron_lines, neuron_tables
from snncc.execute.native.program import Addend, Grid, Layer, Term
from snncc.execute.native.routes import dense_from

#: Bytes of accumulators in a tile: they share the second cache with the weights; weights that do not fit into it
#: (those of a block are HEAVY) are read again for each tile, so tiles are larger.
TILE, LARGE, HEAVY = 128 << 10, 256 << 10, 512 << 10
LONGEST, TALLEST = 128, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """How much of a block of channels is computed at once."""

    steps: int
    images: int
    rows: int
    columns: int

    @classmethod
    def of(cls, layer: Layer, plan: LayerPlan, size: int) -> Tile:
        """A tile whose accumulators fit: a few rows (neighbours share lists of events), then steps, then images.

        Where events are scattered it has as many rows as fit, since those beyond its edges are listed for it alone.
        """
        block = plan.block
        scattered = all(isinstance(planned, Scattered) for planned in plan.kernels.values())
        grid = layer.out.grid
        weights = max((term.weight[0].size for term in layer.terms if not term.diagonal), default=0) * block * size
        pixels = max(1, (TILE if weights < HEAVY else LARGE) // (block * size))
        columns = min(grid.width, LONGEST)
        fitting = max(1, min(grid.height, pixels // columns))
        rows = fitting if scattered or grid.pixels <= pixels else min(fitting, TALLEST)
        steps = max(1, min(8, pixels // (rows * columns)))
        images = max(1, min(8, pixels // (rows * columns * steps))) if rows == grid.height else 1
        return cls(steps=steps, images=images, rows=rows, columns=columns)

    @property
    def pitch(self) -> int:
        """Accumulated pixels of a row over steps and images; kernels take up to eight at once."""
        return self.steps * self.images * self.columns + 7


@dataclass(slots=True)
class Body:
    """Lines of C: once for a block of channels, for each pixel and step, and for each channel of it."""

    setup: list[str] = field(default_factory=list)
    pixel: list[str] = field(default_factory=list)
    entry: list[str] = field(default_factory=list)

    def add(self, setup: Sequence[str] = (), pixel: Sequence[str] = (), entry: Sequence[str] = ()) -> None:
        """Append lines."""
        self.setup += setup
        self.pixel += pixel
        self.entry += entry


def emit_layer(emitter: Emitter, layer: Layer) -> str:
    """The body of the function of a layer: `c/layer.c.j2`."""
    out, grid = layer.out, layer.out.grid
    plan = LayerPlan.of(layer, emitter.dtype, emitter.route)
    tile = Tile.of(layer, plan, np.dtype(emitter.dtype).itemsize)
    body = current(emitter, layer, plan)
    if layer.neuron is None:
        body.add(entry=["y[c] = x;"])
    else:
        body.add(*neuron_lines(neuron_tables(emitter, layer), layer, plan.block))
    series, offset = f"out = r->buffer[{emitter.places[out.node.name].series}];", f"* {grid.padded} + b * {plan.block}"
    if out.spikes:
        body.add([f"int8_t *{series}"], [f"int32_t fired[{plan.block}] __attribute__((aligned(64)));"])
    else:
        body.add([f"real *{series}"], [f"real *y = out + at {offset};"])
    # With many tiles the lists of events of a tile are made once for all blocks; of few, threads share the blocks.
    return rendered(
        "layer.c.j2",
        grid=grid,
        tile=tile,
        block=plan.block,
        blocks=grid.padded // plan.block,
        bands=-(-grid.height // tile.rows),
        strips=-(-grid.width // tile.columns),
        sums=C_TYPES[plan.sums],
        body=body,
        calls=[term_call(emitter, term, grid, tile, plan) for term in layer.terms],
        spikes=out.spikes,
    )


def current(emitter: Emitter, layer: Layer, plan: LayerPlan) -> Body:
    """The lines that make x, the current of a neuron: constants, the convolutions' sums a[c], and what is added."""
    grid, block, buffers = layer.out.grid, plan.block, emitter.buffers
    body, added = Body(), Body()
    for k, addend in enumerate(layer.addends):
        setup, pixel, entry = addend_text(emitter, addend, grid, block, k)
        body.add(setup)
        added.add(pixel=[pixel], entry=[entry])
    bias = grid.laid_out(layer.bias if (layer.bias != layer.bias[:1]).any() else layer.bias[:1])
    number, per_pixel = buffers.constant(bias, emitter.dtype), "local" if len(bias) > 1 else "0"
    body.add(
        [f"const real *bias = (real *)r->buffer[{number}] + b * {block};"],
        [f"const real *constant = bias + {per_pixel} * {grid.padded};"],
        ["real x = gate * constant[c];"],
    )
    if layer.resting is not None:
        number = buffers.constant(grid.laid_out(layer.resting), emitter.dtype, "constants of centred neurons")
        body.add(
            [f"const real *resting = (real *)r->buffer[{number}] + b * {block};"],
            [f"const real *rest = resting + local * {grid.padded};"],
            ["x += flows * rest[c];"],
        )
    if plan.gain is not None and (plan.gain != 1).any():
        number = buffers.constant(grid.laid_out(plan.gain), emitter.dtype)
        body.add([f"const real *gain = (real *)r->buffer[{number}] + b * {block};"], entry=["x += gain[c] * a[c];"])
    elif layer.terms:
        body.add(entry=["x += a[c];"])
    body.add(pixel=added.pixel, entry=added.entry)
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class TermCall:
    """What `c/term.c.j2` says of a convolution; number: of its weights, which names its lists; step: of the program."""

    kind: Literal["diagonal", "scattered", "gathered"]
    name: str
    given: str
    amplitudes: str
    weights: str
    shape: str
    number: int = 0
    step: int = 0
    lists: str = ""
    type: str = ""
    #: When a tile is computed densely: an expression.
    crowded: str = ""


def term_call(emitter: Emitter, term: Term, grid: Grid, tile: Tile, plan: LayerPlan) -> TermCall:
    """The calls that add one convolution to the tile."""
    source, buffers = term.source, emitter.buffers
    given = f"r->buffer[{emitter.places[source.node.name].series}]"
    amplitudes = "0"
    if source.spikes and source.valued:
        number = buffers.constant(source.grid.laid_out(np.asarray(source.amplitude)), emitter.dtype, "amplitudes")
        amplitudes = f"r->buffer[{number}]"

    tiled = {f"tile_{name}": getattr(tile, name) for name in ("steps", "images", "rows", "columns")}

    def shape(**more: int) -> str:
        more = {**tiled, "pitch": tile.pitch, **more}
        return conv_text(source.grid, grid, term.kernel, term.stride, term.dilation, term.padding, **more)

    if term.diagonal:
        number = buffers.constant(source.grid.laid_out(np.moveaxis(term.scaled, 0, -1)), emitter.dtype, "weights")
        return TermCall(
            kind="diagonal",
            name="diagonal_spikes" if source.spikes else "diagonal_series",
            given=given,
            amplitudes=amplitudes,
            weights=f"r->buffer[{number}], {plan.block}, b",
            shape=shape(in_blocks=grid.padded // plan.block),
        )
    planned = plan.kernels[id(term)]
    kernel = planned.kernel
    emitter.kernels.setdefault(kernel.name, kernel.text)
    number, c_type = buffers.constant(planned.weights, kernel.dtype, "weights"), C_TYPES[kernel.dtype]
    shares = emitter.shares.setdefault(emitter.number, [])
    if isinstance(planned, Scattered):
        text, crowded = shape(in_blocks=source.grid.padded // planned.kernel.block), ""
        lists = emitter.event_lists(planned.kernel, tile.rows, tile.steps * tile.images, tile.columns, source.grid)
        shares.append(None)
    else:
        text = shape(in_blocks=planned.grouping.blocks, group_x=planned.grouping.group_x)
        lists = gathered_lists(emitter, term, planned, tile)
        share = dense_from(term, planned, emitter.route)
        shares.append(share)
        crowded = (
            f"crowded({given}, {int(source.spikes)}, {share:.4f}, {source.grid.padded}, tile, r->images,\n"
            f"                {text})"
        )
        if not 0 < share < 1:
            crowded = str(int(share <= 0))
    return TermCall(
        kind="scattered" if isinstance(planned, Scattered) else "gathered",
        name=kernel.name,
        given=given,
        amplitudes=amplitudes,
        weights=f"({c_type} *)r->buffer[{number}] + b * {planned.weights[0].size}L",
        shape=text,
        number=number,
        step=emitter.number,
        lists=lists,
        type=c_type,
        crowded=crowded,
    )


def gathered_lists(emitter: Emitter, term: Term, planned: Gathered, tile: Tile) -> str:
    """A `struct lists` literal for the events, or all the entries, that a tile sees."""
    grouping, kernel = planned.grouping, planned.kernel
    wide = (tile.columns - 1) * term.stride[1] + (term.kernel[1] - 1) * term.dilation[1] + 1
    rows = (tile.rows - 1) * term.stride[0] + (term.kernel[0] - 1) * term.dilation[0] + 1
    lines = grouping.blocks * -(-term.kernel[1] // grouping.group_x) * rows
    patch = rows * tile.steps * tile.images * wide * term.source.grid.padded
    return emitter.scratch(lines, tile.pitch, grouping.longest(kernel.levels), patch, kernel)


def addend_text(emitter: Emitter, addend: Addend, grid: Grid, block: int, k: int) -> tuple[list[str], str, str]:
    """One addend: set-up, pixel, entry."""
    source, offset, constant = addend.source, f"* {grid.padded} + b * {block}", emitter.buffers.constant
    if isinstance(source, str) or not source.spikes:
        number = emitter.steady[source] if isinstance(source, str) else emitter.places[source.node.name].series
        setup = [f"const real *given{k} = r->buffer[{number}];"]
        factor, gate = "", "gate * " if isinstance(source, str) else ""
        if (addend.scale != 1).any():
            scale = constant(grid.laid_out(addend.scale), emitter.dtype)
            setup.append(f"const real *scale{k} = (real *)r->buffer[{scale}] + b * {block};")
            factor = f"scale{k}[c] * "
        at = "pixel" if isinstance(source, str) else "at"
        return setup, f"const real *y{k} = given{k} + {at} {offset};", f"x += {gate}{factor}y{k}[c];"
    table = np.atleast_2d(np.asarray(source.amplitude)) * addend.scale
    number = constant(grid.laid_out(table), emitter.dtype, "amplitudes")
    setup = [
        f"const int8_t *given{k} = r->buffer[{emitter.places[source.node.name].series}];",
        f"const real *scale{k} = r->buffer[{number}];",
    ]
    local = "local" if len(table) > 1 else "0"
    pixel = (
        f"real y{k}[{block}] __attribute__((aligned(64))); to_reals(y{k}, given{k} + at {offset}, {block}); "
        f"const real *s{k} = scale{k} + {local} {offset};"
    )
    return setup, pixel, f"x += s{k}[c] * y{k}[c];"
