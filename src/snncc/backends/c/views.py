# SPDX-License-Identifier: Apache-2.0
"""Nodes that only move entries, as new views of the same plane."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from snncc.backends.c.layout import Array, View
from snncc.execute.reference import evaluate_function
from snncc.ir.nodes import Expand, Node, Pad, Reshape, Slice, Transpose

MOVES = (Reshape, Transpose, Slice, Expand, Pad)


def still(value: Array) -> View:
    """A value that is the same at every step while the input is on."""
    nothing = np.zeros(value.shape)
    where = np.full(value.shape, -1, np.int64)
    return View(plane=None, where=where, constant=value.astype(np.float64), low=nothing, high=nothing)


def moved(node: Node, view: View) -> View:
    """The view of a node that only moves entries (one of MOVES)."""

    def move(array: Array, fill: float) -> Array:
        filled = msgspec.structs.replace(node, value=fill) if isinstance(node, Pad) else node
        return evaluate_function(filled, [array], {}, 1.0)

    pad = node.value if isinstance(node, Pad) and node.mode == "constant" else 0.0
    constant = view.constant
    if pad and constant is None:
        constant = np.zeros(view.where.shape)
    return View(
        plane=view.plane,
        where=move(view.where, -1),
        constant=None if constant is None else move(constant, pad),
        low=move(view.low, 0),
        high=move(view.high, 0),
    )


def joined(parts: Sequence[View], axis: int) -> View:
    """Views of one plane (or none) along an axis."""
    constants = [np.zeros(part.where.shape) if part.constant is None else part.constant for part in parts]
    return View(
        plane=next((part.plane for part in parts if part.plane is not None), None),
        where=np.concatenate([part.where for part in parts], axis),
        constant=np.concatenate(constants, axis) if any(part.constant is not None for part in parts) else None,
        low=np.concatenate([part.low for part in parts], axis),
        high=np.concatenate([part.high for part in parts], axis),
    )


def spread(view: View, shape: tuple[int, ...]) -> View:
    """Broadcast to a shape."""
    return View(
        plane=view.plane,
        where=np.broadcast_to(view.where, shape),
        constant=None if view.constant is None else np.broadcast_to(view.constant, shape),
        low=np.broadcast_to(view.low, shape),
        high=np.broadcast_to(view.high, shape),
    )
