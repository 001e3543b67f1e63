# SPDX-License-Identifier: Apache-2.0
"""The C source of a program: one function per step, specialised to its shapes; kernels come from `c/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snncc.execute.native.buffers import Buffers
from snncc.execute.native.emitter import Emitter
from snncc.execute.native.layers import emit_layer
from snncc.execute.native.names import C_TYPES, LOWEST, QUOTIENT, Places, comment, conv_text, template
from snncc.execute.native.program import Gather, Layer, NumberType, Pool, Program, Route, Step, Value
from snncc.ir.network import Array


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


def emit_step(emitter: Emitter, number: int, step: Step) -> str:
    """One function."""
    emitter.number, emitter.scratch_used = number, 0
    if isinstance(step, Layer):
        body = emit_layer(emitter, step)
    elif isinstance(step, Pool):
        body = emit_pool(emitter, step)
    else:
        body = emit_gather(emitter, step)
    text = comment(step)
    return f"/* {text} */\nstatic void step_{number}(const struct run *r)\n{{\n{body}{counting(emitter, step.out)}}}\n"


def counting(emitter: Emitter, value: Value) -> str:
    """Lines that count a value's events."""
    p, size = emitter.places[value.node.name], value.grid.size
    names = f"r->buffer[{p.series}], r->images * r->steps, {size}, r->buffer[{p.signs}], r->buffer[{p.events}]"
    return f"    if (r->counting)\n        count_{'spikes' if value.spikes else 'values'}({names});\n"


def emit_pool(emitter: Emitter, step: Pool) -> str:
    """Event-driven max pooling."""
    source, out = step.source, step.out
    given, made = emitter.places[source.node.name], emitter.places[out.node.name]
    table, rest, most, kernel, after = "0", "0", "0", "pool_values", ""
    if out.spikes:
        kernel = "pool_counts"
    elif source.amplitude is not None:
        kernel, table = "pool_spikes", emitter.table(source, source.amplitude)
    if out.rest is not None:
        most = emitter.table(out, out.rest)
        rest = emitter.table(source, source.rest) if step.slopes else "0"
        kind, each = ("spikes", emitter.table(out, out.amplitude)) if out.spikes else ("values", "0")
        after = (
            f"    if (r->counting)\n        count_whole_{kind}(r->buffer[{made.series}], {each}, {most}, r, "
            f"{out.grid.size}, r->buffer[{made.whole}]);\n"
        )
    total = emitter.buffers.add("state", emitter.dtype, source.grid.size)
    last = emitter.buffers.add("state", emitter.dtype, out.grid.size)
    geometry = conv_text(source.grid, out.grid, step.kernel, step.stride, step.dilation, step.padding)
    clear = [f"clear(r->buffer[{s}], r->images * {g.size});" for s, g in ((total, source.grid), (last, out.grid))]
    return (
        f"    if (r->fresh) {{\n        {' '.join(clear)}\n    }}\n"
        f"    {kernel}(r->buffer[{made.series}], r->buffer[{given.series}], {table}, {rest}, {most},\n        "
        f"r->buffer[{total}], r->buffer[{last}], r, {out.grid.padded}, {out.grid.width},\n"
        f"        {geometry});\n{after}"
    )


def emit_gather(emitter: Emitter, step: Gather) -> str:
    """Entries moved by tables."""
    made = emitter.places[step.out.node.name]
    kernel = "move_spikes" if step.out.spikes else "move_values"
    lines = []
    for k, (source, table) in enumerate(zip(step.sources, step.tables, strict=True)):
        where = emitter.buffers.constant(table, "int32")
        lines.append(
            f"    {kernel}(r->buffer[{made.series}], r->buffer[{emitter.places[source.node.name].series}], "
            f"r->buffer[{where}], r->images * r->steps, {step.out.grid.size}, {source.grid.size}, {int(k == 0)});\n"
        )
    return "".join(lines)


def emit(program: Program, arrays: Mapping[str, Array], dtype: NumberType, route: Route = "auto") -> Source:
    """The C source of a program in a number type; `arrays`: those of the network; `route`: see `routes`."""
    emitter = Emitter(program, arrays, dtype, route)
    for name, grid in program.steady.items():
        emitter.steady[name] = emitter.buffers.add("steady", dtype, grid.size, label=f"{name}, at every step")
    for value in program.imports.values():
        emitter.places[value.node.name] = emitter.place(value)
    bodies = []
    for number, step in enumerate(program.steps):
        emitter.places[step.out.node.name] = emitter.place(step.out)
        bodies.append(emit_step(emitter, number, step))
    head = [
        f"#define REAL {C_TYPES[dtype]}",
        f"#define LOWEST {LOWEST[dtype]}",
        f"#define QUOTIENT(v, theta) {QUOTIENT[dtype]}",
        template("prelude.c"),
        template("gather.c"),
        template("route.c"),
        template("diagonal.c"),
        template("gathers.c"),
        template("pool.c"),
        *emitter.kernels.values(),
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
    names = tuple(step.out.node.name for step in program.steps)
    text = "\n".join([*head, *bodies, main])
    return Source(
        text=text,
        buffers=emitter.buffers,
        places=emitter.places,
        steady=emitter.steady,
        steps=names,
        scratch=emitter.scratch_size,
        dense_from=tuple(tuple(emitter.shares.get(k, ())) for k in range(len(bodies))),
    )
