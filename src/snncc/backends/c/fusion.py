# SPDX-License-Identifier: Apache-2.0
"""Which linear nodes are made inside the accumulator of the node that reads them.

A branch of a Sum needs no accumulator of its own: its events go where the sum is made. An Affine with a scale per
channel multiplies what its accumulator holds, so that it must come before anything else is added.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from snncc.backends.c.layout import Array, IndexMap, channels_last
from snncc.ir.network import Network
from snncc.ir.nodes import ACTIVATIONS, Affine, Conv, Differential, Input, Linear, Neuron, Node, Reduce, Sum

FUSED = (Conv, Linear, Sum, Affine, Reduce)


def moving(net: Network) -> frozenset[str]:
    """The values that depend on an input."""
    found: set[str] = set()
    for node in net.nodes:
        if isinstance(node, Input) or any(name in found for name in node.inputs):
            found.add(node.name)
    return frozenset(found)


def steady(net: Network) -> frozenset[str]:
    """The values that stay the same as long as the input does: computed once, and reused at every step."""
    if net.schedule.kind == "once":
        return frozenset()
    found: set[str] = set()
    varying = moving(net)
    for node in net.nodes:
        stateless = not isinstance(node, (Neuron, Differential, *ACTIVATIONS))
        if node.name in varying and stateless and all(n in found for n in node.inputs if n in varying):
            found.add(node.name)
    return frozenset(found)


@dataclass(slots=True)
class Fusion:
    """The decisions for one network."""

    net: Network
    moving: frozenset[str] = field(init=False)
    steady: frozenset[str] = field(init=False)
    known: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.moving, self.steady = moving(self.net), steady(self.net)

    def absorbed(self, node: Node) -> bool:
        """Whether the one reader of a node makes its value inside its own accumulator."""
        if node.name not in self.known:
            self.known[node.name] = self.eligible(node) and self.fits(node)
        return self.known[node.name]

    def eligible(self, node: Node) -> bool:
        """Whether one Sum or Affine of the same shape alone reads the node, once."""
        readers = self.net.consumers[node.name]
        if not isinstance(node, FUSED) or node.name in self.net.outputs or len(readers) != 1:
            return False
        reader = readers[0]
        same = (node.name in self.steady) == (reader.name in self.steady) and node.shape == reader.shape
        once = reader.inputs.count(node.name) == 1
        return node.name in self.moving and isinstance(reader, Sum | Affine) and same and once

    def fits(self, node: Node) -> bool:
        """Whether a rescaling in the node, if any, stands first in the reader's accumulator."""
        reader = self.net.consumers[node.name][0]
        if not self.rescales(node):
            return True
        if isinstance(reader, Affine):
            return self.factor(reader) is not None
        sources = (self.net[name] for name in reader.inputs)
        return next(s.name for s in sources if self.eligible(s) and self.rescales(s)) == node.name

    def rescales(self, node: Node) -> bool:
        """Whether the accumulator in which the node is made is multiplied by a scale per channel."""
        inner = [self.net[name] for name in node.inputs] if isinstance(node, Sum | Affine) else []
        here = isinstance(node, Affine) and self.factor(node) is None
        return any(self.absorbed(source) and (here or self.rescales(source)) for source in inner)

    def factor(self, node: Affine) -> int | None:
        """The one whole number by which an affine node multiplies, or None where there are several."""
        scale = np.ones(1) if node.scale is None else self.net.arrays[node.scale]
        return int(scale.flat[0]) if (scale == scale.flat[0]).all() else None

    def layout(self, node: Node, maps: dict[str, IndexMap]) -> Array:
        """The order of the entries in which a node's accumulator is cheapest to fill."""
        if isinstance(node, Linear):
            return channels_last(node.shape, node.axis)
        if isinstance(node, Sum | Affine):
            for name in node.inputs:
                if self.absorbed(self.net[name]):
                    return self.layout(self.net[name], maps)
            for name in node.inputs:
                if name in maps and maps[name].whole and maps[name].where.shape == node.shape:
                    return maps[name].where
        return channels_last(node.shape)
