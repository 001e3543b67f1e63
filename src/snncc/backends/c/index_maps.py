# SPDX-License-Identifier: Apache-2.0
"""Nodes that only move entries, as new index maps into the same buffer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from snncc.backends.c.layout import Array, IndexMap
from snncc.execute.reference import evaluate_function
from snncc.ir.nodes import Expand, Node, Pad, Reshape, Slice, Transpose

MOVES = (Reshape, Transpose, Slice, Expand, Pad)


def still(value: Array) -> IndexMap:
    """A value that is the same at every step while the input is on."""
    nothing = np.zeros(value.shape)
    where = np.full(value.shape, -1, np.int64)
    return IndexMap(buffer=None, where=where, constant=value.astype(np.float64), low=nothing, high=nothing)


def moved(node: Node, index: IndexMap) -> IndexMap:
    """The index map of a node that only moves entries (one of MOVES)."""

    def move(array: Array, fill: float) -> Array:
        filled = msgspec.structs.replace(node, value=fill) if isinstance(node, Pad) else node
        return evaluate_function(filled, [array], {}, 1.0)

    pad = node.value if isinstance(node, Pad) and node.mode == "constant" else 0.0
    constant = index.constant
    if pad and constant is None:
        constant = np.zeros(index.where.shape)
    return IndexMap(
        buffer=index.buffer,
        where=move(index.where, -1),
        constant=None if constant is None else move(constant, pad),
        low=move(index.low, 0),
        high=move(index.high, 0),
    )


def joined(parts: Sequence[IndexMap], axis: int) -> IndexMap:
    """Index maps of one buffer (or none) along an axis."""
    constants = [np.zeros(part.where.shape) if part.constant is None else part.constant for part in parts]
    return IndexMap(
        buffer=next((part.buffer for part in parts if part.buffer is not None), None),
        where=np.concatenate([part.where for part in parts], axis),
        constant=np.concatenate(constants, axis) if any(part.constant is not None for part in parts) else None,
        low=np.concatenate([part.low for part in parts], axis),
        high=np.concatenate([part.high for part in parts], axis),
    )


def spread(index: IndexMap, shape: tuple[int, ...]) -> IndexMap:
    """Broadcast to a shape."""
    return IndexMap(
        buffer=index.buffer,
        where=np.broadcast_to(index.where, shape),
        constant=None if index.constant is None else np.broadcast_to(index.constant, shape),
        low=np.broadcast_to(index.low, shape),
        high=np.broadcast_to(index.high, shape),
    )
