# SPDX-License-Identifier: Apache-2.0
"""The passes `balance_thresholds` and `initialize_membrane`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import IF, Clip, LeakyIF, MultiThreshold, Neuron
from snncc.transform.base import Context, Fidelity, Granularity, transform

Percentile = Annotated[float, msgspec.Meta(gt=0, le=100)]


def neurons(net: Network) -> list[Neuron]:
    """The neurons of a network."""
    return [node for node in net.nodes if isinstance(node, Neuron)]


def levels_of(node: Neuron) -> int:
    """How many spikes the neuron may emit in one step."""
    return 1 if isinstance(node, IF) else getattr(node, "levels", 1)


def with_thresholds(net: Network, ctx: Context, levels: Mapping[str, Array]) -> Network:
    """The network whose neurons have threshold = amplitude = level / (spikes in one step), capped where Clip is."""
    arrays: dict[str, Array] = {}
    changed: list[Neuron] = []
    for node in neurons(net):
        level, original = levels[node.name], ctx.ann.by_name.get(node.name)
        if isinstance(original, Clip) and original.high is not None:
            level = np.minimum(level, original.high)
        threshold = np.maximum(level, 0).astype(np.float32) / np.float32(levels_of(node))
        if dead := int(np.count_nonzero(threshold == 0)):
            ctx.note("information", node.name, f"{dead} of {threshold.size} thresholds are 0: never active, never fire")
        name = f"{node.name}/threshold"
        arrays[name] = threshold
        changed.append(msgspec.structs.replace(node, threshold=name, amplitude=name))
    return net.replaced(changed, arrays)


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
    histogram = percentile < 100
    wanted = {}
    for node in neurons(net):
        two_sided = isinstance(node, LeakyIF | MultiThreshold)
        name = node.inputs[0] if two_sided else node.name
        wanted[node.name] = ctx.request(name, granularity, histogram=histogram, absolute=two_sided)
    if histogram and wanted:
        text = f"thresholds at the {percentile:g}th percentile: larger activations saturate at one spike per step"
        ctx.note("approximation", net.outputs[0], text)
    summaries = ctx.statistics(wanted.values())
    levels: dict[str, Array] = {}
    for node in neurons(net):
        summary = summaries[wanted[node.name]]
        level = summary.percentile(percentile, nonzero=nonzero) if histogram else summary.max
        levels[node.name] = ctx.shaped(level, node)
    return with_thresholds(net, ctx, levels)


@transform(fidelity=Fidelity.EMPIRICAL, needs={"thresholds"}, gives={"membrane"})
def initialize_membrane(
    net: Network, ctx: Context, *, fraction: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
) -> Network:
    """Set the membrane potential before the first step.

        v_init = fraction * threshold

    One half minimises the expected squared error of counting for residuals that are uniform in [0, threshold).
    Multi-threshold neurons, which round to the nearest size, start at 0.

    Options    fraction, 0 <= fraction < 1
    Shapes     those of the thresholds
    Guarantee  measured
    Refuses    nothing
    Source     arXiv:2202.01440
    """
    arrays: dict[str, Array] = {}
    changed: list[Neuron] = []
    for node in neurons(net):
        if isinstance(node, MultiThreshold):  # it rounds to the nearest size of either sign
            continue
        arrays[f"{node.name}/v_init"] = net.arrays[node.threshold] * np.float32(fraction)
        changed.append(msgspec.structs.replace(node, v_init=f"{node.name}/v_init"))
    return net.replaced(changed, arrays)
