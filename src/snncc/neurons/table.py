# SPDX-License-Identifier: Apache-2.0
"""Every neuron of snncc, and how it computes in each language."""

from __future__ import annotations

from collections.abc import Mapping

from snncc.neurons.adaptive_if import cell as adaptive_cell
from snncc.neurons.adaptive_if import scan as adaptive_scan
from snncc.neurons.adaptive_if import step as adaptive_step
from snncc.neurons.adaptive_if.node import AdaptiveIF
from snncc.neurons.integrate_and_fire import cell as if_cell
from snncc.neurons.integrate_and_fire import scan as if_scan
from snncc.neurons.integrate_and_fire import step as if_step
from snncc.neurons.integrate_and_fire.node import IF
from snncc.neurons.leaky_if import cell as leaky_cell
from snncc.neurons.leaky_if import scan as leaky_scan
from snncc.neurons.leaky_if import step as leaky_step
from snncc.neurons.leaky_if.node import LeakyIF
from snncc.neurons.msat import cell as msat_cell
from snncc.neurons.msat import scan as msat_scan
from snncc.neurons.msat import step as msat_step
from snncc.neurons.msat.node import MsatIF
from snncc.neurons.multi_threshold import cell as multi_cell
from snncc.neurons.multi_threshold import scan as multi_scan
from snncc.neurons.multi_threshold import step as multi_step
from snncc.neurons.multi_threshold.node import MultiThreshold
from snncc.neurons.node import Definition, Neuron
from snncc.neurons.signed_if import cell as signed_cell
from snncc.neurons.signed_if import scan as signed_scan
from snncc.neurons.signed_if import step as signed_step
from snncc.neurons.signed_if.node import CentredIF, SignedIF

TABLE: Mapping[type[Neuron], Definition] = {
    IF: Definition(step=if_step.step, scan=if_scan.if_scan, cell=if_cell.if_cell),
    SignedIF: Definition(step=signed_step.step, scan=signed_scan.signed_if_scan, cell=signed_cell.signed_if_cell),
    CentredIF: Definition(
        step=signed_step.centred_step, scan=signed_scan.centred_if_scan, cell=signed_cell.centred_if_cell
    ),
    LeakyIF: Definition(step=leaky_step.step, scan=leaky_scan.leaky_if_scan, cell=leaky_cell.leaky_if_cell),
    AdaptiveIF: Definition(
        step=adaptive_step.step, scan=adaptive_scan.adaptive_if_scan, cell=adaptive_cell.adaptive_if_cell
    ),
    MsatIF: Definition(step=msat_step.step, scan=msat_scan.msat_scan, cell=msat_cell.msat_cell),
    MultiThreshold: Definition(
        step=multi_step.step, scan=multi_scan.multi_threshold_scan, cell=multi_cell.multi_threshold_cell
    ),
}


def definition(neuron: Neuron) -> Definition:
    """How a neuron computes: from the table, or from its own class. Raises TypeError where neither says it."""
    found = TABLE.get(type(neuron)) or type(neuron).DEFINITION
    if found is None:
        raise TypeError(f"{type(neuron).__name__} {neuron.name} has no DEFINITION (see snncc.neurons.node)")
    return found
