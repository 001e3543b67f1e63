# SPDX-License-Identifier: Apache-2.0
"""The pass `select_adaptive_neuron`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from snncc.ir.network import Network
from snncc.ir.nodes import AdaptiveIF
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.changing_thresholds import BESIDE, replaced_activations


@transform(fidelity=Fidelity.EMPIRICAL, needs={"pooling", "functions"}, gives={"neurons"})
def select_adaptive_neuron(
    net: Network,
    ctx: Context,
    *,
    eta: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.7,
    adapt: bool = True,
    rule: Literal["running_max", "alg2"] = "running_max",
    subtract: Literal["vmax", "vcur", "graded"] = "vmax",
    scope: Literal["sample", "batch"] = "sample",
) -> Network:
    """Replace every activation by a neuron that fires at c threshold, c following the layer's largest current.

        m = max_i x_i / threshold_i;   c = eta at the start, then min(1, max(c, m))
        u += x;   s = [u >= c threshold];   u -= s threshold;   y = s threshold

    Fires early and subtracts the full quantum, so that the charge stays exact (subtract = vmax). `vcur` subtracts
    c threshold and still emits threshold, as the paper's text has it; this scales each layer's gain by 1 / c.
    `graded` subtracts and emits c threshold.

    Options    eta; adapt = false keeps c = eta; rule = running_max | alg2 (c = m where eta < m < 1, as algorithm 2
               prints it); subtract = vmax | vcur | graded; scope = sample | batch (as the authors' code has it: the
               result then depends on what else is in the batch)
    Shapes     those of the activation; c: one number per sample
    Guarantee  measured
    Refuses    leaky activations
    Source     https://github.com/RPDS2020/Adaptively-adjusted-threshold-for-SCNN (Chen 2022)
    """
    ctx.note("information", net.outputs[0], f"adaptive threshold: {BESIDE}")
    return replaced_activations(
        net,
        "select_adaptive_neuron",
        lambda common: AdaptiveIF(**common, eta=eta, adapt=adapt, rule=rule, subtract=subtract, scope=scope),
    )
