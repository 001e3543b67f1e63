# SPDX-License-Identifier: Apache-2.0
"""Nearest-neighbour upsampling as a reshape, a broadcast and a reshape, which integers and C have for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snncc.ir.network import Network
from snncc.ir.nodes import Expand, Node, Operator, Reshape


def repeats(net: Network, node: Node) -> tuple[int, int] | None:
    """The axis of a gather with constant indices, and how often it takes each entry, in order; None for others."""
    if not isinstance(node, Operator) or node.op != "gather" or node.name not in net.varying:
        return None
    axis, index = node.attributes["axis"], net.value_of(node.inputs[1])
    if not isinstance(axis, int) or index is None or index.ndim != 1 or node.batch in (None, axis):
        return None
    extent = net[node.inputs[0]].shape[axis]
    count = index.size // extent
    return (axis, count) if np.array_equal(index, np.repeat(np.arange(extent), count)) else None


def spread_repeats(net: Network) -> Network:
    """The network with each such gather written as three nodes that move entries."""

    def change(node: Node) -> Node | Sequence[Node]:
        found = repeats(net, node)
        if found is None:
            return node
        source, after, count = net[node.inputs[0]], found[0] + 1, found[1]
        apart = (*source.shape[:after], 1, *source.shape[after:])
        spread = (*source.shape[:after], count, *source.shape[after:])
        batch = source.batch if source.batch is None or source.batch < after else source.batch + 1
        first = Reshape(name=f"{node.name}.apart", inputs=(source.name,), shape=apart, batch=batch)
        second = Expand(name=f"{node.name}.spread", inputs=(first.name,), shape=spread, batch=batch)
        return [first, second, Reshape(name=node.name, inputs=(second.name,), shape=node.shape, batch=node.batch)]

    return net.rewrite(change)
