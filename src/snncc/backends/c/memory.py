# SPDX-License-Identifier: Apache-2.0
"""Where planes lie in memory: those that live within a step share one array per C type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from snncc.backends.c.layout import BYTES, C_TYPES, Plane
from snncc.backends.c.program import Call, Program


@dataclass(frozen=True, kw_only=True)
class Memory:
    """`pools`: elements of the shared array of each C type; `offsets`: a plane's first element in it."""

    pools: Mapping[str, int]
    offsets: Mapping[str, int]

    def bytes(self, program: Program) -> int:
        """All static arrays together."""
        own = sum(plane.bytes for plane in program.planes if plane.name not in self.offsets)
        return own + sum(size * BYTES[c_type] for c_type, size in self.pools.items())


def shortened(program: Program) -> Program:
    """Planes of the input that only computations at a new input read need not outlive them."""
    read_later = {plane.name for call in program.calls if call.when != "input" for plane in call.sources}
    short = {
        plane.name: replace(plane, lifetime="step")
        for plane in program.planes
        if plane.lifetime == "input" and plane.name not in read_later
    }

    def other(plane: Plane) -> Plane:
        return short.get(plane.name, plane)

    calls = tuple(
        replace(call, target=other(call.target), sources=tuple(map(other, call.sources))) for call in program.calls
    )
    return replace(
        program,
        planes=tuple(map(other, program.planes)),
        calls=calls,
        inputs=tuple((name, other(plane)) for name, plane in program.inputs),
    )


def order(program: Program) -> tuple[Call, ...]:
    """The calls as they are made: first those of a new input."""
    return (*(c for c in program.calls if c.when == "input"), *(c for c in program.calls if c.when != "input"))


def arranged(program: Program) -> Memory:
    """First fit, largest planes first: two planes overlap only where one is dead before the other is written."""
    spans: dict[str, tuple[int, int]] = {plane.name: (-1, -1) for _, plane in program.inputs}
    for at, call in enumerate(order(program)):
        for plane in (call.target, *call.sources):
            begin, _ = spans.get(plane.name, (at, at))
            spans[plane.name] = (begin, at)
    offsets: dict[str, int] = {}
    placed: dict[str, list[tuple[Plane, int]]] = {}
    for plane in sorted((p for p in program.planes if p.lifetime == "step"), key=lambda p: (-p.length, p.name)):
        begin, end = spans[plane.name]
        neighbours = placed.setdefault(C_TYPES[plane.type], [])
        busy = sorted(
            (start, start + other.length)
            for other, start in neighbours
            if spans[other.name][0] <= end and begin <= spans[other.name][1]
        )
        offset = 0
        for start, stop in busy:
            if offset + plane.length <= start:
                break
            offset = max(offset, stop)
        offsets[plane.name] = offset
        neighbours.append((plane, offset))
    pools = {c_type: max(start + plane.length for plane, start in found) for c_type, found in sorted(placed.items())}
    return Memory(pools=pools, offsets=offsets)
