# SPDX-License-Identifier: Apache-2.0
"""Where the entries of a value lie: buffers (flat arrays of the C program) and index maps into them.

A node that only moves entries (Reshape, Transpose, Slice, Pad, Expand) is a new index map, free at run time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.errors import EmitError

Array: TypeAlias = npt.NDArray[Any]
BufferType = Literal["bits", "signed_bits", "uint8", "int8", "uint16", "int16", "int32"]
#: What events are kept in, narrowest first.
EVENTS: tuple[BufferType, ...] = ("bits", "signed_bits", "uint8", "int8", "int16", "int32")
#: How long a buffer's entries live: within a step; as long as the input stays; from reset to reset.
Lifetime = Literal["step", "input", "run"]
C_TYPES: dict[BufferType, str] = {
    "bits": "uint8_t",
    "signed_bits": "uint8_t",
    "uint8": "uint8_t",
    "int8": "int8_t",
    "uint16": "uint16_t",
    "int16": "int16_t",
    "int32": "int32_t",
}
BYTES = {"uint8_t": 1, "int8_t": 1, "uint16_t": 2, "int16_t": 2, "int32_t": 4}
RANGES: dict[BufferType, tuple[int, int]] = {
    "bits": (0, 1),
    "signed_bits": (-1, 1),
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
    "int32": (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A flat array of the C program; `size` entries."""

    name: str
    type: BufferType
    size: int
    lifetime: Lifetime

    @property
    def length(self) -> int:
        """Elements of the C array."""
        octets = -(-self.size // 8)
        return {"bits": octets, "signed_bits": 2 * octets}.get(self.type, self.size)

    @property
    def bytes(self) -> int:
        """Bytes of the C array."""
        return self.length * BYTES[C_TYPES[self.type]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMap:
    """A value as entries of a buffer: entry j is buffer[where[j]] (nothing where that is -1) + gate * constant[j].

    All have the shape of the node; `low` and `high` bound the entries of the buffer that it reads, at every step.
    """

    buffer: Buffer | None
    where: Array
    constant: Array | None
    low: Array
    high: Array

    @property
    def whole(self) -> bool:
        """Whether it is all of its buffer, each entry once, and nothing else."""
        buffer = self.buffer
        return (
            buffer is not None
            and self.constant is None
            and self.where.size == buffer.size
            and np.array_equal(np.sort(self.where, axis=None), np.arange(buffer.size))
        )


def smallest(low: float, high: float, choices: Sequence[BufferType], name: str) -> BufferType:
    """The first type that holds every integer from low to high; raises EmitError naming the layer."""
    for kind in choices:
        if RANGES[kind][0] <= low and high <= RANGES[kind][1]:
            return kind
    raise EmitError(
        f"{name} reaches {low:.0f} ... {high:.0f}, more than {choices[-1]} holds",
        cure="lower --max-timesteps, or the bits of the weights",
    )


def channels_last(shape: tuple[int, ...], axis: int | None = None) -> Array:
    """Positions of the entries of a value whose axis (1 by default, for three and more axes) varies fastest."""
    axis = (1 if len(shape) > 2 else len(shape) - 1) if axis is None else axis % max(1, len(shape))
    if not shape:
        return np.zeros((), np.int64)
    moved = np.moveaxis(np.empty(shape, np.int8), axis, -1).shape
    return np.moveaxis(np.arange(math.prod(shape), dtype=np.int64).reshape(moved), -1, axis)


def strides(where: Array) -> tuple[int, ...] | None:
    """Strides s with where[i] = where[0] + sum_k i_k s_k, or None where there are none."""
    if where.size == 0:
        return None
    first = where[(0,) * where.ndim]
    found = [
        int(where[tuple(int(k == axis) for k in range(where.ndim))] - first) if extent > 1 else 0
        for axis, extent in enumerate(where.shape)
    ]
    steps = [
        (np.arange(extent) * stride).reshape([-1 if k == axis else 1 for k in range(where.ndim)])
        for axis, (extent, stride) in enumerate(zip(where.shape, found, strict=True))
    ]
    exact = np.asarray(first + sum(steps, np.zeros((), np.int64)))
    return tuple(found) if np.array_equal(np.broadcast_to(exact, where.shape), where) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """Up to four nested loops over pairs (target, source)."""

    extents: tuple[int, ...]
    to_strides: tuple[int, ...]
    from_strides: tuple[int, ...]
    to: int
    source: int


def nested(target: Array, source: Array) -> Loops | None:
    """The pairs with source >= 0 as nested loops; None where they are no regular pattern."""
    valid = source >= 0
    box = []
    for axis in range(source.ndim):
        used = np.flatnonzero(valid.any(axis=tuple(k for k in range(source.ndim) if k != axis)))
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    if not valid[tuple(box)].all():
        return None
    target, source = target[tuple(box)], source[tuple(box)]
    to, out_of = strides(target), strides(source)
    if to is None or out_of is None:
        return None
    loops = [(n, t, s) for n, t, s in zip(source.shape, to, out_of, strict=True) if n > 1]
    loops.sort(key=lambda loop: -abs(loop[1]))
    merged: list[tuple[int, int, int]] = []
    for n, t, s in loops:
        if merged and merged[-1][1] == n * t and merged[-1][2] == n * s:
            merged[-1] = (merged[-1][0] * n, t, s)
        else:
            merged.append((n, t, s))
    if len(merged) > 4:
        return None
    merged = [(1, 0, 0)] * (4 - len(merged)) + merged
    extents, to_strides, from_strides = zip(*merged, strict=True)
    return Loops(
        extents=extents,
        to_strides=to_strides,
        from_strides=from_strides,
        to=int(target.flat[0]),
        source=int(source.flat[0]),
    )
