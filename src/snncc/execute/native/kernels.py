# SPDX-License-Identifier: Apache-2.0
"""The convolution kernels on events: text per number type and block width, and the layout of their weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np

from snncc.execute.native.names import C_TYPES
from snncc.execute.native.program import Grid, Layer, Term
from snncc.ir.network import Array

#: Bytes of a vector register; the compiler splits such vectors where the machine has narrower ones.
REGISTER = 64
WIDEN = "for (int k = 0; k < PIXELS * OB; k++) sums[k] += ((ACC *)kept)[k]"
#: Bytes of weights that stay in the first cache while a tile is summed.
WEIGHTS = 52 << 10
#: The same for all rows of taps, so that sums stay in registers over them.
ALL = 26 << 10
INT16 = (1 << 15) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A convolution kernel: number type, output channels of a block, kind of source (0, 1, 2: see `c/conv.c`), input
    channels that are listed together and the events that each may have."""

    dtype: str
    out_block: int
    source: int
    block: int
    levels: int = 1
    #: The type of the tile's sums, where it is wider than that of the registers.
    wide: str | None = None

    @property
    def name(self) -> str:
        """The name of its function."""
        kind = ("spikes", "scaled", "series")[self.source] + (str(self.levels) if self.levels > 1 else "")
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
        return max(1, min(4, 8 // self.registers))

    @property
    def text(self) -> str:
        """Its C, with the accumulators of `pixels` pixels in registers."""
        count, pixels, vector = self.registers, range(self.pixels), f"vector_{self.dtype}_{self.out_block}"
        names = [(p, k, f"a{p}{k}") for p in pixels for k in range(count)]
        rows = [f"const VECTOR *r{p} = (const VECTOR *)(w + 8 * (int64_t)e[{p} * n])" for p in pixels]
        load = [f"{name} = ((VECTOR *)sums)[{p * count + k}]" for p, k, name in names]
        store = [f"((VECTOR *)sums)[{p * count + k}] = {name}" for p, k, name in names]
        if self.wide:
            load = [f"{name} = {{0}}" for _, _, name in names]
            store = ["VECTOR kept[] = {" + ", ".join(name for _, _, name in names) + "}", WIDEN]
        adds = [f"{name} += {f's[{p} * n] * ' if self.source else ''}r{p}[{k}]" for p, k, name in names]
        definitions = {
            "NAME": self.name,
            "LIST": f"{self.name}_list",
            "ROW": f"{self.name}_row",
            "ACC": C_TYPES[self.dtype],
            "SUM": C_TYPES[self.wide or self.dtype],
            "OB": self.out_block,
            "LOG2_ROW": self.row.bit_length() - 1,
            "SOURCE": self.source,
            "BLOCK": self.block,
            "LEVELS": self.levels,
            "PIXELS": self.pixels,
            "VECTOR": vector,
            "LOAD": f"VECTOR {', '.join(load)}",
            "ADD": "; ".join([*rows, *adds]),
            "STORE": "; ".join(store),
        }
        guard = f"HAS_{vector}".upper()
        width = min(REGISTER, self.row)
        typedef = f"typedef {C_TYPES[self.dtype]} {vector} __attribute__((vector_size({width}), may_alias));"
        text = (resources.files("snncc.execute.native") / "c" / "conv.c").read_text(encoding="utf-8")
        return "\n".join(
            [
                f"#ifndef {guard}\n#define {guard}\n{typedef}\n#endif",
                *[f"#define {key} {value}" for key, value in definitions.items()],
                text,
                *[f"#undef {key}" for key in definitions],
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """How a convolution is cut up: input channels of a block, signs with weights of their own, taps taken together."""

    block: int
    blocks: int
    signs: int
    group_y: int
    group_x: int

    def longest(self, levels: int) -> int:
        """The most events that a list may have."""
        return self.group_x * self.block * levels

    @classmethod
    def of(cls, term: Term, row: int, source: int) -> Grouping:
        """As many taps of a row together as the first cache and the 16 bits of an event's offset allow.

        `row`: bytes of a row of weights; `source`: see `Kernel`.
        """
        height, width = term.kernel
        signs = 1 if source else term.source.signs
        block = term.source.grid.block
        fits = min(WEIGHTS // (block * row), ((1 << 19) // row - 1) // (block * signs))
        together = max(1, min(width, fits))
        whole = together == width and height * width * block * row <= ALL
        return cls(
            block=block,
            blocks=term.source.grid.padded // block,
            signs=signs,
            group_y=height if whole else 1,
            group_x=together,
        )


def packed(term: Term, weight: Array, grid: Grid, grouping: Grouping) -> Array:
    """Weights as (out blocks, in blocks, ky, groups of kx, rows and a row of zeros, out block)."""
    outputs, inputs, height, width = weight.shape
    taps = grouping.group_x
    groups = -(-width // taps)
    full = np.zeros((grid.padded, term.source.grid.padded, height, groups * taps))
    full[:outputs, :inputs, :, :width] = weight
    ob, ib = grid.block, grouping.block
    parts = full.reshape(grid.padded // ob, ob, grouping.blocks, ib, height, groups, taps)
    parts = parts.transpose(0, 2, 4, 5, 6, 3, 1)[:, :, :, :, :, None]
    if grouping.signs == 2:
        parts = np.concatenate([parts, -parts], axis=5)
    rows = parts.reshape(*parts.shape[:4], taps * grouping.signs * ib, ob)
    return np.pad(rows, [(0, 0)] * 4 + [(0, 1), (0, 0)])


def narrow(term: Term, weights: Array, grouping: Grouping) -> tuple[int, int]:
    """Bounds of a convolution of integers for any spikes: of one list's sum, and of the whole sum."""
    largest = np.abs(weights).sum(4) / grouping.signs * term.source.levels
    return int(largest.max(initial=0) * grouping.group_y), int(largest.sum((1, 2, 3)).max(initial=0))


def source_of(term: Term, dtype: str) -> int:
    """How a kernel reads a term's source: a product with a float costs nothing more than a sum, weights do."""
    if not term.source.spikes:
        return 2
    return int(term.source.valued or (dtype != "int32" and (term.source.negative or term.source.levels > 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A convolution with its kernel and its weights as that one reads them."""

    kernel: Kernel
    grouping: Grouping
    weights: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """The type of a layer's sums and its convolutions by the identity of their term."""

    sums: str
    kernels: dict[int, Planned]
    #: What the sum of all convolutions is multiplied by, per channel, where it is not in the weights.
    gain: Array | None

    @classmethod
    def of(cls, layer: Layer, dtype: str) -> LayerPlan:
        """Integers are summed in 16 bits where no spikes whatever can overflow them, list by list or altogether."""
        terms = [term for term in layer.terms if not term.diagonal]
        plain = dtype == "int32" and not any(term.source.valued for term in terms)
        size = 2 if plain else np.dtype(dtype).itemsize
        sources = [source_of(term, dtype) for term in terms]
        row = layer.out.grid.block * size
        cut = [Grouping.of(term, row, source) for term, source in zip(terms, sources, strict=True)]
        gain = terms[0].scale if plain and terms else None
        if any((term.scale != gain).any() or term.diagonal for term in layer.terms):
            gain = None
        given = [term.scaled if gain is None else term.weight for term in terms]
        weights = [
            packed(term, weight, layer.out.grid, grouping)
            for term, weight, grouping in zip(terms, given, cut, strict=True)
        ]
        bounds = [narrow(*of_term) for of_term in zip(terms, weights, cut, strict=True)] if plain else []
        lists, wholes = [bound for bound, _ in bounds], [bound for _, bound in bounds]
        register, sums = dtype, dtype
        if plain and max(lists, default=0) <= INT16:
            register = "int16"
            sums = "int16" if sum(wholes) <= INT16 and len(terms) == len(layer.terms) else dtype
        found = {}
        for term, source, grouping, array in zip(terms, sources, cut, weights, strict=True):
            kernel = Kernel(
                dtype=register,
                out_block=layer.out.grid.block,
                source=source,
                block=grouping.block,
                levels=1 if source else term.source.levels,
                wide=sums if sums != register else None,
            )
            found[id(term)] = Planned(kernel=kernel, grouping=grouping, weights=array)
        return cls(sums=sums, kernels=found, gain=gain)
