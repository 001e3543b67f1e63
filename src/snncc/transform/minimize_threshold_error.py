# SPDX-License-Identifier: Apache-2.0
"""The pass `minimize_threshold_error`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from snncc.calibrate.threshold_error import best_factors
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Clip, LeakyIF
from snncc.transform.base import Context, Fidelity, Granularity, transform
from snncc.transform.thresholds import levels_of, neurons, with_thresholds


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"thresholds"}, uses_timesteps=True)
def minimize_threshold_error(
    net: Network,
    ctx: Context,
    *,
    granularity: Granularity = "channel",
    points: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 24,
    smallest: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.06,
) -> Network:
    """Set each threshold to the one whose rates of T steps are nearest to the ANN's activations.

        threshold = amplitude = argmin_f E (a - clip(floor(a T/th + 1/2), 0, m T) th/T)^2,  th = f max(a) / m

    T is the design T, m the spikes that the neuron may emit in one step. Small thresholds resolve small activations
    and cut off large ones; the best f falls with T. Leaky neurons take the magnitude of the pre-activation. A
    saturating activation Clip(0, high) caps max(a) at high.

    Options    granularity = layer | channel | neuron; points f evenly spaced from `smallest` to 1
    Shapes     threshold: (1, ...), extent 1 where one value is shared
    Guarantee  measured; two passes over the calibration samples, memory `points` numbers per threshold
    Refuses    nothing; neurons that were never active get threshold 0 and never fire (noted)
    Source     arXiv:2106.06984
    """
    wanted = {}
    for node in neurons(net):
        leaky = isinstance(node, LeakyIF)
        wanted[node.name] = ctx.request(node.inputs[0] if leaky else node.name, granularity, absolute=leaky)
    summaries = ctx.statistics(wanted.values())
    levels: dict[str, Array] = {}
    for node in neurons(net):
        level, original = np.maximum(summaries[wanted[node.name]].max, 0), ctx.ann[node.name]
        if isinstance(original, Clip) and original.high is not None:
            level = np.minimum(level, original.high)
        levels[node.name] = level
    total = len(ctx.calibration)
    factors = best_factors(
        ctx.values,
        ctx.calibration.batches(ctx.batch_size),
        {wanted[n.name]: (levels[n.name], ctx.timesteps * levels_of(n)) for n in neurons(net)},
        np.linspace(1.0, smallest, points).tolist(),
        progress=lambda done: ctx.progress("minimizing the error of rates", done, total),
    )
    best = {n.name: ctx.shaped(factors[wanted[n.name]] * levels[n.name], n) for n in neurons(net)}
    return with_thresholds(net, ctx, best)
