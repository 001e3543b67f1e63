# SPDX-License-Identifier: Apache-2.0
"""Thresholds that halve as ONNX nodes."""

from __future__ import annotations

import numpy as np

from snncc.neurons.cell import Cell
from snncc.neurons.multi_threshold.node import MultiThreshold


def multi_threshold_cell(cell: Cell, node: MultiThreshold, current: str) -> tuple[str, str]:
    """z = sign(u) 2^-i with the smallest i < sizes for which |u| >= 3/4 threshold 2^-i, else 0."""
    g, threshold = cell.g, cell.array(node.threshold)
    u = cell.charged(node, current)
    size = g.op("Abs", u)
    z: str | float = 0.0
    for i in reversed(range(node.sizes)):
        reached = g.op("GreaterOrEqual", size, threshold * g.float_type.type(0.75 * 2.0**-i), kind=bool)
        z = g.where(reached, 2.0**-i, z, kind=g.float_type)
    z = g.op("Mul", g.op("Sign", u), z)
    z = z if np.all(threshold > 0) else g.op("Mul", z, (threshold > 0).astype(g.float_type))
    cell.discharged(u, z, threshold)
    return cell.spikes(node, z)
