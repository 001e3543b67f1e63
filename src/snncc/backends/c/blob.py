# SPDX-License-Identifier: Apache-2.0
"""The blob of a C package: packed weights, and tables of integers of one, two or four bytes, little-endian."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.errors import EmitError

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Entry i is the signed integer of `bytes` bytes at offset + bytes (i mod period)."""

    offset: int
    period: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights packed in 8, 4 or 2 bits."""

    offset: int
    bits: int


@dataclass(slots=True)
class Blob:
    """Bytes that grow; equal pieces are kept once."""

    data: bytearray = field(default_factory=bytearray)
    known: dict[bytes, int] = field(default_factory=dict)

    def place(self, piece: bytes) -> int:
        """The offset of a piece."""
        if piece not in self.known:
            self.known[piece] = len(self.data)
            self.data += piece
        return self.known[piece]

    def table(self, values: Array) -> Table:
        """Integers in the order of a buffer, kept once per period: one value, one per channel or one per entry."""
        flat = np.asarray(values, np.int64).ravel()
        period = shortest_period(flat)
        low, high = int(flat.min()), int(flat.max())
        size = next((b for b in (1, 2, 4) if -(1 << 8 * b - 1) <= low and high < 1 << 8 * b - 1), None)
        if size is None:
            raise EmitError(f"a table reaches {low} ... {high}, more than int32 holds", cure="use smaller thresholds")
        return Table(offset=self.place(flat[:period].astype(f"<i{size}").tobytes()), period=period, bytes=size)

    def weights(self, values: Array) -> Weights:
        """Weights in their final order, in the fewest bits that hold them; raises EmitError beyond int8."""
        bits, data = packed(np.asarray(values, np.int64).ravel())
        return Weights(offset=self.place(data), bits=bits)

    @property
    def crc32(self) -> int:
        """The checksum that the C program compares."""
        return zlib.crc32(bytes(self.data))


def shortest_period(flat: Array) -> int:
    """The least divisor p of the size with flat[i] = flat[i mod p]."""
    n = len(flat)
    return next(p for p in range(1, n + 1) if n % p == 0 and (flat.reshape(-1, p) == flat[:p]).all())


def packed(flat: Array) -> tuple[int, bytes]:
    """(bits, bytes): 2 bits for -1, 0, 1 (coded 2, 0, 1), 4 bits and 8 bits as two's complement; low bits first."""
    low, high = (int(flat.min()), int(flat.max())) if flat.size else (0, 0)
    if low >= -1 and high <= 1:
        return 2, grouped(np.where(flat < 0, 2, flat), 2)
    if low >= -8 and high <= 7:
        return 4, grouped(flat & 15, 4)
    if low >= -128 and high <= 127:
        return 8, flat.astype(np.int8).tobytes()
    raise EmitError(f"weights reach {low} ... {high}, more than int8 holds", cure="lower them with `--weights int8`")


def grouped(codes: Array, bits: int) -> bytes:
    """Codes of 2 or 4 bits, several to a byte."""
    per = 8 // bits
    padded = np.zeros(-(-len(codes) // per) * per, np.int64)
    padded[: len(codes)] = codes
    total = (padded.reshape(-1, per) << (bits * np.arange(per))).sum(axis=1)
    return bytes(total.astype(np.uint8).tobytes())
