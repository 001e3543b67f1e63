# SPDX-License-Identifier: Apache-2.0
"""The two-sided signed neuron as ONNX nodes."""

from __future__ import annotations

import numpy as np

from snncc.neurons.cell import Array, Cell, Graph, below, clipped
from snncc.neurons.leaky_if.node import LeakyIF


def leaky_if_cell(cell: Cell, node: LeakyIF, current: str) -> tuple[str, str]:
    """Spikes of either sign; emits the change of phi(n)."""
    g, threshold = cell.g, cell.array(node.threshold)
    u, n = cell.charged(node, current), cell.load("count")
    if node.levels == 1:
        fires = g.floating(g.op("GreaterOrEqual", u, threshold, kind=bool))
        z = g.op("Sub", fires, g.floating(below(cell, node.negative, u, threshold)))
        z = z if np.all(threshold > 0) else g.op("Mul", z, (threshold > 0).astype(g.float_type))
    else:
        z = clipped(g, cell.steps(u, threshold), -float(node.levels), float(node.levels))
    cell.discharged(u, z, threshold)
    after = cell.store("count", g.op("Add", n, z))
    slope = cell.array(node.slope)
    return cell.spikes(node, g.op("Sub", phi(g, after, slope), phi(g, n, slope)))


def phi(g: Graph, n: str, slope: Array) -> str:
    """n where n >= 0, slope n below."""
    return g.where(g.op("GreaterOrEqual", n, 0.0, kind=bool), n, g.op("Mul", n, slope))
