# SPDX-License-Identifier: Apache-2.0
"""The C of a layer: convolutions into a tile of accumulators, then the neurons of the tile, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.execute.native.emitter import Emitter
from snncc.execute.native.kernels import LayerPlan, Scattered
from snncc.execute.native.names import C_TYPES, conv_text
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


def emit_layer(emitter: Emitter, layer: Layer) -> str:
    """The body of the function of a layer."""
    out, grid = layer.out, layer.out.grid
    size = np.dtype(emitter.dtype).itemsize
    plan = LayerPlan.of(layer, emitter.dtype, emitter.route)
    block, blocks = plan.block, grid.padded // plan.block
    tile = Tile.of(layer, plan, size)
    places = emitter.places[out.node.name]
    buffers = emitter.buffers
    bands, strips = -(-grid.height // tile.rows), -(-grid.width // tile.columns)
    setup, lines = addend_lines(emitter, layer, block)
    bias = grid.laid_out(layer.bias if (layer.bias != layer.bias[:1]).any() else layer.bias[:1])
    per_pixel = "local" if len(bias) > 1 else "0"
    setup.append(f"const real *bias = (real *)r->buffer[{buffers.constant(bias, emitter.dtype)}] + b * {block};")
    pixel = [f"const real *constant = bias + {per_pixel} * {grid.padded};"]
    entry = ["real x = gate * constant[c];"]
    if layer.resting is not None:
        number = buffers.constant(grid.laid_out(layer.resting), emitter.dtype, "constants of centred neurons")
        setup.append(f"const real *resting = (real *)r->buffer[{number}] + b * {block};")
        pixel.append(f"const real *rest = resting + local * {grid.padded};")
        entry.append("x += flows * rest[c];")
    if plan.gain is not None and (plan.gain != 1).any():
        number = buffers.constant(grid.laid_out(plan.gain), emitter.dtype)
        setup.append(f"const real *gain = (real *)r->buffer[{number}] + b * {block};")
        entry.append("x += gain[c] * a[c];")
    elif layer.terms:
        entry.append("x += a[c];")
    pixel += [line for line, _ in lines]
    entry += [line for _, line in lines]
    after = ""
    if layer.neuron is None:
        entry.append("y[c] = x;")
    else:
        more_setup, more_pixel, more_entry = neuron_lines(neuron_tables(emitter, layer), layer, block)
        setup, pixel, entry = setup + more_setup, pixel + more_pixel, entry + more_entry
    if not out.spikes:
        setup.append(f"real *out = r->buffer[{places.series}];")
        pixel.append(f"real *y = out + at * {grid.padded} + b * {block};")
    else:
        setup.append(f"int8_t *out = r->buffer[{places.series}];")
        pixel.append(f"int32_t fired[{block}] __attribute__((aligned(64)));")
        after = f"to_counts(out + at * {grid.padded} + b * {block}, fired, {block});"
    calls = [term_call(emitter, term, grid, tile, plan) for term in layer.terms]
    lists = "\n".join(f"            {call.prepare}" for call in calls if call.prepare)
    terms = "\n".join(f"                {call.add}" for call in calls)
    join = "\n                    ".join
    accumulators, clear, read = "", "", ""
    if layer.terms:
        accumulators = f"{C_TYPES[plan.sums]} acc[{tile.rows * tile.pitch * block}] __attribute__((aligned(64)));"
        clear = "memset(acc, 0, sizeof acc);"
        place = "((t - tile.t0) * (tile.i1 - tile.i0) + i - tile.i0) * (tile.x1 - tile.x0) + x - tile.x0"
        place = f"((y - tile.y0) * {tile.pitch} + {place}) * {block}"
        read = f"const {C_TYPES[plan.sums]} *a = acc + {place};"
    # With many tiles the lists of events of a tile are made once for all blocks; of few, threads share the blocks.
    return f"""\
    const int64_t plane = r->images * {grid.pixels};
    const int64_t groups = (r->images + {tile.images - 1}) / {tile.images};
    /* a few images are not enough for all threads: then each gets some of the rows */
    const int share = ({grid.height} + (int)r->threads - 1) / (int)r->threads;
    const int rows = groups * {bands * strips} < r->threads ? share : {tile.rows};
    const int bands = ({grid.height} + rows - 1) / rows;
    const int64_t tiles = groups * bands * {strips};
    const int64_t shares = smaller((4 * r->threads + tiles - 1) / tiles, {blocks});
#pragma omp for schedule(dynamic, 1)
    for (int64_t item = 0; item < tiles * shares; item++) {{
        char *scratch = r->scratch + omp_get_thread_num() * r->scratch_size;
        struct tile tile;
        tile.x0 = (int)(item % {strips}) * {tile.columns};
        tile.x1 = (int)smaller(tile.x0 + {tile.columns}, {grid.width});
        tile.y0 = (int)(item / {strips} % bands) * rows;
        tile.y1 = (int)smaller(tile.y0 + rows, {grid.height});
        tile.i0 = item / (bands * {strips}) % groups * {tile.images};
        tile.i1 = smaller(tile.i0 + {tile.images}, r->images);
        const int first = (int)(item / tiles * {blocks} / shares);
        const int last = (int)((item / tiles + 1) * {blocks} / shares);
        {accumulators}
        (void)scratch;
        for (tile.t0 = 0; tile.t0 < r->steps; tile.t0 += {tile.steps}) {{
            tile.t1 = smaller(tile.t0 + {tile.steps}, r->steps);
{lists}
            for (int b = first; b < last; b++) {{
                {join(setup)}
                {clear}
{terms}
                for (int64_t t = tile.t0; t < tile.t1; t++) {{
                const real gate = r->gate[t], flows = r->rested[t + 1] - r->rested[t];
                const int64_t begin = t * plane;
                const int fresh = r->fresh && !t;
                (void)flows, (void)fresh;
                for (int64_t i = tile.i0; i < tile.i1; i++)
                for (int y = tile.y0; y < tile.y1; y++)
                for (int x = tile.x0; x < tile.x1; x++) {{
                    const int64_t local = (int64_t)y * {grid.width} + x, pixel = i * {grid.pixels} + local;
                    const int64_t at = begin + pixel;
                    {read}
                    {join(pixel)}
#pragma omp simd
                    for (int c = 0; c < {block}; c++) {{
                        {join(entry)}
                    }}
                    {after}
                }}
                }}
            }}
        }}
    }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermCall:
    """The C that lists a term's events, once for all blocks of outputs, and that adds it to the tile of a block."""

    prepare: str
    add: str


def term_call(emitter: Emitter, term: Term, grid: Grid, tile: Tile, plan: LayerPlan) -> TermCall:
    """The calls that add one convolution to the tile."""
    source, place, buffers = term.source, emitter.places[term.source.node.name], emitter.buffers
    given, dtype = f"r->buffer[{place.series}]", emitter.dtype
    table = "0"
    if source.spikes and source.valued:
        number = buffers.constant(source.grid.laid_out(np.asarray(source.amplitude)), dtype, "amplitudes")
        table = f"r->buffer[{number}]"
    more = {
        "tile_steps": tile.steps,
        "tile_images": tile.images,
        "tile_rows": tile.rows,
        "tile_columns": tile.columns,
        "pitch": tile.pitch,
    }
    if term.diagonal:
        name = "diagonal_spikes" if source.spikes else "diagonal_series"
        weights = source.grid.laid_out(np.moveaxis(term.scaled, 0, -1))
        more["in_blocks"] = grid.padded // plan.block
        weight = f"r->buffer[{buffers.constant(weights, dtype, 'weights')}], {plan.block}, b"
        shape = conv_text(source.grid, grid, term.kernel, term.stride, term.dilation, term.padding, **more)
        call = f"{name}(acc, {given}, {table}, {weight}, tile, r->images,\n                    {shape});"
        return TermCall(prepare="", add=call)
    planned = plan.kernels[id(term)]
    kernel = planned.kernel
    emitter.kernels.setdefault(kernel.name, kernel.text)
    number = buffers.constant(planned.weights, kernel.dtype, "weights")
    weight = f"({C_TYPES[kernel.dtype]} *)r->buffer[{number}] + b * {planned.weights[0].size}L"
    if isinstance(planned, Scattered):
        more["in_blocks"] = source.grid.padded // planned.kernel.block
        shape = conv_text(source.grid, grid, term.kernel, term.stride, term.dilation, term.padding, **more)
        emitter.shares.setdefault(emitter.number, []).append(None)
        events = emitter.event_lists(planned.kernel, tile.rows, tile.steps * tile.images, tile.columns, source.grid)
        return TermCall(
            prepare=f"""const struct events events{number} = {events};
#pragma omp atomic
            r->tiles[{2 * emitter.number}]++;
            {kernel.name}_list(events{number}, {given}, {table}, tile, r->images,
                {shape});""",
            add=f"{kernel.name}(acc, events{number}, {weight}, tile,\n                    {shape});",
        )
    grouping, gathered = planned.grouping, planned.kernel
    more |= {
        "in_blocks": grouping.blocks,
        "group_x": grouping.group_x,
    }
    shape = conv_text(source.grid, grid, term.kernel, term.stride, term.dilation, term.padding, **more)
    wide = (tile.columns - 1) * term.stride[1] + (term.kernel[1] - 1) * term.dilation[1] + 1
    rows = (tile.rows - 1) * term.stride[0] + (term.kernel[0] - 1) * term.dilation[0] + 1
    lines = grouping.blocks * -(-term.kernel[1] // grouping.group_x) * rows
    patch = rows * tile.steps * tile.images * wide * source.grid.padded
    lists = emitter.scratch(lines, tile.pitch, grouping.longest(gathered.levels), patch, gathered)
    dense, name, of_type = f"dense{number}", kernel.name, f"({C_TYPES[kernel.dtype]} *)"
    share, counts = dense_from(term, planned, emitter.route), int(source.spikes)
    emitter.shares.setdefault(emitter.number, []).append(share)
    crowded = (
        f"crowded({given}, {counts}, {share:.4f}, {source.grid.padded}, tile, r->images,\n                {shape})"
    )
    if not 0 < share < 1:
        crowded = str(int(share <= 0))
    block = f"{weight}, tile,\n                    {shape})"
    return TermCall(
        prepare=f"""const struct lists lists{number} = {lists};
            const int {dense} = {crowded};
#pragma omp atomic
            r->tiles[{2 * emitter.number} + {dense}]++;
            if ({dense})
                {name}_patch({of_type}lists{number}.events, {given}, {table}, tile, r->images,
                {shape});
            else
                {name}_list(lists{number}, {given}, {table}, tile, r->images,
                {shape});""",
        add=f"""if ({dense})
                    {name}_dense(acc, {of_type}lists{number}.events, {block};
                else
                    {name}(acc, lists{number}, {block};""",
    )


def addend_lines(emitter: Emitter, layer: Layer, block: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Set-up, and per addend the line before the loop over channels and the line in it."""
    setup, lines = [], []
    for k, addend in enumerate(layer.addends):
        before, pixel, entry = addend_text(emitter, addend, layer.out.grid, block, k)
        setup += before
        lines.append((pixel, entry))
    return setup, lines


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
