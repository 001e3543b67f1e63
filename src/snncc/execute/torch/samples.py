# SPDX-License-Identifier: Apache-2.0
"""Some samples of a batch: their part of a value and of a state."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Neuron, Node


def of_samples(x: Tensor, node: Node, which: Tensor) -> Tensor:
    """The part of a node's value that belongs to some of its samples, by their positions."""
    if node.batch is None:
        return x
    apart: Tensor = x.unflatten(node.batch, (-1, node.shape[node.batch]))
    return apart.index_select(node.batch, which.to(x.device)).flatten(node.batch, node.batch + 1)


def state_of_samples(net: Network, node: Node, state: Any, which: Tensor) -> Any:
    """The part of a node's state that belongs to some of its samples."""
    one, other = state
    if isinstance(node, Differential):
        sources = [net[node.inputs[i]] for i in net.varying_positions(node)]
        sums = tuple(of_samples(x, source, which) for x, source in zip(one, sources, strict=True))
        return sums, of_samples(other[0], node, which).unsqueeze(0)
    if isinstance(node, Neuron) and node.shared:  # one factor per sample
        return of_samples(one, node, which), other[which.to(other.device)]
    return of_samples(one, node, which), of_samples(other, node, which)
