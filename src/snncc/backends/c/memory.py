# SPDX-License-Identifier: Apache-2.0
"""Where buffers lie in memory: those that live within a step share one array per C type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from snncc.backends.c.layout import BYTES, C_TYPES, Buffer
from snncc.backends.c.program import Call, Program


@dataclass(frozen=True, kw_only=True)
class Memory:
    """`pools`: elements of the shared array of each C type; `offsets`: a buffer's first element in it."""

    pools: Mapping[str, int]
    offsets: Mapping[str, int]

    def bytes(self, program: Program) -> int:
        """All static arrays together."""
        own = sum(buffer.bytes for buffer in program.buffers if buffer.name not in self.offsets)
        return own + sum(size * BYTES[c_type] for c_type, size in self.pools.items())


def shortened(program: Program) -> Program:
    """Buffers of the input that only computations at a new input read need not outlive them."""
    read_later = {buffer.name for call in program.calls if call.when != "input" for buffer in call.sources}
    short = {
        buffer.name: replace(buffer, lifetime="step")
        for buffer in program.buffers
        if buffer.lifetime == "input" and buffer.name not in read_later
    }

    def other(buffer: Buffer) -> Buffer:
        return short.get(buffer.name, buffer)

    calls = tuple(
        replace(call, target=other(call.target), sources=tuple(map(other, call.sources))) for call in program.calls
    )
    return replace(
        program,
        buffers=tuple(map(other, program.buffers)),
        calls=calls,
        inputs=tuple((name, other(buffer)) for name, buffer in program.inputs),
    )


def order(program: Program) -> tuple[Call, ...]:
    """The calls as they are made: first those of a new input."""
    return (*(c for c in program.calls if c.when == "input"), *(c for c in program.calls if c.when != "input"))


def arranged(program: Program) -> Memory:
    """First fit, largest buffers first: two buffers overlap only where one is dead before the other is written."""
    spans: dict[str, tuple[int, int]] = {buffer.name: (-1, -1) for _, buffer in program.inputs}
    for at, call in enumerate(order(program)):
        for buffer in (call.target, *call.sources):
            begin, _ = spans.get(buffer.name, (at, at))
            spans[buffer.name] = (begin, at)
    offsets: dict[str, int] = {}
    placed: dict[str, list[tuple[Buffer, int]]] = {}
    for buffer in sorted((p for p in program.buffers if p.lifetime == "step"), key=lambda p: (-p.length, p.name)):
        begin, end = spans[buffer.name]
        neighbours = placed.setdefault(C_TYPES[buffer.type], [])
        busy = sorted(
            (start, start + other.length)
            for other, start in neighbours
            if spans[other.name][0] <= end and begin <= spans[other.name][1]
        )
        offset = 0
        for start, stop in busy:
            if offset + buffer.length <= start:
                break
            offset = max(offset, stop)
        offsets[buffer.name] = offset
        neighbours.append((buffer, offset))
    pools = {c_type: max(start + buffer.length for buffer, start in found) for c_type, found in sorted(placed.items())}
    return Memory(pools=pools, offsets=offsets)
