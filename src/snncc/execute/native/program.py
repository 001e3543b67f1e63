# SPDX-License-Identifier: Apache-2.0
"""What the generated C computes: values in blocks of channels, and the steps that make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np

from snncc.ir.network import Array
from snncc.ir.nodes import Neuron, Node

#: Channels that are computed together: as many as registers and the first cache hold.
BLOCKS = (64, 32, 16)


class UnsupportedNode(Exception):
    """A node that the generated C cannot say; the torch engine can."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(f"{type(node).__name__} {node.name}: {reason}")


@cache
def block_of(channels: int) -> int:
    """The width of a block of so many channels."""
    return min(BLOCKS, key=lambda b: -(-channels // b) * b * (1 + 8 / b))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One sample of a value: height x width pixels of channels, channels in `blocks` of `block`."""

    height: int
    width: int
    channels: int

    @property
    def block(self) -> int:
        """The width of a block: wide blocks are faster, padding costs."""
        return block_of(self.channels)

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return -(-self.channels // self.block)

    @property
    def padded(self) -> int:
        """Channels with padding."""
        return self.blocks * self.block

    @property
    def pixels(self) -> int:
        """Pixels of one sample."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Entries of one sample, with padding."""
        return self.pixels * self.padded

    def laid_out(self, array: Array, fill: float = 0.0) -> Array:
        """(..., channels) as (..., padded)."""
        pad = [(0, 0)] * (array.ndim - 1) + [(0, self.padded - array.shape[-1])]
        return np.pad(array, pad, constant_values=fill)


@dataclass(slots=True, kw_only=True)
class Value:
    """A series over time: counts of spikes times an amplitude, or numbers.

    amplitude: (channels,) or (pixels, channels); None for numbers. `negative`: whether counts may be negative;
    `levels`: their largest magnitude. rest: (pixels, channels), what flows beside the series while neurons rest.
    """

    node: Node
    grid: Grid
    amplitude: Array | None = None
    negative: bool = False
    levels: int = 1
    rest: Array | None = None

    @property
    def spikes(self) -> bool:
        """Whether the value is counts of spikes."""
        return self.amplitude is not None

    @property
    def valued(self) -> bool:
        """Whether an event carries a number of its own, not one that its channel's weights can absorb."""
        return self.amplitude is None or self.amplitude.ndim == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A convolution that a current sums, times a scale per output channel.

    weight: (out, in, *kernel), or (channels, *kernel) where `diagonal`.
    """

    source: Value
    weight: Array
    scale: Array
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    diagonal: bool = False

    @property
    def scaled(self) -> Array:
        """The weight times the scale."""
        return self.weight * self.scale.reshape(-1, *[1] * (self.weight.ndim - 1))

    @property
    def kernel(self) -> tuple[int, int]:
        """Its extents."""
        height, width = self.weight.shape[-2:]
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Addend:
    """A value that a current adds entry by entry, times a scale per channel: a series, or a steady value's name."""

    source: Value | str
    scale: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """out = neuron(sum of terms, addends, bias and resting), or that sum itself without a neuron.

    bias: (pixels, channels), while the input is on; resting: the same, while neurons rest.
    """

    out: Value
    terms: tuple[Term, ...]
    addends: tuple[Addend, ...]
    bias: Array
    resting: Array | None = None
    neuron: Neuron | None

    @property
    def sources(self) -> tuple[Value, ...]:
        """The series that it reads."""
        added = (addend.source for addend in self.addends)
        return *(term.source for term in self.terms), *(value for value in added if isinstance(value, Value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """out = the change of the maximum of the running sums; slopes: whether entries rest at different rates."""

    out: Value
    source: Value
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    slopes: bool = False

    @property
    def sources(self) -> tuple[Value, ...]:
        """The series that it reads."""
        return (self.source,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """out[i] = sources[k][tables[k][i]] where that is not -1, else 0; entries are laid out as (pixels, padded)."""

    out: Value
    sources: tuple[Value, ...]
    tables: tuple[Array, ...]


Step = Layer | Pool | Gather


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The steps first..last-1: the nodes that torch computes before them, and their values that torch reads later."""

    outside: tuple[Node, ...]
    first: int
    last: int
    between: tuple[Value, ...]


@dataclass(slots=True, kw_only=True)
class Program:
    """The steps in order, the steady values they read, and the series that are read when all is computed.

    outside: what torch computes, each before the step of that number; imports: those of its series that steps read;
    between: names of the series that it reads itself; reason: why the first node is left to it.
    until: the steps for which centred neurons rest.
    """

    steps: list[Step] = field(default_factory=list)
    steady: dict[str, Grid] = field(default_factory=dict)
    outside: list[tuple[int, Node]] = field(default_factory=list)
    reason: str = ""
    imports: dict[str, Value] = field(default_factory=dict)
    between: set[str] = field(default_factory=set)
    exports: tuple[str, ...] = ()
    until: int = 0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Torch and the C in turn."""
        firsts = sorted({0, *(number for number, _ in self.outside)})
        return tuple(
            Segment(
                outside=tuple(node for number, node in self.outside if number == first),
                first=first,
                last=last,
                between=tuple(step.out for step in self.steps[first:last] if step.out.node.name in self.between),
            )
            for first, last in zip(firsts, [*firsts[1:], len(self.steps)], strict=True)
        )

    @property
    def values(self) -> dict[str, Value]:
        """Every series by name."""
        return {step.out.node.name: step.out for step in self.steps}


#: Which kernel a convolution takes: as shape and density say, or lists of events per pixel, or every entry.
Route = Literal["auto", "events", "dense"]
NumberType = Literal["float32", "float64", "int32"]
