# SPDX-License-Identifier: Apache-2.0
"""Signed integrate and fire as ONNX nodes."""

from __future__ import annotations

from snncc.neurons.cell import Array, Cell, below, clipped
from snncc.neurons.signed_if.node import CentredIF, SignedIF


def signed_if_cell(cell: Cell, node: SignedIF, current: str) -> tuple[str, str]:
    """Spikes of either sign with the memory n of those emitted."""
    u, n = cell.charged(node, current), cell.load("count")
    threshold = cell.array(node.threshold)
    z = signed_spikes(cell, u, n, threshold, negative=node.negative, cap=node.cap, levels=node.levels)
    return cell.spikes(node, z)


def signed_spikes(cell: Cell, u: str, n: str, threshold: Array, *, negative: str, cap: int | None, levels: int) -> str:
    """z for the potential u and the memory n, which are handed on."""
    g = cell.g
    if levels == 1:
        fires = cell.at_least(u, threshold)
        if cap is not None:
            fires = g.op("And", fires, g.op("Less", n, float(cap), kind=bool))
        falls = g.op("And", below(cell, negative, u, threshold), g.op("Greater", n, 0.0, kind=bool))
        falls = cell.only_alive(g.op("And", falls, g.op("Not", fires)), threshold)
        z = g.op("Sub", g.floating(fires), g.floating(falls))
    else:
        high: str | float = float(levels)
        if cap is not None:
            high = g.op("Min", g.op("Sub", float(cap), n), high)
        z = clipped(g, cell.steps(u, threshold), g.op("Neg", g.op("Min", n, float(levels))), high)
    cell.discharged(u, z, threshold)
    cell.store("count", g.op("Add", n, z))
    return z


def centred_if_cell(cell: Cell, node: CentredIF, current: str) -> tuple[str, str]:
    """The early signed neuron around a resting rate, which is no event."""
    g, threshold, centre = cell.g, cell.array(node.threshold), cell.array(node.centre)
    on = g.floating(g.op("LessOrEqual", cell.clock.step, node.until, kind=bool))
    rest = g.op("Mul", on, centre / g.float_type.type(node.until))
    current = g.op("Sub", current, g.op("Mul", rest, threshold * (threshold > 0)))
    u, n = cell.charged(node, current), cell.started("count", centre)
    z = signed_spikes(cell, u, n, threshold, negative="early", cap=None, levels=node.levels)
    amplitude = cell.array(node.amplitude)
    return g.product(g.op("Add", z, rest), amplitude), g.product(z, amplitude)
