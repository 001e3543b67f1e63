# SPDX-License-Identifier: Apache-2.0
"""The pass `minimize_threshold_error`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np

from snncc.calibrate.threshold_error import Search, best_factors, resting_count
from snncc.ir.network import Array, Network
from snncc.ir.nodes import CentredIF, Clip, Neuron, Node, SignedIF
from snncc.transform.base import Context, Fidelity, Granularity, transform
from snncc.transform.thresholds import activation_requests, capped, neurons, with_thresholds


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"thresholds"}, uses_timesteps=True)
def minimize_threshold_error(
    net: Network,
    ctx: Context,
    *,
    granularity: Granularity = "channel",
    points: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 24,
    smallest: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.06,
    centre: Annotated[float, msgspec.Meta(ge=0, le=1024)] = 0.0,
) -> Network:
    """Set each threshold to the one whose rates of T steps are nearest to the ANN's activations.

        threshold = amplitude = argmin_f E (a - clip(floor(a T/th + 1/2), 0, m T) th/T)^2,  th = f max(a) / m

    T is the design T, m the spikes that the neuron may emit in one step. Small thresholds resolve small activations
    and cut off large ones; the best f falls with T. Leaky neurons take the magnitude of the pre-activation. A
    saturating activation Clip(0, high) caps max(a) at high.

    With `centre` c > 0 (in steps, at most T), early signed neurons start as if they had fired at their mean rate for c
    steps, at the count k = round(c E[a]/th): k th/T flows per step as a constant for the T steps of the design, spikes
    code the deviation from it, and the clip above is at max(k - m T, 0) and k + m T: up to twice the levels for the
    same T. Saturating and leaky neurons are not centred.

    Calibration samples out of all proportion are left out (noted).

    Options    granularity = layer | channel | neuron; points f evenly spaced from `smallest` to 1; centre
    Shapes     threshold: (1, ...), extent 1 where one value is shared
    Guarantee  measured; two passes over the calibration samples, memory `points` numbers per threshold
    Refuses    nothing; neurons that were never active get threshold 0 and never fire (noted)
    Source     arXiv:2106.06984; centring is this project's own
    """
    wanted = activation_requests(net, ctx, granularity)
    ctx.statistics(wanted.values())  # of all samples, from which `typical` knows each one's power
    ctx = ctx.typical([node.name for node in neurons(net) if node.name in ctx.ann.by_name])
    summaries = ctx.statistics(wanted.values())
    levels = {name: capped(np.maximum(summaries[r].max, 0), ctx, name) for name, r in wanted.items()}
    centred = [n for n in neurons(net) if centre and isinstance(n, SignedIF) and can_rest(n, ctx.ann[n.name])]
    share = min(centre / ctx.timesteps, 1.0)
    means = {n.name: share * np.maximum(summaries[wanted[n.name]].mean, 0) for n in centred}
    counts = {n.name: ctx.timesteps * n.resolution for n in neurons(net)}
    total = len(ctx.calibration)
    factors = best_factors(
        ctx.values,
        ctx.calibration.batches(ctx.batch_size),
        {r: Search(level=levels[name], counts=counts[name], mean=means.get(name)) for name, r in wanted.items()},
        np.linspace(1.0, smallest, points).tolist(),
        progress=lambda done: ctx.progress("minimizing the error of rates", done, total),
    )
    best = {name: factors[r] * levels[name] for name, r in wanted.items()}
    rests = {n.name: ctx.shaped(resting_count(means[n.name], best[n.name], counts[n.name]), n) for n in centred}
    net = with_thresholds(net, ctx, {n.name: ctx.shaped(best[n.name], n) for n in neurons(net)})
    return with_rests(net, rests, ctx.timesteps)


def can_rest(node: SignedIF, original: Node) -> bool:
    """Whether a neuron may be centred: its count is free, and one value per step is the whole of its output."""
    return node.negative == "early" and node.cap is None and not isinstance(original, Clip)


def with_rests(net: Network, rests: Mapping[str, Array], timesteps: int) -> Network:
    """The network whose neurons named in `rests` rest at these counts."""
    arrays = {f"{name}/centre": centre.astype(np.float32) for name, centre in rests.items()}

    def change(node: Node) -> Node:
        if node.name not in rests or not isinstance(node, SignedIF):
            return node
        fields = {f: getattr(node, f) for f in ("name", "inputs", "shape", "batch", "dtype", *Neuron.ARRAYS, "levels")}
        return CentredIF(**fields, centre=f"{node.name}/centre", until=timesteps)

    return net.rewrite(change, arrays)
