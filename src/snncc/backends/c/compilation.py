# SPDX-License-Identifier: Apache-2.0
"""What the compilation of one network collects: buffers, calls, index maps of values and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from snncc.backends.c.accumulator import ACCUMULATORS, Accumulator
from snncc.backends.c.blob import Blob
from snncc.backends.c.fusion import Fusion
from snncc.backends.c.layout import EVENTS, Array, Buffer, BufferType, IndexMap, channels_last
from snncc.backends.c.program import Call
from snncc.ir.network import Network
from snncc.ir.nodes import Node


@dataclass(slots=True, kw_only=True)
class Compilation:
    """The compilation of one network."""

    network: Network
    ranges: Mapping[tuple[str, str], tuple[int, int]]
    max_timesteps: int
    buffers: list[Buffer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    maps: dict[str, IndexMap] = field(default_factory=dict)
    blob: Blob = field(default_factory=Blob)
    traced: list[tuple[str, Buffer]] = field(default_factory=list)
    fusion: Fusion = field(init=False)
    number: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.fusion = Fusion(self.network)
        self.number = {node.name: i for i, node in enumerate(self.network.nodes)}

    def keep(self, buffer: Buffer) -> Buffer:
        """Keep a buffer."""
        self.buffers.append(buffer)
        return buffer

    def proved(self, layer: str, quantity: str) -> tuple[int, int]:
        """The proved range of a membrane, a count or a sum over the steps."""
        return self.ranges[layer, quantity]

    def accumulator(self, node: Node, where: Array, kind: str, steady: bool) -> Accumulator:
        """An empty accumulator for a node."""
        name = f"{kind}_{self.number[node.name]}"
        return Accumulator(node=node.name, name=name, where=where, blob=self.blob, steady=steady)

    def finish(self, accumulator: Accumulator, choices: Sequence[BufferType] = ACCUMULATORS) -> IndexMap:
        """Keep a finished accumulator."""
        index, calls = accumulator.finish(choices)
        self.keep(calls[0].target)
        self.calls.extend(calls)
        return index

    def copied(self, reader: Node, name: str, index: IndexMap, axis: int | None = None) -> IndexMap:
        """A value in a buffer of its own, for a reader that cannot take the index map as it is."""
        to = self.accumulator(reader, channels_last(index.where.shape, axis), "copy", name in self.fusion.steady)
        to.add_entries(index, to.where)
        return self.finish(to, EVENTS)
