# SPDX-License-Identifier: Apache-2.0
"""The pass `fire_outputs`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from snncc.errors import RecipeError
from snncc.ir.network import Network
from snncc.ir.nodes import MsatIF, Neuron, Node
from snncc.neurons.random import stream_key
from snncc.transform.base import Context, Fidelity, transform


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"firing"})
def fire_outputs(net: Network, ctx: Context, *, readout: Literal["spikes", "membrane"] = "spikes") -> Network:
    """Let the outputs fire: each gets the neuron that the last layer has, and is read as its mean spike value.

    readout = membrane leaves them as they are: the last layer accumulates its current and never fires. The pass stands
    before the one that sets thresholds, which calibrates the new neurons on the ANN's outputs. Negative outputs never
    leave; with one threshold for the layer the largest output is the one with the most spikes (spike count).

    Options    readout = spikes | membrane
    Shapes     those of the outputs
    Guarantee  measured
    Refuses    outputs behind functions on running means (a Softmax, say), outputs that other nodes read, networks
               without neurons or whose last neuron is leaky
    Source     doi:10.3389/fnins.2022.918793 (firing output layer)
    """
    if readout == "membrane":
        return net
    neurons = [node for node in net.nodes if isinstance(node, Neuron)]
    if not neurons or neurons[-1].TWO_SIDED:
        raise RecipeError("fire_outputs: there is no neuron to copy for the outputs", cure="leave fire_outputs out")
    if net.arrays[neurons[-1].threshold].ndim:
        raise RecipeError("fire_outputs: thresholds are set already", cure="put it before the pass that sets them")

    def change(node: Node) -> Node | list[Node]:
        if node.name not in net.outputs or isinstance(node, Neuron) or node.name not in net.varying:
            return node
        if not net.is_linear(node) or net.consumers[node.name]:
            raise RecipeError(
                f"fire_outputs: {node.name} is {'read by other nodes' if net.is_linear(node) else 'not linear'}",
                cure="leave fire_outputs out, or export the model with its logits as output",
            )
        ctx.note("approximation", node.name, "read as the mean of its spikes: negative values never leave")
        current = msgspec.structs.replace(node, name=f"{node.name}.current")
        place: dict[str, Any] = {"name": node.name, "inputs": (current.name,), "shape": node.shape, "batch": node.batch}
        if isinstance(neurons[-1], MsatIF):
            place["key"] = stream_key(ctx.seed, node.name)
        return [current, msgspec.structs.replace(neurons[-1], **place)]

    return net.rewrite(change)
