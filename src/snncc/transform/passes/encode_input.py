# SPDX-License-Identifier: Apache-2.0
"""The passes `encode_poisson` and `encode_uniform`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Encoder, Node
from snncc.neurons.random import stream_key
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.passes.balance_thresholds import Percentile


def encoded(net: Network, ctx: Context, kind: Literal["poisson", "uniform"], percentile: float, **more: Any) -> Network:
    """An encoder behind every input that carries rates, scaled to its magnitude."""
    inputs = [node for node in net.inputs if node.name in net.varying]
    requests = {n.name: ctx.request(n.name, "layer", histogram=percentile < 100, absolute=True) for n in inputs}
    summaries = ctx.statistics(requests.values())
    arrays: dict[str, Array] = {}
    spikes = {name: f"{name}.spikes" for name in requests}

    def change(node: Node) -> Node | list[Node]:
        if node.name not in spikes:
            renamed = tuple(spikes.get(name, name) for name in node.inputs)
            return node if renamed == node.inputs else msgspec.structs.replace(node, inputs=renamed)
        summary, name = summaries[requests[node.name]], spikes[node.name]
        scale = summary.percentile(percentile) if percentile < 100 else summary.max
        ctx.note("approximation", node.name, f"given as {kind} spikes; magnitudes above {percentile:g} % saturate")
        arrays[f"{name}/scale"] = np.asarray(scale.max(), np.float32)
        fields: dict[str, Any] = {"name": name, "inputs": (node.name,), "shape": node.shape, "batch": node.batch}
        return [node, Encoder(**fields, kind=kind, scale=f"{name}/scale", key=stream_key(ctx.seed, name), **more)]

    return net.rewrite(change, arrays, outputs=tuple(spikes.get(name, name) for name in net.outputs))


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"encoding"})
def encode_poisson(net: Network, ctx: Context, *, percentile: Percentile = 100.0) -> Network:
    """Give the input as random spikes instead of as a constant current.

        y[t] = scale sign(x) [r < |x| / scale],   r uniform in [0, 1),   scale = percentile(|x|)

    The mean of y is x for |x| <= scale, with a deviation that falls as 1 / sqrt(T). The random numbers depend on the
    seed, the sample, the entry and the step alone.

    Options    percentile of the input's magnitude over the calibration samples
    Shapes     those of the input
    Guarantee  measured
    Refuses    nothing
    Source     doi:10.1109/IJCNN.2015.7280696
    """
    return encoded(net, ctx, "poisson", percentile)


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"encoding"})
def encode_uniform(
    net: Network,
    ctx: Context,
    *,
    percentile: Percentile = 100.0,
    phase: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5,
) -> Network:
    """Give the input as spikes at fixed intervals instead of as a constant current.

        y[t] = scale sign(x) (floor(t p + phase) - floor((t-1) p + phase)),   p = |x| / scale, at most 1

    The sum of y up to t is t x to within one spike (half a spike for phase = 1/2).

    Options    percentile of the input's magnitude over the calibration samples; phase
    Shapes     those of the input
    Guarantee  measured
    Refuses    nothing
    Source     doi:10.1109/IJCNN.2015.7280696 (rates), with even intervals
    """
    return encoded(net, ctx, "uniform", percentile, phase=phase)
