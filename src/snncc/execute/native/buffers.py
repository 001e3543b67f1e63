# SPDX-License-Identifier: Apache-2.0
"""The memory of a program: what each buffer is for, its size for a batch and a number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from snncc.ir.network import Array

Kind = Literal["constant", "start", "steady", "state", "series", "count"]
ALIGNMENT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """`size` entries in all (constant, start, count), per sample (steady, state) or per sample and step (series).

    start: what states are before the first step.
    """

    kind: Kind
    dtype: str
    size: int
    #: The content of a constant or start.
    data: Array | None = None
    label: str = ""

    def entries(self, samples: int, steps: int) -> int:
        """How many entries the buffer has."""
        per = {"constant": 1, "start": 1, "count": 1, "steady": samples, "state": samples, "series": samples * steps}
        return self.size * per[self.kind]

    def array(self, samples: int, steps: int) -> Array:
        """Its memory: what it holds, else a new array, uninitialised."""
        return aligned(self.entries(samples, steps), self.dtype) if self.data is None else self.data


class Buffers:
    """Buffers by number, as the generated C refers to them."""

    def __init__(self) -> None:
        self.all: list[Buffer] = []

    def add(self, kind: Kind, dtype: str, size: int, data: Array | None = None, label: str = "") -> int:
        """A new buffer; returns its number."""
        self.all.append(Buffer(kind=kind, dtype=dtype, size=size, data=data, label=label))
        return len(self.all) - 1

    def constant(self, array: Array, dtype: str, label: str = "", kind: Kind = "constant") -> int:
        """A new buffer that holds an array."""
        data = aligned(array.size, dtype)
        data[:] = array.reshape(-1)
        return self.add(kind, dtype, array.size, data, label)


def aligned(entries: int, dtype: Any) -> Array:
    """An uninitialised array that begins at a multiple of 64 bytes."""
    size = np.dtype(dtype).itemsize
    raw = np.empty(entries * size + ALIGNMENT, np.uint8)
    skip = -raw.ctypes.data % ALIGNMENT
    return raw[skip : skip + entries * size].view(dtype)
