# SPDX-License-Identifier: Apache-2.0
"""Whole numbers for weights, biases and thresholds, each in the unit of the value that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from snncc.errors import EmitError
from snncc.integer.inputs import InputScale
from snncc.integer.rounding import InputCovariance
from snncc.integer.weights import steps
from snncc.ir.network import Array
from snncc.ir.nodes import Conv, Input, Linear, Neuron, Node
from snncc.transform.rescale import Rescaling, along_channels

#: Thresholds and biases are at most this many steps.
COARSENESS = 1 << 16


@dataclass(slots=True, kw_only=True)
class Units(Rescaling):
    """What the lowering keeps of a network. `largest`: of a weight; `covariances`: of what weighted nodes multiply."""

    largest: int
    given: InputScale
    covariances: Mapping[str, InputCovariance]
    #: Values whose entries must all have one unit, so that the largest output can be told.
    uniform: frozenset[str] = frozenset()
    #: Weights and bias of each weighted node in real units: its step may change where it meets other branches.
    real: dict[str, tuple[Array, Array | None]] = field(default_factory=dict)
    #: `covariances` in the units of the lowered inputs.
    in_units: dict[str, InputCovariance] = field(default_factory=dict)
    #: The biases with what rounding the weights takes away on the average.
    corrected: dict[str, Array | None] = field(default_factory=dict)
    #: The name under which a value is read.
    alias: dict[str, str] = field(default_factory=dict)

    def whole(self, node: Node, key: str, array: Array, dtype: Any = np.int32) -> str:
        """Keep a rounded array under the node's name; raises EmitError where it is too large."""
        name, rounded = f"{node.name}/{key}", np.rint(array)
        limit = np.iinfo(dtype)
        if not (np.isfinite(rounded).all() and (rounded >= limit.min).all() and (rounded <= limit.max).all()):
            raise EmitError(
                f"{node.name}: its {key} does not fit {np.dtype(dtype).name} in membrane units",
                cure="convert with --granularity channel, or use --weights int8",
            )
        self.arrays[name] = rounded.astype(dtype)
        return name

    def put(self, node: Node, scale: Array) -> None:
        """Append a node whose value has this scale, reading the centred input."""
        inputs = tuple(self.alias.get(name, name) for name in node.inputs)
        Rescaling.put(self, msgspec.structs.replace(node, inputs=inputs, dtype="int32"), scale)

    def alone(self, name: str) -> bool:
        """Whether one node alone reads a value."""
        return len(self.net.consumers[name]) == 1 and name not in self.net.outputs

    def channels(self, node: Conv | Linear) -> int:
        """The axis of a weighted node's outputs."""
        return node.axis if isinstance(node, Linear) else 1

    def along(self, node: Conv | Linear, vector: Array) -> Array:
        """A vector over the channels of a weighted node, shaped to broadcast."""
        return along_channels(vector, len(node.shape), self.channels(node))

    def others(self, node: Conv | Linear) -> tuple[int, ...]:
        """The axes of a weighted node's value other than its channels'."""
        return tuple(i for i in range(len(node.shape)) if i != self.channels(node))

    def taken_bias(self, source: Node, unit: Array) -> Array | None:
        """The bias of a weighted node that nothing else reads, in the unit of its reader, where it is rounded."""
        if not isinstance(source, Conv | Linear) or not self.alone(source.name):
            return None
        index, bias = self.index(source.name), self.corrected[source.name]
        if bias is None:
            return None
        self.nodes[index] = msgspec.structs.replace(self.nodes[index], bias=None)
        return self.along(source, bias) / unit

    def index(self, name: str) -> int:
        """Where the rewritten node of that name stands."""
        return next(i for i, node in enumerate(self.nodes) if node.name == name)

    def weighted(self, node: Any) -> None:
        """Weights as small whole numbers, the bias as a whole number of the step."""
        if not isinstance(node, Conv | Linear):
            raise EmitError(f"{node.name}: {type(node).__name__} has no integer form", cure="use Conv or Linear")
        weight = self.absorbed(node)
        bias = None if node.bias is None else self.net.arrays[node.bias].astype(np.float64)
        if isinstance(self.net[node.inputs[0]], Input) and (rest := self.given.rest()).any():
            taken = self.input_rest(node, rest)
            bias = taken if bias is None else bias + taken
        self.real[node.name] = (weight, bias)
        self.in_units[node.name] = inputs = self.covariances[node.name].over(self.input_units(node))
        self.put(node, np.ones(()))
        shared = node.name in self.uniform
        step = inputs.best_steps(weight, steps(weight, self.largest, shared=shared), self.largest, shared=shared)
        self.quantize(node, np.maximum(step, self.least_step(node, step)))

    def input_units(self, node: Conv | Linear) -> Array:
        """The unit of what each weight multiplies, (groups, features)."""
        weight = self.net.arrays[node.weight]
        axis, groups = (node.axis, 1) if isinstance(node, Linear) else (1, node.groups)
        per_input = self.vector(node, self.scale(node), axis, "a product")
        return np.repeat(per_input, weight[0].size * groups // len(per_input)).reshape(groups, -1)

    def least_step(self, node: Conv | Linear, step: Array) -> Array:
        """The step below which biases and thresholds would grow large for nothing: weights near 0 change little."""
        bias = self.real[node.name][1]
        least = np.zeros_like(step) if bias is None else np.abs(bias) / COARSENESS
        for reader in self.net.consumers[node.name]:
            if isinstance(reader, Neuron):
                threshold = np.broadcast_to(self.net.arrays[reader.threshold], reader.shape)
                least = np.maximum(least, threshold.max(axis=self.others(node)) / COARSENESS)
        return least.max(keepdims=True) if node.name in self.uniform else least

    def input_rest(self, node: Conv | Linear, rest: Array) -> Array:
        """What a weighted node adds for an input that is `rest` too large: exact but where padding stands in for it."""
        source = self.net[node.inputs[0]]
        shaped = self.given.shaped(tuple(rest.tolist()), len(source.shape))
        weight = self.net.arrays[node.weight].astype(np.float64)
        per_input = self.vector(node, np.broadcast_to(shaped, source.shape), self.channels(node), "a product")
        if isinstance(node, Conv):
            groups = np.repeat(per_input.reshape(node.groups, -1), len(weight) // node.groups, 0)
            weight = weight.sum(axis=tuple(range(2, weight.ndim)))
            return -np.asarray((weight * groups).sum(1))
        return -np.asarray(weight @ per_input)

    def quantize(self, node: Conv | Linear, step: Array) -> None:
        """Write the weights and bias of a weighted node for a step per output channel."""
        index, (weight, bias) = self.index(node.name), self.real[node.name]
        inputs = self.in_units[node.name]
        whole = inputs.codes(weight, step, self.largest)
        lost = inputs.lost(weight - step.reshape(-1, *[1] * (weight.ndim - 1)) * whole)
        if lost.any():
            bias = lost if bias is None else bias + lost
        self.corrected[node.name] = bias
        fields: dict[str, Any] = {"weight": self.whole(node, "weight", whole, np.int8)}
        fields["bias"] = None if bias is None else self.whole(node, "bias", bias / step)
        self.nodes[index] = msgspec.structs.replace(self.nodes[index], **fields)
        self.scales[node.name] = np.broadcast_to(self.along(node, step), node.shape)
