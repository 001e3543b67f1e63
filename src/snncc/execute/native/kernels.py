# SPDX-License-Identifier: Apache-2.0
"""The convolution kernels on events: which one a convolution takes, text per type and width, layout of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snncc.execute.native.names import C_TYPES, instance
from snncc.execute.native.program import Grid, Layer, Route, Term
from snncc.execute.native.scatter import Scatter
from snncc.ir.network import Array

#: Bytes of a vector register; the compiler splits such vectors where the machine has narrower ones.
REGISTER = 64
#: Bytes of weights that stay in the first cache while a tile is summed.
WEIGHTS = 52 << 10
#: Pixels that the dense kernel sums together, by the registers of each.
DENSE_PIXELS = {1: 8, 2: 8, 4: 4}
#: Output channels that are computed together at most: integers of 16 bits.
WIDEST = 128
INT16 = (1 << 15) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A convolution kernel: number type, output channels of a block, kind of source (0, 1, 2: see `c/conv.c`), input
    channels that are listed together, the events that each may have and whether negative ones have lists."""

    dtype: str
    out_block: int
    source: int
    block: int
    levels: int = 1
    negative: bool = False
    #: The type of the tile's sums, where it is wider than that of the registers.
    wide: str | None = None

    @property
    def name(self) -> str:
        """The name of its function."""
        kind = "series" if self.source == 2 else "scaled" if self.source else "signed" if self.negative else "spikes"
        kind += str(self.levels) if self.levels > 1 else ""
        return f"convolve_{kind}_{self.dtype}_{self.block}_{self.out_block}{'_wide' if self.wide else ''}"

    @property
    def row(self) -> int:
        """Bytes of a row of weights."""
        return self.out_block * np.dtype(self.dtype).itemsize

    @property
    def registers(self) -> int:
        """Vector registers of a pixel's accumulators."""
        return max(1, self.row // REGISTER)

    @property
    def pixels(self) -> int:
        """Pixels that are summed together: enough that additions need not wait for each other."""
        return 4 if self.registers == 1 else 2 if self.registers <= 4 else 1

    @property
    def text(self) -> str:
        """Its C."""
        own = {name: f"{self.name}_{name.lower()}" for name in ("LIST", "LISTS", "LINE", "PATCH", "DENSE", "ROW")}
        definitions = {
            "NAME": self.name,
            **own,
            "SUM": C_TYPES[self.wide or self.dtype],
            "WIDE": int(self.wide is not None),
            "OB": self.out_block,
            "LOG2_ROW": self.row.bit_length() - 1,
            "SOURCE": self.source,
            "SIGNS": 2 if self.negative else 1,
            "BLOCK": self.block,
            "LEVELS": self.levels,
            "PIXELS": self.pixels,
            "DENSE_PIXELS": DENSE_PIXELS[min(self.registers, 4)],
            "REGISTERS": self.registers,
        }
        return instance(("conv.c", "dense.c"), self.dtype, min(REGISTER, self.row), definitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """How a convolution is cut up: input channels of a block, taps of a row that are taken together."""

    block: int
    blocks: int
    group_x: int

    def longest(self, levels: int) -> int:
        """The most events that a list may have."""
        return self.group_x * self.block * levels

    @classmethod
    def of(cls, term: Term, row: int) -> Grouping:
        """As many taps of a row together as the first cache and the 16 bits of an event's offset allow.

        `row`: bytes of a row of weights.
        """
        block = term.source.grid.block
        fits = min(WEIGHTS // (block * row), ((1 << 19) // row - 1) // block)
        return cls(block=block, blocks=term.source.grid.padded // block, group_x=max(1, min(term.kernel[1], fits)))


def packed(term: Term, weight: Array, outputs: int, block: int, grouping: Grouping) -> Array:
    """Weights as (out blocks, in blocks, ky, groups of kx, rows and a row of zeros, out block).

    outputs: output channels with padding, a multiple of `block`.
    """
    given, inputs, height, width = weight.shape
    taps, ib = grouping.group_x, grouping.block
    groups = -(-width // taps)
    full = np.zeros((outputs, term.source.grid.padded, height, groups * taps))
    full[:given, :inputs, :, :width] = weight
    parts = full.reshape(outputs // block, block, grouping.blocks, ib, height, groups, taps)
    parts = parts.transpose(0, 2, 4, 5, 6, 3, 1)
    rows = parts.reshape(*parts.shape[:4], taps * ib, block)
    return np.pad(rows, [(0, 0)] * 4 + [(0, 1), (0, 0)])


def source_of(term: Term, dtype: str) -> int:
    """How a kernel reads a term's source."""
    if not term.source.spikes:
        return 2
    return int(term.source.valued or (not dtype.startswith("int") and term.source.levels > 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A convolution that sums the events each pixel sees, with its kernel and its weights as that one reads them."""

    kernel: Kernel
    grouping: Grouping
    weights: Array

    def wider(self, dtype: str) -> Gathered:
        """The same with sums of a wider type."""
        return replace(self, kernel=replace(self.kernel, wide=dtype))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattered:
    """A convolution that adds each event to the pixels that see it."""

    kernel: Scatter
    weights: Array

    def wider(self, dtype: str) -> Scattered:
        """The same with sums of a wider type."""
        return replace(self, kernel=replace(self.kernel, wide=dtype))


Planned = Gathered | Scattered


def narrow(term: Term, plan: Planned) -> tuple[int, int]:
    """Bounds of a convolution of integers for any spikes: of what is added in one go, and of the whole sum."""
    weights = np.abs(plan.weights) * term.source.levels
    if isinstance(plan, Scattered):  # a line of pixels at once: the channels of a block and its columns of taps
        return int(weights.sum((3, 5)).max(initial=0)), int(weights.sum((2, 3, 4, 5)).max(initial=0))
    return int(weights.sum(4).max(initial=0)), int(weights.sum((1, 2, 3, 4)).max(initial=0))


def planned(term: Term, weight: Array, dtype: str, grid: Grid, block: int, route: Route) -> Planned:
    """The kernel of a convolution and its weights, for sums of the type `dtype` in blocks of outputs."""
    source = source_of(term, dtype)
    if route == "auto" and (scatter := Scatter.of(term, dtype, source, grid.padded, block)) is not None:
        return Scattered(kernel=scatter, weights=scatter.packed(term, weight, grid.padded))
    grouping = Grouping.of(term, block * np.dtype(dtype).itemsize)
    kernel = Kernel(
        dtype=dtype,
        out_block=block,
        source=source,
        block=grouping.block,
        levels=1 if source else term.source.levels,
        negative=not source and term.source.negative,
    )
    return Gathered(kernel=kernel, grouping=grouping, weights=packed(term, weight, grid.padded, block, grouping))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """The output channels that are computed together, the type of a layer's sums and its convolutions by the identity
    of their term."""

    block: int
    sums: str
    kernels: dict[int, Planned]
    #: What the sum of all convolutions is multiplied by, per channel, where it is not in the weights.
    gain: Array | None

    @classmethod
    def of(cls, layer: Layer, dtype: str, route: Route = "auto") -> LayerPlan:
        """Integers are summed in 16 bits where no spikes whatever can overflow them, list by list or altogether."""
        terms = [term for term in layer.terms if not term.diagonal]
        counts = bool(terms) and dtype == "int32" and not valued(terms)
        grid = layer.out.grid
        block = 2 * grid.block if counts and grid.padded % WIDEST == 0 else grid.block
        shared = counts and len(terms) == len(layer.terms) and same_scale(terms)
        gain = terms[0].scale if shared else None
        given = [term.weight if shared else term.scaled for term in terms]

        def plans(register: str) -> list[Planned]:
            return [planned(term, w, register, grid, block, route) for term, w in zip(terms, given, strict=True)]

        sums, found = narrowed(layer, terms, plans) if counts else (dtype, plans(dtype))
        kernels = {id(term): plan for term, plan in zip(terms, found, strict=True)}
        return cls(block=block, sums=sums, kernels=kernels, gain=gain)


def valued(terms: Sequence[Term]) -> bool:
    """Whether any event carries a number of its own."""
    return any(term.source.valued for term in terms)


def same_scale(terms: Sequence[Term]) -> bool:
    """Whether all terms have one scale."""
    return all((term.scale == terms[0].scale).all() for term in terms)


def narrowed(layer: Layer, terms: Sequence[Term], plans: Callable[[str], list[Planned]]) -> tuple[str, list[Planned]]:
    """The type of the sums of an integer layer, and its convolutions in 16 bits where that is certain to do."""
    found = plans("int16")
    bounds = [narrow(term, plan) for term, plan in zip(terms, found, strict=True)]
    if max(largest for largest, _ in bounds) > INT16:
        return "int32", plans("int32")
    if sum(whole for _, whole in bounds) <= INT16 and len(terms) == len(layer.terms):
        return "int16", found
    return "int32", [plan.wider("int32") for plan in found]
