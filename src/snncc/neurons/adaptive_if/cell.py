# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with an adaptive threshold as ONNX nodes."""

from __future__ import annotations

import numpy as np

from snncc.neurons.adaptive_if.node import AdaptiveIF
from snncc.neurons.cell import Array, Cell, divisor


def adaptive_if_cell(cell: Cell, node: AdaptiveIF, current: str) -> tuple[str, str]:
    """The firing threshold c threshold follows the largest current of the layer, per sample or over the batch."""
    g, threshold = cell.g, cell.array(node.threshold)
    axis, rank = node.batch or 0, len(node.shape)
    each = node.scope == "sample" and node.batch is not None
    rows = node.shape[axis]
    c = cell.started("factor", np.full(1, node.eta, g.float_type))
    if node.adapt:
        m = largest_current(cell, current, threshold, axis, rank, each=each)
        if node.rule == "running_max":
            c = g.op("Min", 1.0, g.op("Max", c, m))
        else:
            inside = g.op("And", g.op("Greater", m, node.eta, kind=bool), g.op("Less", m, 1.0, kind=bool))
            c = g.where(inside, m, c)
    c = cell.store("factor", c)
    if each and rows > 1:
        c = g.op("Tile", g.op("Reshape", c, g.shape([-1, 1])), g.shape([1, rows]))
    factor = g.op("Reshape", c, g.shape(-1 if i == axis else 1 for i in range(rank)))
    u = cell.charged(node, current)
    now = g.op("Mul", factor, threshold)
    s = g.floating(cell.only_alive(g.op("GreaterOrEqual", u, now, kind=bool), threshold))
    spent = g.op("Mul", s, threshold if node.subtract == "vmax" else now)
    cell.store("potential", g.op("Sub", u, spent))
    return cell.spikes(node, g.op("Mul", s, factor) if node.subtract == "graded" else s)


def largest_current(cell: Cell, current: str, threshold: Array, axis: int, rank: int, *, each: bool) -> str:
    """The largest current of a layer in units of its thresholds, of each sample or of the whole batch: (samples,)."""
    g = cell.g
    x = g.op("Div", current, divisor(threshold))
    x = x if np.all(threshold > 0) else g.where(threshold > 0, x, -np.inf)
    if axis:
        x = g.op("Transpose", x, perm=[axis, *[i for i in range(rank) if i != axis]])
    count = g.op("Reshape", cell.clock.samples, g.shape([1])) if each else g.shape([1])
    x = g.op("Reshape", x, g.op("Concat", count, g.shape([-1]), axis=0))
    return g.op("ReduceMax", x, g.shape([1]), keepdims=0)
