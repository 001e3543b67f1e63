# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire as ONNX nodes."""

from __future__ import annotations

from snncc.neurons.cell import Cell, clipped
from snncc.neurons.integrate_and_fire.node import IF


def if_cell(cell: Cell, node: IF, current: str) -> tuple[str, str]:
    """u += x; z = [u >= threshold] or clip(floor(u / threshold), 0, burst); u -= z threshold, or u = 0."""
    g, threshold = cell.g, cell.array(node.threshold)
    u = cell.charged(node, current)
    if node.burst == 1:
        fires = cell.at_least(u, threshold)
        z = g.floating(fires)
    else:
        z = clipped(g, cell.steps(u, threshold), 0.0, float(node.burst))
        fires = g.op("Greater", z, 0.0, kind=bool) if node.reset == "zero" else ""
    if node.reset == "subtract":
        cell.discharged(u, z, threshold)
    else:
        cell.store("potential", g.where(fires, 0.0, u))
    return cell.spikes(node, z)
