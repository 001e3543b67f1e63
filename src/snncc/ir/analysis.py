# SPDX-License-Identifier: Apache-2.0
"""Facts about a network that more than one executor or report needs."""

from __future__ import annotations

import math

from snncc.ir.network import Network
from snncc.ir.nodes import Conv, ConvTranspose, Differential, Linear, Node, Operator, Spiking

#: Operators whose products with their own state stay inside them.
RECURRENT = ("lstm", "gru", "rnn")


def tail(network: Network) -> frozenset[str]:
    """The values that carry rates and from which no neuron is reached: they can be computed on sums over time."""
    feeds_neuron: set[str] = set()
    for node in reversed(network.nodes):
        if isinstance(node, Spiking) or node.name in feeds_neuron:
            feeds_neuron.update(node.inputs)
            if isinstance(node, Spiking):
                feeds_neuron.add(node.name)
    return frozenset(n.name for n in network.nodes if n.name in network.varying and n.name not in feeds_neuron)


def emitters(network: Network) -> frozenset[str]:
    """What sends events: neurons, encoders, and functions that a spike reaches and from which a neuron is reached.

    A function of what is the same at every step, and one behind the last neuron, is computed once.
    """
    driven: set[str] = set()
    for node in network.nodes:
        if node.name in network.varying and (isinstance(node, Spiking) or not driven.isdisjoint(node.inputs)):
            driven.add(node.name)
    once = tail(network) | (network.by_name.keys() - driven)
    return frozenset(
        n.name
        for n in network.nodes
        if n.name in network.varying
        and (isinstance(n, Spiking) or (isinstance(n, Differential) and n.name not in once))
    )


def last_use(network: Network) -> dict[str, tuple[str, ...]]:
    """The values that nothing reads after each node."""
    last: dict[str, str] = {}
    for node in network.nodes:
        for name in node.inputs:
            last[name] = node.name
    ends: dict[str, list[str]] = {}
    for value, node_name in last.items():
        if value not in network.outputs:
            ends.setdefault(node_name, []).append(value)
    return {name: tuple(values) for name, values in ends.items()}


def peak_features(network: Network) -> int:
    """The largest number of entries per sample that are alive at once."""
    ends, alive, peak = last_use(network), 0, 1
    for node in network.nodes:
        alive += math.prod(node.shape)
        peak = max(peak, alive)
        alive -= sum(math.prod(network[name].shape) for name in ends.get(node.name, ()))
    return peak


def multiply_accumulates(network: Network, node: Node) -> int:
    """Multiply-accumulates of one evaluation of a node (or of its function) for one sample; 0 where there are none."""
    if isinstance(node, Differential):
        node = node.function
    if isinstance(node, Conv):
        return math.prod(node.shape) * math.prod(network.arrays[node.weight].shape[1:])
    if isinstance(node, ConvTranspose):
        return math.prod(network[node.inputs[0]].shape) * math.prod(network.arrays[node.weight].shape[1:])
    if isinstance(node, Linear):
        return math.prod(node.shape) * int(network.arrays[node.weight].shape[1])
    if isinstance(node, Operator) and node.op == "matmul":
        return math.prod(node.shape) * network[node.inputs[0]].shape[-1]
    if isinstance(node, Operator) and node.op == "einsum":
        return einsum_products(network, node)
    if isinstance(node, Operator) and node.op in RECURRENT:  # gates (steps, samples, rows), recurrence (..., hidden)
        if network.consumers[node.inputs[0]][0].name != node.name:
            return 0  # another output of the same layer
        return math.prod(network[node.inputs[0]].shape) * network[node.inputs[1]].shape[-1]
    return 0


def einsum_products(network: Network, node: Operator) -> int:
    """The number of terms that an Einsum of two or more operands sums."""
    terms = str(node.attributes["equation"]).split("->")[0].split(",")
    extents = {
        letter: extent
        for term, name in zip(terms, node.inputs, strict=True)
        for letter, extent in zip(term, network[name].shape, strict=True)
    }
    return math.prod(extents.values()) if len(terms) > 1 else 0
