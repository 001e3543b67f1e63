# SPDX-License-Identifier: Apache-2.0
"""The C source of a program: one function per step, specialised to its shapes; kernels come from `c/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snncc.execute.native.buffers import Buffers
from snncc.execute.native.emitter import Emitter
from snncc.execute.native.layers import emit_layer
from snncc.execute.native.names import C_TYPES, LOWEST, Places, comment, conv_text, rendered, template
from snncc.execute.native.program import Layer, NumberType, Pool, Program, Route, Step
from snncc.ir.network import Array
from snncc.neurons.step_c import step_text


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
        tables = [emitter.buffers.constant(table, "int32") for table in step.tables]
        given = [emitter.places[source.node.name] for source in step.sources]
        made, parts = emitter.places[step.out.node.name], zip(step.sources, given, tables, strict=True)
        body = rendered("gathers.c.j2", out=step.out, made=made, parts=list(parts))
    made = emitter.places[step.out.node.name]
    return rendered("step.c.j2", comment=comment(step), number=number, body=body, out=step.out, made=made)


def emit_pool(emitter: Emitter, step: Pool) -> str:
    """Event-driven max pooling."""
    source, out = step.source, step.out
    table, rest, most, each, kernel = "0", "0", "0", "0", "pool_values"
    if out.spikes:
        kernel = "pool_counts"
    elif source.amplitude is not None:
        kernel, table = "pool_spikes", emitter.table(source, source.amplitude)
    if out.rest is not None:
        most = emitter.table(out, out.rest)
        rest = emitter.table(source, source.rest) if step.slopes else "0"
        each = emitter.table(out, out.amplitude) if out.spikes else "0"
    return rendered(
        "pool.c.j2",
        source=source,
        out=out,
        given=emitter.places[source.node.name],
        made=emitter.places[out.node.name],
        kernel=kernel,
        table=table,
        rest=rest,
        most=most,
        each=each,
        total=emitter.buffers.add("state", emitter.dtype, source.grid.size),
        last=emitter.buffers.add("state", emitter.dtype, out.grid.size),
        geometry=conv_text(source.grid, out.grid, step.kernel, step.stride, step.dilation, step.padding),
    )


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
    shared = ("prelude.c", "gather.c", "route.c", "diagonal.c", "gathers.c", "pool.c")
    text = rendered(
        "program.c.j2",
        lowest=LOWEST[dtype],
        texts=[step_text(C_TYPES[dtype]), *map(template, shared), *emitter.kernels.values()],
        steps=bodies,
    )
    return Source(
        text=text,
        buffers=emitter.buffers,
        places=emitter.places,
        steady=emitter.steady,
        steps=tuple(step.out.node.name for step in program.steps),
        scratch=emitter.scratch_size,
        dense_from=tuple(tuple(emitter.shares.get(k, ())) for k in range(len(bodies))),
    )
