# SPDX-License-Identifier: Apache-2.0
"""The multi-stage adaptive threshold as ONNX nodes."""

from __future__ import annotations

import numpy as np

from snncc.neurons.cell import Array, Cell, Graph, clipped, divisor
from snncc.neurons.msat.node import MsatIF


def msat_cell(cell: Cell, node: MsatIF, current: str) -> tuple[str, str]:
    """The multi-stage adaptive threshold; potentials in units of the threshold."""
    g, threshold = cell.g, cell.array(node.threshold)

    def normalized(x: str | Array) -> str:
        y = g.op("Div", x, divisor(threshold))
        return y if np.all(threshold > 0) else g.where(threshold > 0, y, 0.0)

    start = np.where(threshold > 0, cell.array(node.v_init) / divisor(threshold), 0).astype(g.float_type)
    v, total = cell.started("potential", start), cell.load("residuals")
    x = normalized(current)
    th = g.where(cell.clock.first, 1.0, msat_threshold(cell, node, v, total, x)) if node.dtt or node.det else None
    v = g.op("Add", v, x)
    if node.burst == 1:
        z = g.floating(g.op("GreaterOrEqual", v, 1.0 if th is None else th, kind=bool))
    else:
        z = clipped(g, g.op("Floor", v if th is None else g.op("Div", v, th)), 0.0, float(node.burst))
    y = z if th is None else g.op("Mul", th, z)
    v = cell.store("potential", g.op("Sub", v, y))
    cell.store("residuals", g.op("Add", total, v))
    return cell.spikes(node, y)


def softplus(g: Graph, x: str) -> str:
    """ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|)): runtimes have Softplus in float32 alone."""
    tail = g.op("Log", g.op("Add", g.op("Exp", g.op("Neg", g.op("Abs", x))), 1.0))
    return g.op("Add", g.op("Max", x, 0.0), tail)


def msat_threshold(cell: Cell, node: MsatIF, v: str, total: str, x: str) -> str:
    """sigmoid(DTT + DET), see `neurons.msat.step.msat_threshold`."""
    g = cell.g
    parts = []
    if node.dtt:
        done = g.floating(g.op("Max", g.op("Sub", cell.clock.step, 1), 1))  # the first step has no past and no use
        d = g.op("Sub", v, g.op("Div", total, done))
        soft = g.op("Mul", softplus(g, g.op("Div", d, node.k_i)), node.k_a)
        parts.append(g.op("Mul", g.op("Add", g.op("Add", g.op("Mul", d, node.alpha), node.v_t), soft), node.tau_mp))
    if node.det:
        exponent = g.op("Min", g.op("Div", g.op("Neg", x), node.c), 50.0)
        parts.append(g.op("Mul", g.op("Exp", exponent), node.tau_rd))
    return g.op("Sigmoid", parts[0] if len(parts) == 1 else g.op("Add", *parts))
