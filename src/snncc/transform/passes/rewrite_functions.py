# SPDX-License-Identifier: Apache-2.0
"""The pass `rewrite_functions`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from snncc.calibrate.statistics import Summary
from snncc.ir.masks import MASK, masks
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Foreign, Node, Operator
from snncc.ir.operators import OPERATORS, Bounds, OperatorInfo
from snncc.transform.base import Context, Fidelity, transform

#: Bounds beyond this are none: masks of the largest float stand in some graphs.
HUGE = 1e38


def properties(node: Operator | Foreign) -> OperatorInfo:
    """What is known of a function; nothing of a foreign one."""
    return OPERATORS[node.op] if isinstance(node, Operator) else OperatorInfo(continuous=False)


def cut(bounds: Bounds, domain: Bounds) -> Bounds:
    """A range cut to the domain of a function."""
    low, high = bounds
    least, most = domain
    return (
        low if least is None else least if low is None else max(low, least),
        high if most is None else most if high is None else min(high, most),
    )


def measured(ctx: Context, name: str, *, absolute: bool = False) -> Summary:
    """The statistics of a value."""
    request = ctx.request(name, "layer", absolute=absolute)
    return ctx.statistics([request])[request]


def limits(net: Network, ctx: Context, node: Operator | Foreign, i: int, widen: float) -> Bounds:
    """The range of an input: the calibrated one, wider by `widen` on both sides, cut to the domain."""
    info = properties(node)
    if i not in net.varying_positions(node) or info.homogeneous:
        return None, None
    summary = measured(ctx, node.inputs[i])
    low, high = float(summary.min.min()), float(summary.max.max())
    margin = widen * (high - low)
    widened = (low - margin if low - margin > -HUGE else None, high + margin if high + margin < HUGE else None)
    return cut(widened, info.domain[i] if i < len(info.domain) else (None, None))


def least(net: Network, ctx: Context, node: Operator | Foreign, i: int) -> float:
    """The smallest calibrated magnitude of a denominator; 0 for other inputs."""
    if i not in properties(node).nonzero or i not in net.varying_positions(node):
        return 0.0
    return float(measured(ctx, node.inputs[i], absolute=True).min.min())


@transform(fidelity=Fidelity.EXACT, needs={"pooling"}, gives={"functions"})
def rewrite_functions(
    net: Network, ctx: Context, *, widen: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.1
) -> Network:
    """Give every function without a spiking counterpart its event-driven (differential) form.

        y[t] = G[t] - G[t-1],   G[t] = D(t) f(clamp(X[t] / D(t), low, high)),   G[0] = 0

    X is the running sum of each input that carries rates, D(t) the divisor of the input schedule. The running mean of
    y is f of the running mean of its inputs. [low, high] is the calibrated range of each input, wider by `widen` of
    its width on both sides and cut to the domain of f; a denominator keeps at least its smallest calibrated magnitude.

    Options    widen, a fraction of the range
    Shapes     those of f
    Guarantee  the same function on the calibrated range
    Refuses    nothing; each node is noted as analog
    Source     arXiv:2502.21193 (expectation compensation)
    """
    found = [
        node
        for node in net.nodes
        if isinstance(node, (Operator, Foreign)) and node.name in net.varying and not net.is_linear(node)
    ]
    ctx.statistics(  # in one pass over the data
        [
            ctx.request(node.inputs[i], "layer", absolute=absolute)
            for node in found
            for i in net.varying_positions(node)
            for absolute in (False, True)
        ]
    )

    def change(node: Node) -> Node:
        if node not in found or not isinstance(node, (Operator, Foreign)):
            return node
        name = node.op if isinstance(node, Operator) else node.operator
        ctx.note("analog", node.name, f"{name} is computed on running means")
        if isinstance(node, Operator) and not OPERATORS[node.op].continuous:
            ctx.note("information", node.name, f"{name} is discontinuous: judge it by agreement, not by its error")
        ranges = [limits(net, ctx, node, i, widen) for i in range(len(node.inputs))]
        return Differential(
            name=node.name,
            inputs=node.inputs,
            shape=node.shape,
            batch=node.batch,
            function=node,
            low=tuple(low for low, _ in ranges),
            high=tuple(high for _, high in ranges),
            nonzero=tuple(least(net, ctx, node, i) for i in range(len(node.inputs))),
        )

    for name in masks(net) if found else ():
        ctx.note("information", name, f"its infinities stand as {MASK:g}, so that they can be summed over time")
    return net.rewrite(change)
