# SPDX-License-Identifier: Apache-2.0
"""A buffer that is the sum of contributions, and the proof that no partial sum of them leaves its type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snncc.backends.c.blob import Blob, Table
from snncc.backends.c.layout import Array, Buffer, BufferType, IndexMap, nested, smallest
from snncc.backends.c.program import Call, Fill, Rescale, Route
from snncc.errors import EmitError

ACCUMULATORS: tuple[BufferType, ...] = ("int16", "int32")


def route(
    node: str,
    when: str,
    index: IndexMap,
    target: Array,
    buffer: Buffer,
    blob: Blob,
    *,
    factor: int = 1,
    scale: Table | None = None,
) -> Route:
    """The call that adds the entries of an index map to the entries `target` of a buffer."""
    if index.buffer is None:
        raise TypeError("nothing to read")
    call = Route(node=node, when=when, target=buffer, sources=(index.buffer,), factor=factor, scale=scale)
    loops = nested(target, index.where)
    if loops is not None:
        return replace(
            call,
            extents=loops.extents,
            to_strides=loops.to_strides,
            from_strides=loops.from_strides,
            to=loops.to,
            source=loops.source,
        )
    if np.unique(target).size != target.size:
        raise EmitError(f"{node} sums entries in an irregular pattern", cure="sum over whole axes")
    table = np.full(buffer.size, -1, np.int64)
    table[target.ravel()] = index.where.ravel()
    return replace(call, index=blob.table(table))


@dataclass(slots=True, kw_only=True)
class Accumulator:
    """Entry j of a node's value is the sum of what is added to entry where[j] of the buffer.

    `low` and `high` bound every partial sum, in whatever order: each contribution counts with its part below and
    above zero. `bias` is added while the input is on. At most one rescaling may stand between contributions.
    """

    node: str
    name: str
    where: Array
    blob: Blob
    steady: bool
    size: int = field(init=False)
    low: Array = field(init=False)
    high: Array = field(init=False)
    bias: Array = field(init=False)
    calls: list[Call] = field(default_factory=list)
    #: What precedes the rescaling: its bias and calls, the scale, and the largest magnitude reached.
    before: tuple[Array, list[Call], Array, float] | None = None
    touched: bool = False

    def __post_init__(self) -> None:
        self.size = self.where.size
        self.low, self.high, self.bias = (np.zeros(self.size) for _ in range(3))

    @property
    def draft(self) -> Buffer:
        """The buffer before its type is known."""
        lifetime = "input" if self.steady else "step"
        return Buffer(name=self.name, type="int32", size=self.size, lifetime=lifetime)  # type: ignore[arg-type]

    def when(self, source: Buffer) -> str:
        """When a call that reads `source` is made."""
        if self.steady:
            return "input"
        return "gate" if source.lifetime == "input" else "step"

    def widen(self, target: Array, low: Array, high: Array) -> None:
        """Bounds of a contribution to entries of the buffer."""
        self.touched = True
        np.add.at(self.low, target.ravel(), np.minimum(low, 0).ravel())
        np.add.at(self.high, target.ravel(), np.maximum(high, 0).ravel())

    def add_bias(self, target: Array, values: Array) -> None:
        """Constants added to entries of the buffer while the input is on."""
        values = np.broadcast_to(values, target.shape)
        if values.any():
            np.add.at(self.bias, target.ravel(), values.ravel())
            self.widen(target, values, values)

    def add_entries(self, index: IndexMap, target: Array, factor: int = 1, scale: Array | None = None) -> None:
        """factor * scale * index, entry by entry, to the entries `target` of the buffer."""
        gain = np.broadcast_to(np.float64(factor) if scale is None else factor * scale, index.where.shape)
        if index.constant is not None:
            self.add_bias(target, gain * index.constant)
        if index.buffer is None or not (index.where >= 0).any():
            return
        ends = gain * index.low, gain * index.high
        self.widen(target, np.minimum(*ends), np.maximum(*ends))
        table = None
        if scale is not None:
            by_entry = np.zeros(self.size, np.int64)
            by_entry[target.ravel()] = np.broadcast_to(scale, target.shape).ravel()
            table = self.blob.table(by_entry)
        self.calls.append(
            route(self.node, self.when(index.buffer), index, target, self.draft, self.blob, factor=factor, scale=table)
        )

    def rescale(self, scale: Array) -> None:
        """Multiply what has been added so far (by the one node that this is a function of)."""
        reached = float(max(self.high.max(), -self.low.min()))
        factors = np.ones(self.size)
        factors[self.where.ravel()] = np.broadcast_to(scale, self.where.shape).ravel()
        self.before = (self.bias, self.calls, factors, reached)
        ends = self.low * factors, self.high * factors
        self.low, self.high = np.minimum(*ends), np.maximum(*ends)
        self.bias, self.calls = np.zeros(self.size), []

    def finish(self, choices: Sequence[BufferType] = ACCUMULATORS) -> tuple[IndexMap, list[Call]]:
        """The value as an index map into its buffer, and the calls that compute it."""
        reached = 0.0 if self.before is None else self.before[3]
        low, high = min(float(self.low.min()), -reached), max(float(self.high.max()), reached)
        buffer = replace(self.draft, type=smallest(low, high, choices, self.node))
        first = self.bias if self.before is None else self.before[0]
        when = "input" if self.steady else "step"
        table = self.blob.table(first) if first.any() else None
        calls: list[Call] = [Fill(node=self.node, when=when, target=buffer, table=table)]
        if self.before is not None:
            _, earlier, factors, _ = self.before
            calls += [replace(call, target=buffer) for call in earlier]
            shift = self.blob.table(self.bias) if self.bias.any() else None
            scale = self.blob.table(factors)
            calls.append(Rescale(node=self.node, when=when, target=buffer, scale=scale, shift=shift))
        calls += [replace(call, target=buffer) for call in self.calls]
        bounds = (bound[self.where.ravel()].reshape(self.where.shape) for bound in (self.low, self.high))
        low_of, high_of = bounds
        return IndexMap(buffer=buffer, where=self.where, constant=None, low=low_of, high=high_of), calls
