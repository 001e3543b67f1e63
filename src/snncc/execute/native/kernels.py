# SPDX-License-Identifier: Apache-2.0
"""The convolution kernels on events: text per number type and block width, and the layout of their weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np

from snncc.execute.native.names import C_TYPES
from snncc.execute.native.program import Grid, Term
from snncc.ir.network import Array

#: Bytes of a vector register; the compiler splits such vectors where the machine has narrower ones.
REGISTER = 64
#: Bytes of weights that stay in the first cache while a tile is summed.
WEIGHTS = 13 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A convolution kernel: number type, output channels of a block, kind of source (0, 1, 2: see `c/conv.c`)."""

    dtype: str
    out_block: int
    source: int

    @property
    def name(self) -> str:
        """The name of its function."""
        return f"convolve_{('spikes', 'scaled', 'series')[self.source]}_{self.dtype}_{self.out_block}"

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
        rows = [f"const VECTOR *r{p} = (const VECTOR *)(w + e[{p} * n])" for p in pixels]
        adds = [f"{name} += {f's[{p} * n] * ' if self.source else ''}r{p}[{k}]" for p, k, name in names]
        definitions = {
            "NAME": self.name,
            "LIST": f"{self.name}_list",
            "ROW": f"{self.name}_row",
            "ACC": C_TYPES[self.dtype],
            "OB": self.out_block,
            "LOG2_ROW": self.row.bit_length() - 1,
            "SOURCE": self.source,
            "PIXELS": self.pixels,
            "VECTOR": vector,
            "LOAD": f"VECTOR {', '.join(f'{name} = a[{p * count + k}]' for p, k, name in names)}",
            "ADD": "; ".join([*rows, *adds]),
            "STORE": "; ".join(f"a[{p * count + k}] = {name}" for p, k, name in names),
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
    def of(cls, term: Term, kernel: Kernel) -> Grouping:
        """As many taps of a row as the first cache and the 16 bits of an event's offset allow, then channels."""
        source, (height, width) = term.source, term.kernel
        signs = source.signs if kernel.source == 0 else 1
        block = source.grid.block
        while block > 16 and block * width * kernel.row > WEIGHTS:
            block //= 2
        fits = min(WEIGHTS // (block * kernel.row), ((1 << 16) // kernel.row - 1) // (block * signs))
        together = max(1, min(width, fits))
        whole = together == width and height * width * block * kernel.row <= WEIGHTS
        return cls(
            block=block,
            blocks=source.grid.padded // block,
            signs=signs,
            group_y=height if whole else 1,
            group_x=together,
        )


def packed(term: Term, grid: Grid, kernel: Kernel, grouping: Grouping) -> Array:
    """Weights as (out blocks, in blocks, ky, groups of kx, rows and a row of zeros, out block)."""
    outputs, inputs, height, width = term.weight.shape
    taps = grouping.group_x
    groups = -(-width // taps)
    full = np.zeros((grid.padded, term.source.grid.padded, height, groups * taps))
    full[:outputs, :inputs, :, :width] = term.weight
    ob, ib = kernel.out_block, grouping.block
    parts = full.reshape(grid.padded // ob, ob, grouping.blocks, ib, height, groups, taps)
    parts = parts.transpose(0, 2, 4, 5, 6, 3, 1)[:, :, :, :, :, None]
    if grouping.signs == 2:
        parts = np.concatenate([parts, -parts], axis=5)
    rows = parts.reshape(*parts.shape[:4], taps * grouping.signs * ib, ob)
    return np.pad(rows, [(0, 0)] * 4 + [(0, 1), (0, 0)])
