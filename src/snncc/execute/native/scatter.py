# SPDX-License-Identifier: Apache-2.0
"""The convolution kernel that adds each event to all sums it reaches: its text, its weights, where it applies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.execute.native.names import C_TYPES, instance
from snncc.execute.native.program import Term
from snncc.ir.network import Array

#: Bytes of a vector register, and how many of them hold sums; a few are left for weights and values.
REGISTER, REGISTERS = 64, 27
#: Output channels, times the strides, up to which events are scattered: for every 32 of them a line of input pixels is
#: gone through again, and with strides each reaches fewer outputs. (Lists per output pixel are made once for all.)
WIDEST = 256
#: Input channels that are listed together, and bytes of their weights, all taps, that stay in the first cache.
CHANNELS, WEIGHTS = 32, 52 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Number type, kind of source (0, 1, 2: see `c/scatter.c`), kernel, input channels that are listed together, output
    channels of a block and those of them that are summed together; the type of the tile's sums, where it is wider."""

    dtype: str
    source: int
    taps: tuple[int, int]
    stride: tuple[int, int]
    block: int
    out_block: int
    together: int
    wide: str | None = None

    @classmethod
    def of(cls, term: Term, dtype: str, source: int, outputs: int, out_block: int) -> Scatter | None:
        """The kernel for a convolution to so many channels; None where lists per output pixel are faster or needed."""
        size, taps, stride = np.dtype(dtype).itemsize, term.kernel, term.stride
        if max(stride) > 2 or term.dilation != (1, 1) or taps == (1, 1) or outputs * stride[0] * stride[1] > WIDEST:
            return None
        reached = -(-taps[0] // stride[0]) * -(-taps[1] // stride[1])
        block = CHANNELS if term.source.grid.padded % CHANNELS == 0 else term.source.grid.block
        fits = min(REGISTERS // reached, WEIGHTS // (block * taps[0] * taps[1] * REGISTER))
        if fits == 0:
            return None
        registers = max(n for n in (1, 2, 4) if n <= fits)
        together = min(out_block, registers * REGISTER // size)
        return cls(
            dtype=dtype,
            source=source,
            taps=taps,
            stride=stride,
            block=block,
            out_block=out_block,
            together=together,
        )

    @property
    def name(self) -> str:
        """The name of its function."""
        kind = ("spikes", "scaled", "series")[self.source]
        taps = "x".join(map(str, self.taps)) + "_" + "x".join(map(str, self.stride))
        return f"scatter_{kind}_{self.dtype}_{taps}_{self.block}_{self.out_block}{'_wide' if self.wide else ''}"

    @property
    def text(self) -> str:
        """Its C."""
        size = np.dtype(self.dtype).itemsize
        width = min(REGISTER, self.together * size)
        own = {name: f"{self.name}_{name.lower()}" for name in ("LIST", "GATHER", "ADD", "LINE")}
        definitions = {
            "NAME": self.name,
            **own,
            "SUM": C_TYPES[self.wide or self.dtype],
            "WIDE": int(self.wide is not None),
            "OB": self.out_block,
            "SUB": self.together,
            "REGISTERS": self.together * size // width,
            "KY": self.taps[0],
            "KX": self.taps[1],
            "SY": self.stride[0],
            "SX": self.stride[1],
            "SOURCE": self.source,
            "BLOCK": self.block,
        }
        return instance(("scatter.c",), self.dtype, width, definitions)

    def packed(self, term: Term, weight: Array, outputs: int) -> Array:
        """Weights as (out blocks, parts of a block, in blocks, channels, ky, kx, outputs together).

        outputs: output channels with padding, a multiple of the block.
        """
        given, inputs, height, width = weight.shape
        full = np.zeros((outputs, term.source.grid.padded, height, width))
        full[:given, :inputs] = weight
        parts = full.reshape(
            outputs // self.out_block, self.out_block // self.together, self.together, -1, self.block, height, width
        )
        return parts.transpose(0, 1, 3, 4, 5, 6, 2)
