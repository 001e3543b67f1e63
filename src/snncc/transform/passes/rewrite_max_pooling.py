# SPDX-License-Identifier: Apache-2.0
"""The pass `rewrite_max_pooling`."""

from __future__ import annotations

from typing import Literal

from snncc.ir.network import Network
from snncc.ir.nodes import AveragePool, Differential, MaxPool, Node
from snncc.transform.base import Context, Fidelity, transform


@transform(fidelity=Fidelity.EXACT, gives={"pooling"})
def rewrite_max_pooling(net: Network, ctx: Context, *, to: Literal["event", "average"] = "event") -> Network:
    """Replace max pooling of rates by its event-driven form (or, on request, by average pooling).

        y[t] = max(Z[t]) - max(Z[t-1]),   Z[t] = sum of the values received up to t, per input of the window

    The sum of y is at every step the maximum of the accumulated values, so its rate is the maximum of the rates. It
    acts on values, not on spike counts: with a threshold per neuron counts would pick a wrong winner.

    Options    to = event (exact) | average (an approximation, noted for each node)
    Shapes     those of the pool
    Guarantee  exact for `event`; `average` changes the function
    Refuses    nothing
    Source     doi:10.3389/fnins.2022.918793 (algorithm 2); arXiv:2204.13271 (LIPool)
    """

    def change(node: Node) -> Node:
        if not isinstance(node, MaxPool) or node.name not in net.varying:
            return node
        if to == "average":
            ctx.fidelity = Fidelity.EMPIRICAL
            ctx.note("approximation", node.name, "max pooling replaced by average pooling, as asked")
            return AveragePool(
                name=node.name,
                inputs=node.inputs,
                shape=node.shape,
                batch=node.batch,
                kernel=node.kernel,
                stride=node.stride,
                padding=node.padding,
                dilation=node.dilation,
                ceil_mode=node.ceil_mode,
                count_include_pad=False,
            )
        return Differential(
            name=node.name,
            inputs=node.inputs,
            shape=node.shape,
            batch=node.batch,
            function=node,
            low=(None,),
            high=(None,),
            nonzero=(0.0,),
        )

    return net.rewrite(change)
