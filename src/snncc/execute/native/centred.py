# SPDX-License-Identifier: Apache-2.0
"""Centred neurons without the constants beside their spikes, so that a network's values are events again.

A centred neuron emits z + r with r constant for the T of its design. Linear nodes carry r on: what it adds to the
current of the next neuron is a constant too, found here once and put into a shift in front of that neuron, together
with what the neuron itself is centred by. What remains of it is a signed neuron whose count starts at its centre.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from snncc.execute.native.program import UnsupportedNode
from snncc.execute.reference import evaluate_function
from snncc.ir.network import Array, Network
from snncc.ir.nodes import NEURONS, Affine, CentredIF, Differential, Neuron, Node


@dataclass(slots=True)
class Constants:
    """The constant part of every value that has one, shaped like one sample."""

    network: Network
    arrays: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.network.arrays.items():
            self.arrays[name] = array.astype(np.float64) if array.dtype.kind == "f" else array

    def follow(self, node: Node) -> None:
        """The constant part of a node's value; raises UnsupportedNode where it is no sum of constants and events."""
        if isinstance(node, CentredIF):
            rest = self.arrays[node.centre] / node.until * self.arrays[node.amplitude]
            self.values[node.name] = np.broadcast_to(rest, node.shape)
        elif isinstance(node, NEURONS) or not any(name in self.values for name in node.inputs):
            return
        elif isinstance(node, Differential) or not self.network.is_linear(node):
            raise UnsupportedNode(node, "it reads centred neurons; convert with minimize_threshold_error.centre=0")
        else:
            inputs = [self.values.get(name, np.zeros(self.network[name].shape)) for name in node.inputs]
            self.values[node.name] = np.asarray(evaluate_function(node, inputs, self.arrays, 0.0))

    def into(self, node: Neuron) -> Array | None:
        """What a neuron's current has of constants: those of its input, less what it is centred by itself."""
        found = self.values.get(node.inputs[0])
        if isinstance(node, CentredIF):
            threshold = self.arrays[node.threshold]
            own = self.arrays[node.centre] / node.until * threshold * (threshold > 0)
            found = (0.0 if found is None else found) - np.broadcast_to(own, node.shape)
        return found


def without_rests(network: Network) -> tuple[Network, int | None]:
    """The same network up to the T given with it (None: any T), its centred neurons without resting rates.

    Raises UnsupportedNode where a function of centred neurons would have to be told apart.
    """
    longest = min((node.until for node in network.nodes if isinstance(node, CentredIF)), default=None)
    if longest is None:
        return network, None
    if network.schedule.kind != "constant":
        first = next(node for node in network.nodes if isinstance(node, CentredIF))
        raise UnsupportedNode(first, "a centred neuron under an input that ends")
    constants, arrays = Constants(network), {}
    for node in network.nodes:
        constants.follow(node)

    def shifted(node: Node, name: str, source: str, shift: Array) -> Affine:
        arrays[f"{name}/shift"] = shift.astype(np.float64)
        return Affine(name=name, inputs=(source,), shape=node.shape, batch=node.batch, shift=f"{name}/shift")

    def change(node: Node) -> Node | list[Node]:
        if isinstance(node, NEURONS) and (into := constants.into(node)) is not None:
            name = f"{node.name}.current"
            moved = msgspec.structs.replace(node, inputs=(name,))
            if isinstance(moved, CentredIF):
                moved = msgspec.structs.replace(moved, until=0)
            return [shifted(node, name, node.inputs[0], into), moved]
        if node.name in network.outputs and node.name in constants.values:
            inner = msgspec.structs.replace(node, name=f"{node.name}.events")
            return [inner, shifted(node, node.name, inner.name, constants.values[node.name])]
        return node

    return network.rewrite(change, arrays), longest
