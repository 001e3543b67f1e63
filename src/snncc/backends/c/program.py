# SPDX-License-Identifier: Apache-2.0
"""A network as what the C program does: buffers and calls of the runtime, in order."""

from __future__ import annotations

from dataclasses import dataclass

from snncc.backends.c.blob import Blob, Table, Weights
from snncc.backends.c.layout import Buffer, IndexMap
from snncc.ir.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the runtime; `when`: at every "step", while the input is on ("gate"), or at a new "input".

    `node` is the node of the network that it belongs to. Calls read `sources` and write `target`.
    """

    node: str
    when: str = "step"
    target: Buffer
    sources: tuple[Buffer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fill(Call):
    """Entries of the target become those of a table (zero without one); the table only while the input is on."""

    table: Table | None


@dataclass(frozen=True, kw_only=True)
class Convolve(Call):
    """Events of the source add their weights to the target."""

    image: tuple[int, int, int]  # channels, height, width of the source
    strides: tuple[int, int, int]
    out: tuple[int, int, int]
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    begin: tuple[int, int]  # padding above and to the left
    dilation: tuple[int, int]
    weights: Weights
    sign: int


@dataclass(frozen=True, kw_only=True)
class Route(Call):
    """Entries of the source times `factor` and `scale`, added to entries of the target."""

    extents: tuple[int, ...] = (1, 1, 1, 1)
    to_strides: tuple[int, ...] = (0, 0, 0, 0)
    from_strides: tuple[int, ...] = (0, 0, 0, 0)
    to: int = 0
    source: int = 0
    factor: int
    scale: Table | None = None
    index: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Rescale(Call):
    """Entries of the target times `scale`, plus `shift` while the input is on."""

    scale: Table
    shift: Table | None


@dataclass(frozen=True, kw_only=True)
class Fire(Call):
    """A layer of neurons; sources: its current. `gated`: the current flows only while the input is on."""

    threshold: Table
    v_init: Table
    negative: str
    reset_to_zero: bool
    levels: int
    cap: int | None
    membrane: Buffer
    count: Buffer | None
    gated: bool


@dataclass(frozen=True, kw_only=True)
class Pool(Call):
    """Max pooling by events. `gated`: they come only while the input is on."""

    image: tuple[int, int, int]
    strides: tuple[int, int, int]
    out: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    begin: tuple[int, int]
    dilation: tuple[int, int]
    total: Buffer
    last: Buffer
    gated: bool


@dataclass(frozen=True, kw_only=True)
class Output:
    """A graph output: entries offset ... offset + size of the sums, in the order of the value's shape."""

    name: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """The whole program. `traced`: the layers that emit events, in order, with the buffer that holds them."""

    schedule: Schedule
    max_timesteps: int
    inputs: tuple[tuple[str, Buffer], ...]
    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    sums: Buffer
    outputs: tuple[Output, ...]
    traced: tuple[tuple[str, Buffer], ...]
    maps: dict[str, IndexMap]
    #: gains[i, j]: the least that output i gains on output j in one step, or None where there are too many.
    gains: Table | None
    blob: Blob
