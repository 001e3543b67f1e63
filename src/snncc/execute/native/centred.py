# SPDX-License-Identifier: Apache-2.0
"""The constants beside centred neurons' spikes, told apart so that a network's values are events again.

A centred neuron emits z + r with r constant for the T of its design, 0 afterwards. Linear nodes carry r on, and so do
maxima: what it adds to the current of a neuron is a constant too, found here once. The generated C adds it to the
current together with what the neuron itself is centred by; its series hold what remains, the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snncc.execute.native.program import UnsupportedNode
from snncc.execute.reference import evaluate_function
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Differential, Neuron, Node


@dataclass(slots=True)
class Rests:
    """What a value has besides events at each of the first `until` steps, shaped like one sample."""

    network: Network
    until: int = field(init=False)
    arrays: Mapping[str, Array] = field(init=False)
    known: dict[str, Array | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UnsupportedNode where neurons rest for different times."""
        centred = [n for n in self.network.nodes if isinstance(n, Neuron) and n.until]
        self.until = centred[0].until if centred else 0
        if other := [n for n in centred if n.until != self.until]:
            raise UnsupportedNode(other[0], f"it rests for {other[0].until} steps, others for {self.until}")
        self.arrays = {
            name: array.astype(np.float64) if array.dtype.kind == "f" else array
            for name, array in self.network.arrays.items()
        }

    def beside(self, name: str) -> Array | None:
        """The constant beside the events of a value, None where there is none.

        Of a maximum it is the largest in each window: what the maximum rests at while that one's entry leads.
        """
        if name not in self.known:
            self.known[name] = self.found(self.network[name])
        return self.known[name]

    def found(self, node: Node) -> Array | None:
        """As `beside`."""
        if isinstance(node, Neuron):
            rate = self.rate(node)
            return None if rate is None else np.broadcast_to(rate * self.arrays[node.amplitude], node.shape)
        inputs = [self.beside(name) for name in node.inputs]
        if all(x is None for x in inputs):
            return None
        filled = [self.without(name) if x is None else x for x, name in zip(inputs, node.inputs, strict=True)]
        return np.asarray(evaluate_function(node, filled, self.arrays, 0.0))

    def without(self, name: str) -> Array:
        """What a value without a rest is beside the others: a constant itself, else nothing."""
        fixed = self.network.value_of(name)
        return np.zeros(self.network[name].shape) if fixed is None else fixed

    def rate(self, node: Node) -> Array | None:
        """The resting rate of a centred neuron."""
        if not isinstance(node, Neuron) or node.offset is None or not node.until:
            return None
        return self.arrays[node.offset] / node.until

    def into(self, node: Node) -> Array | None:
        """What a neuron's current has of constants: those of its input, less what it is centred by itself."""
        given, rate = self.beside(node.inputs[0]), self.rate(node)
        if rate is None or not isinstance(node, Neuron):
            return given
        threshold = self.arrays[node.threshold]
        own = np.broadcast_to(rate * threshold * (threshold > 0), node.shape)
        return -own if given is None else given - own

    def differ(self, node: Differential) -> bool:
        """Whether the entries of a maximum's windows rest at different rates."""
        given, most = self.beside(node.inputs[0]), self.beside(node.name)
        if given is None or most is None:
            return False
        return bool((most != -np.asarray(evaluate_function(node, [-given], self.arrays, 0.0))).any())
