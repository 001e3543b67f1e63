# SPDX-License-Identifier: Apache-2.0
"""Spikes for an input as ONNX nodes."""

from __future__ import annotations

from snncc.neurons.cell import Cell, divisor
from snncc.neurons.encoder.node import Encoder


def interval_cell(cell: Cell, node: Encoder, x: str) -> str:
    """scale sign(x) (floor(D(t) p + phase) - floor(D(t-1) p + phase)), p = min(1, |x| / scale)."""
    g, scale, clock = cell.g, cell.array(node.scale), cell.clock
    p = g.op("Min", g.op("Div", g.op("Abs", x), divisor(scale)), 1.0)
    now, before = [
        g.op("Floor", g.op("Add", g.op("Mul", g.floating(d), p), node.phase)) for d in (clock.divisor, clock.before)
    ]
    return g.op("Mul", g.op("Mul", g.op("Sign", x), scale), g.op("Sub", now, before))
