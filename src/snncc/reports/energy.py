# SPDX-License-Identifier: Apache-2.0
"""What a sample costs by published models, always beside a quantised ANN of the same activation precision.

The models count operations; none was measured on hardware. The papers' own stand in `snncc.simulation.metrics`; here
are two in integers, which have the rival. Their constants are for a 45 nm process, from Horowitz 2014
(doi:10.1109/ISSCC.2014.6757323): 32-bit addition 0.1 pJ and multiplication 3.1 pJ; 64 bits from a 32 KiB cache 20 pJ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from snncc.ir.analysis import multiply_accumulates, tail
from snncc.ir.classes import carried, event_products
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Neuron, Spiking
from snncc.reports.document import Energy, EnergyModel, rounded
from snncc.simulation.run import Simulation

INTEGER_ADD, INTEGER_MULTIPLY = 0.1, 3.1
PER_BIT = 20 / 64
WEIGHT_BITS, POTENTIAL_BITS = 8, 32
HOROWITZ = "doi:10.1109/ISSCC.2014.6757323"
FAIR = "arXiv:2409.08290"


def equivalent_bits(timesteps: int) -> int:
    """The precision of activations that T steps of one spike can say: ceil(log2(T + 1))."""
    return max(1, math.ceil(math.log2(timesteps + 1)))


def product(bits: int, others: int) -> float:
    """The energy of an integer product of two widths in pJ: an array multiplier has one cell per pair of bits.

    3.1 pJ (32 bits) · a b / 32²; at 8 x 8 bits this gives 0.19 pJ, and Horowitz's table says 0.2.
    """
    return INTEGER_MULTIPLY * bits * others / 32**2


def dense_operations(net: Network, timesteps: int) -> float:
    """Multiply-accumulates per sample that no event drives.

    What no spike reaches is the same at every step and computed once. Functions of means, and weighted nodes behind
    weighted nodes, are computed at every step, or once where no neuron follows; products of events are driven by them.
    """
    edges, end, products, total = carried(net), tail(net), event_products(net), 0.0
    driven: set[str] = set()
    for node in net.nodes:
        if isinstance(node, Spiking) or not driven.isdisjoint(node.inputs):
            driven.add(node.name)
        count = multiply_accumulates(net, node)
        if not count:
            continue
        kinds: frozenset[str] = frozenset().union(*[edges[name] for name in node.inputs])
        if node.name not in driven:
            total += count
        elif node.name in products:
            continue
        elif isinstance(node, Differential) or "graded" in kinds:
            total += count if node.name in end else count * timesteps
    return total


def energy(net: Network, simulation: Simulation) -> Energy:
    """The operations of a simulation and the models."""
    steps, macs = simulation.timesteps, simulation.multiply_accumulates
    bits = equivalent_bits(steps)
    graded = simulation.graded_operations
    additions, dense = simulation.synaptic_operations - graded, dense_operations(net, steps)
    neurons = sum(math.prod(node.shape) for node in net.nodes if isinstance(node, Neuron))
    updates = float(neurons * steps)
    full = product(WEIGHT_BITS, WEIGHT_BITS) + INTEGER_ADD
    low = product(bits, WEIGHT_BITS) + INTEGER_ADD
    event = WEIGHT_BITS + 2 * POTENTIAL_BITS
    moved_snn = (additions + graded) * event + updates * 2 * POTENTIAL_BITS + dense * 2 * WEIGHT_BITS
    moved_ann, moved_low = macs * 2 * WEIGHT_BITS, macs * (WEIGHT_BITS + bits)
    counts = {"additions": additions, "graded": graded, "dense": dense, "macs": float(macs)}
    papers = [
        model(m.model, m.formula, m.source, m.unit, snn=m.snn, ann=m.ann, quantised=None) for m in simulation.energy
    ]
    models = (
        *papers,
        model(
            "memory traffic",
            "an event reads a weight (8 bits) and reads and writes a potential (32 bits), a neuron reads and writes "
            "its potential at every step; a multiply-accumulate reads a weight and an activation, its sum stays in a "
            "register",
            FAIR,
            "bit",
            snn=moved_snn,
            ann=moved_ann,
            quantised=moved_low,
        ),
        model(
            "integer",
            f"8-bit weights; addition 0.1 pJ, product 3.1 pJ · a · b / 32² for a and b bits; the ANN with 8 bits, the "
            f"quantised ANN with ceil(log2(T + 1)) = {bits} bits",
            f"{HOROWITZ}; {FAIR}",
            "pJ",
            snn=additions * INTEGER_ADD + (graded + dense) * full,
            ann=macs * full,
            quantised=macs * low,
        ),
        model(
            "integer and memory",
            "integer, and 20 pJ per 64 bits of memory traffic",
            f"{HOROWITZ}; {FAIR}",
            "pJ",
            snn=additions * INTEGER_ADD + (graded + dense) * full + moved_snn * PER_BIT,
            ann=macs * full + moved_ann * PER_BIT,
            quantised=macs * low + moved_low * PER_BIT,
        ),
    )
    return Energy(
        timesteps=steps,
        bits=bits,
        multiply_accumulates=macs,
        additions=number(counts, "additions"),
        graded=number(counts, "graded"),
        dense=number(counts, "dense"),
        updates=updates,
        models=models,
    )


def number(counts: Mapping[str, float], name: str) -> float:
    """A count as the report keeps it."""
    return rounded(counts[name]) or 0.0


def model(
    name: str, formula: str, source: str, unit: str, *, snn: float, ann: float, quantised: float | None
) -> EnergyModel:
    """A model with its numbers rounded."""
    return EnergyModel(
        name=name,
        formula=formula,
        source=source,
        unit=unit,
        snn=rounded(snn) or 0.0,
        ann=rounded(ann) or 0.0,
        quantised=None if quantised is None else rounded(quantised),
    )
