# SPDX-License-Identifier: Apache-2.0
"""What is spiking and what is not: the class of every node, and what its inputs carry."""

from __future__ import annotations

import math
from collections.abc import Mapping

from snncc.ir.analysis import RECURRENT, multiply_accumulates, tail
from snncc.ir.network import Network
from snncc.ir.nodes import ACTIVATIONS, Differential, Input, MaxPool, Neuron, Node, Operator, Spiking

#: Classes of nodes: neurons and event pooling; linear; functions on running means; evaluated by onnxruntime; static.
CLASSES = ("spiking", "linear", "differential", "foreign", "static")
#: What reaches a weighted node: spikes, currents of other weighted nodes, functions' changes, the input itself.
CARRIED = ("spikes", "graded", "analog", "input", "static")


def node_class(net: Network, node: Node) -> str:
    """The class of a node, in either stage (an activation counts as the neuron that it becomes)."""
    if node.name not in net.varying:
        return "static"
    if isinstance(node, (Spiking, *ACTIVATIONS, MaxPool)):
        return "spiking"
    inner = node.function if isinstance(node, Differential) else node
    if isinstance(inner, MaxPool):
        return "spiking"
    if type(inner).__name__ == "Foreign":
        return "foreign"
    if isinstance(node, Input) or net.is_linear(node):
        return "linear"
    return "differential"


def carried(net: Network) -> Mapping[str, frozenset[str]]:
    """What each value carries: routes (pools, sums, reshapes) pass on what they get, weighted nodes make currents."""
    found: dict[str, frozenset[str]] = {}
    for node in net.nodes:
        kind = node_class(net, node)
        if kind == "static":
            found[node.name] = frozenset({"static"})
        elif isinstance(node, Input):
            found[node.name] = frozenset({"input"})
        elif kind == "spiking":
            found[node.name] = frozenset({"spikes"})
        elif kind in ("differential", "foreign"):
            found[node.name] = frozenset({"analog"})
        elif multiply_accumulates(net, node):
            found[node.name] = frozenset({"graded"})
        else:
            sources = [found[name] for name in node.inputs if name in net.varying]
            found[node.name] = frozenset().union(*sources)
    return found


def carries_values(net: Network, node: Node) -> bool:
    """Whether a source of events emits other values than its spikes' amplitude, so that each is a multiplication."""
    if isinstance(node, Neuron):
        return node.graded
    if not (isinstance(node, Differential) and isinstance(node.function, MaxPool)):
        return node_class(net, node) != "spiking"
    source = net[node.inputs[0]]
    while not isinstance(source, Neuron) and source.inputs:
        source = net[source.inputs[0]]
    # The winner of a window passes on differences of values; with one amplitude in the window they are spikes.
    return not isinstance(source, Neuron) or source.graded or math.prod(net.arrays[source.amplitude].shape[2:]) > 1


def operations(net: Network) -> dict[str, int]:
    """Multiply-accumulates of one ANN evaluation by what feeds them; mixed sources count as the least spiking one.

    The weights of an analog tail count as one multiply-accumulate each: how often they are used depends on data.
    """
    edges, total = carried(net), dict.fromkeys(CARRIED, 0)
    order = ("analog", "graded", "input", "spikes", "static")
    for node in net.nodes:
        inner = node.function if isinstance(node, Differential) else node
        if not (count := multiply_accumulates(net, node)):
            continue
        kinds = frozenset().union(*[edges[name] for name in node.inputs])
        if isinstance(inner, Operator) and inner.op in RECURRENT and node.name in net.varying:
            kinds = frozenset({"analog"})  # whatever comes in, the products are with its own state
        total[next(kind for kind in order if kind in kinds)] += count
    if net.analog_tail is not None:
        total["analog"] += net.analog_tail.weights
    return total


def event_products(net: Network) -> frozenset[str]:
    """Matrix products of two values that vary, all of which come as events: spikes, or the changes of functions.

    With A and B the running sums, an event dA[i, k] changes A B by dA[i, k] B[k, :]: it is one operation per entry of
    row k, just as it would be into weights B. A product that a current reaches is computed anew at every step, one
    behind the last neuron once.
    """
    edges, end = carried(net), tail(net)
    return frozenset(
        node.name
        for node in net.nodes
        if isinstance(node, Differential)
        and isinstance(node.function, Operator)
        and node.function.op in ("matmul", "einsum")
        and node.name not in end
        and not any(edges[name] & {"graded", "input"} for name in node.inputs)
    )


def edge_kinds(net: Network) -> dict[tuple[str, str], str]:
    """What each edge (source, reader) carries: spikes, graded spikes, analog, current, input or static.

    Graded spikes are events with other values than one amplitude. Where a route mixes several kinds, the least
    spiking one counts.
    """
    carry, graded, found = carried(net), set[str](), dict[tuple[str, str], str]()
    order = {"analog": "analog", "graded": "current", "input": "input", "spikes": "spikes", "static": "static"}
    for node in net.nodes:
        for name in dict.fromkeys(node.inputs):
            kind = next(word for key, word in order.items() if key in carry[name])
            found[name, node.name] = "graded spikes" if kind == "spikes" and name in graded else kind
        emits = node_class(net, node) == "spiking"
        if carries_values(net, node) if emits else any(name in graded for name in node.inputs):
            graded.add(node.name)
    return found


def shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Counts as fractions of their sum."""
    total = sum(counts.values())
    return {name: count / total if total else 0.0 for name, count in counts.items()}


def nodes_by_class(net: Network) -> dict[str, int]:
    """How many nodes are of each class."""
    counts = dict.fromkeys(CLASSES, 0)
    for node in net.nodes:
        counts[node_class(net, node)] += 1
    return counts
