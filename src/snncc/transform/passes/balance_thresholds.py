# SPDX-License-Identifier: Apache-2.0
"""The pass `balance_thresholds`."""

from __future__ import annotations

from typing import Literal

from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, Granularity, Percentile, transform
from snncc.transform.thresholds import neurons, with_thresholds


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"thresholds"})
def balance_thresholds(
    net: Network,
    ctx: Context,
    *,
    granularity: Granularity = "layer",
    reduce: Literal["percentile", "max"] = "percentile",
    percentile: Percentile = 99.9,
    nonzero: bool = False,
) -> Network:
    """Set each threshold to a percentile of the ANN's activation over the calibration samples.

        threshold = amplitude = percentile(a, p) / levels;   p = 100 is the maximum

    A saturating activation Clip(0, high) caps it at high. Two-sided neurons take the magnitude of the pre-activation.
    The reported percentile is within 1 % of the exact one (p = 100 is exact).

    Options    granularity = layer | channel | neuron; reduce = percentile | max (p = 100); percentile; nonzero =
               true leaves zeros out of the percentile
    Shapes     threshold: (1, ...), extent 1 where one value is shared
    Guarantee  measured
    Refuses    nothing; neurons that were never active get threshold 0 and never fire (noted)
    Source     doi:10.3389/fnins.2017.00682 (percentile), doi:10.1109/IJCNN.2015.7280696 (maximum)
    """
    percentile = 100.0 if reduce == "max" else percentile
    two_sided = {node.name for node in neurons(net) if node.TWO_SIDED}
    values = {node.name: node.inputs[0] if node.name in two_sided else node.name for node in neurons(net)}
    if percentile < 100 and values:
        text = f"thresholds at the {percentile:g}th percentile: larger activations saturate at one spike per step"
        ctx.note("approximation", net.outputs[0], text)
    levels = ctx.levels(values, percentile, granularity, absolute=two_sided, nonzero=nonzero)
    return with_thresholds(net, ctx, levels)
