# SPDX-License-Identifier: Apache-2.0
"""From a spiking network in floats to one of whole numbers: every value in the unit of its step.

A weighted node's step is the unit of its result, the unit of a membrane is that of the current which it integrates.
Values that meet in a Sum get a common unit per channel, of which each branch is a multiple.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from snncc.errors import EmitError
from snncc.integer.inputs import InputScale
from snncc.integer.pools import common_divisor, divisors, window_sum
from snncc.integer.weights import codes, steps
from snncc.ir.network import Array
from snncc.ir.nodes import (
    IF,
    Affine,
    AveragePool,
    Concat,
    Conv,
    Input,
    Linear,
    Node,
    Pad,
    Reduce,
    Reshape,
    SignedIF,
    Slice,
    Sum,
    Transpose,
)
from snncc.transform.base import channel_axis
from snncc.transform.rescale import Rescaling, collapsed

#: A threshold is at least this many units of its membrane, so that rounding moves it and the biases little.
FINENESS = 256
#: Of two branches of a sum with weights the finer one is at least this many units.
BRANCH = 16
#: The largest multiple of a branch's step that is a unit: int16.
MULTIPLE = 32767
ROUTES = (Affine, AveragePool, Concat, Pad, Reduce, Reshape, Slice, Sum, Transpose)


@dataclass(slots=True, kw_only=True)
class Lowering(Rescaling):
    """The rewriting of one network. `largest`: of a weight; `power`: mean square of what weights multiply, if known."""

    largest: int
    given: InputScale
    power: Mapping[str, Array] = field(default_factory=dict)
    #: Values whose entries must all have one unit, so that the largest output can be told.
    uniform: frozenset[str] = frozenset()
    #: Weights and bias of each weighted node in real units: its step may change where it meets other branches.
    real: dict[str, tuple[Array, Array | None]] = field(default_factory=dict)
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

    def visit(self, node: Node) -> None:
        """Rewrite one node that carries rates."""
        match node:
            case Input():
                self.input(node)
            case AveragePool():
                self.average_pool(node)
            case Concat():
                self.concatenated(node)
            case _:
                Rescaling.visit(self, node)

    def input(self, node: Input) -> None:
        """Bytes, centred on their rounded zero point; the first weights' bias takes what rounding leaves."""
        self.nodes.append(msgspec.structs.replace(node, dtype="uint8"))
        scale, zero = (
            self.given.shaped(values, len(node.shape)) for values in (self.given.scale, self.given.zero_point)
        )
        self.scales[node.name] = np.broadcast_to(scale, node.shape)
        if np.rint(zero).any():
            centred = Affine(name=f"{node.name}.centred", inputs=(node.name,), shape=node.shape, batch=node.batch)
            self.put(msgspec.structs.replace(centred, shift=self.whole(centred, "shift", -zero)), scale)
            self.alias[node.name] = centred.name

    def neuron(self, node: IF | SignedIF) -> None:
        """Thresholds and initial potentials in units of the current."""
        source = self.net[node.inputs[0]]
        current = collapsed(self.scale(node))
        finest = self.finest(node, current)
        multiple = np.ceil(np.round(current / finest, 9))
        name = source.name
        if (multiple > 1).any():
            current = current / multiple
            name = self.refined(node, source, multiple)
        amplitude = self.net.arrays[node.amplitude].astype(np.float64)
        threshold, v_init = self.net.arrays[node.threshold] / current, self.net.arrays[node.v_init] / current
        threshold = np.where(threshold > 0, np.maximum(threshold, 1), threshold)
        names = {
            "inputs": (name,),
            "threshold": self.whole(node, "threshold", collapsed(threshold)),
            "v_init": self.whole(node, "v_init", collapsed(v_init)),
            "amplitude": "unit",
        }
        self.arrays["unit"] = np.ones((), np.int32)
        self.put(msgspec.structs.replace(node, **names), amplitude)

    def finest(self, node: IF | SignedIF, unit: Array) -> Array:
        """The unit that a neuron's membrane needs, shaped like `unit`: whole thresholds stay whole, others get fine."""
        threshold, v_init = (self.net.arrays[n].astype(np.float64) for n in (node.threshold, node.v_init))
        if all((np.rint(a) == a).all() for a in (threshold, v_init, unit)) and (threshold >= FINENESS).all():
            return np.ones_like(unit)
        alive = np.broadcast_to(np.where(threshold > 0, threshold, np.inf), node.shape)
        axes = tuple(i for i, extent in enumerate(unit.shape) if extent == 1)
        least = alive.min(axis=axes, keepdims=True)
        return np.asarray(np.where(np.isfinite(least), np.minimum(unit, least / FINENESS), unit))

    def refined(self, node: Node, source: Node, multiple: Array) -> str:
        """A current in a unit that is a fraction of the one it has: its values times `multiple`."""
        scaled = Affine(name=f"{node.name}.current", inputs=(source.name,), shape=source.shape, batch=source.batch)
        fields = {"scale": self.whole(scaled, "scale", multiple)}
        if (bias := self.taken_bias(source, node)) is not None:
            unit = collapsed(self.scales[source.name]) / multiple
            fields["shift"] = self.whole(scaled, "shift", collapsed(self.along(source, bias) / unit))
        self.put(msgspec.structs.replace(scaled, **fields), self.scales[source.name] / multiple)
        return scaled.name

    def along(self, node: Node, vector: Array) -> Array:
        """A vector over the channels of a weighted node, shaped to broadcast."""
        axis = node.axis if isinstance(node, Linear) else 1
        return vector.reshape([-1 if i == axis else 1 for i in range(len(node.shape))])

    def taken_bias(self, source: Node, reader: Node) -> Array | None:
        """The bias of a weighted node that nothing else reads, which is then rounded in the unit of the reader."""
        if source.name not in self.real or not self.alone(source.name):
            return None
        index = next(i for i, n in enumerate(self.nodes) if n.name == source.name)
        weight, bias = self.real[source.name]
        if bias is not None:
            self.nodes[index] = msgspec.structs.replace(self.nodes[index], bias=None)
            self.real[source.name] = (weight, None)
        return bias

    def alone(self, name: str) -> bool:
        """Whether one node alone reads a value."""
        return len(self.net.consumers[name]) == 1 and name not in self.net.outputs

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
        power = self.power.get(node.name)
        step = steps(weight, self.largest, power, shared=node.name in self.uniform)
        self.put(node, np.ones(()))
        self.quantize(node.name, step)

    def input_rest(self, node: Conv | Linear, rest: Array) -> Array:
        """What a weighted node adds for an input that is `rest` too large: exact but where padding stands in for it."""
        source = self.net[node.inputs[0]]
        shaped = self.given.shaped(tuple(rest.tolist()), len(source.shape))
        axis = node.axis if isinstance(node, Linear) else 1
        weight = self.net.arrays[node.weight].astype(np.float64)
        per_input = self.vector(node, np.broadcast_to(shaped, source.shape), axis, "a product")
        if isinstance(node, Conv):
            groups = np.repeat(per_input.reshape(node.groups, -1), len(weight) // node.groups, 0)
            weight = weight.sum(axis=tuple(range(2, weight.ndim)))
            return -np.asarray((weight * groups).sum(1))
        return -np.asarray(weight @ per_input)

    def quantize(self, name: str, step: Array) -> None:
        """Write the weights and bias of a weighted node for a step per output channel."""
        index = next(i for i, n in enumerate(self.nodes) if n.name == name)
        node, (weight, bias) = self.nodes[index], self.real[name]
        fields: dict[str, Any] = {
            "weight": self.whole(
                node, "weight", codes(weight, step, self.largest), np.int8 if self.largest < 128 else np.int32
            )
        }
        fields["bias"] = None if bias is None else self.whole(node, "bias", bias / step)
        self.nodes[index] = msgspec.structs.replace(node, **fields)
        self.scales[name] = np.broadcast_to(self.along(node, step), node.shape)

    def affine(self, node: Affine) -> None:
        """The gain goes into the unit, its sign and the shift remain."""
        gain = np.ones(()) if node.scale is None else self.net.arrays[node.scale].astype(np.float64)
        scale = np.broadcast_to(np.where(gain == 0, 1.0, np.abs(gain)) * self.scale(node), node.shape)
        multiple, fields = np.sign(gain), {}
        if node.shift is not None:
            shift = self.net.arrays[node.shift].astype(np.float64)
            rest = np.abs(shift / scale - np.rint(shift / scale))
            if (rest > 1e-6).any() and not self.is_current(node):
                multiple, scale = multiple * FINENESS, scale / FINENESS
            fields["shift"] = self.whole(node, "shift", collapsed(shift / scale))
        fields["scale"] = None if (multiple == 1).all() else self.whole(node, "scale", collapsed(multiple))
        self.put(msgspec.structs.replace(node, **fields), scale)

    def is_current(self, node: Node) -> bool:
        """Whether a value's unit is already that of weights."""
        source = self.net[node.inputs[0]]
        return isinstance(source, Conv | Linear | Sum)

    def sum(self, node: Sum) -> None:
        """A common unit per channel, of which the unit of each branch is a multiple."""
        if static := [n for n in node.inputs if n not in self.net.varying]:
            raise EmitError(f"{node.name} adds {static[0]}, which is no bias", cure="export it as a bias of a layer")
        terms = [abs(k) * self.scale(node, i) for i, k in enumerate(node.coefficients)]
        unit = self.common_unit(node, terms)
        factors = []
        for i, (name, term) in enumerate(zip(node.inputs, terms, strict=True)):
            own = name in self.real and self.alone(name)
            # A finer step of weights would clip the largest ones; what no weights make is rounded to nearest.
            factor = np.ceil(np.round(collapsed(term) / unit, 9)) if own else np.rint(collapsed(term) / unit)
            factor = np.where(collapsed(term) > 0, np.clip(factor, 1, MULTIPLE), 0)
            if own:
                step = collapsed(np.broadcast_to(factor * unit, node.shape)) / abs(node.coefficients[i])
                self.quantize(name, np.broadcast_to(step, node.shape).max(axis=self.others(name)))
            factors.append(factor)
        signs = tuple(math.copysign(1.0, k) for k in node.coefficients)
        self.put(msgspec.structs.replace(self.multiplied(node, factors, unit), coefficients=signs), unit)

    def others(self, name: str) -> tuple[int, ...]:
        """The axes of a weighted node's value other than its channels'."""
        node = self.net[name]
        axis = node.axis if isinstance(node, Linear) else 1
        return tuple(i for i in range(len(node.shape)) if i != axis)

    def common_unit(self, node: Sum | Concat, terms: list[Array]) -> Array:
        """The unit in which branches meet: per channel, or one where the largest entry must be told."""
        least = np.where(terms[0] > 0, terms[0], np.inf)
        for term in terms[1:]:
            least = np.minimum(least, np.where(term > 0, term, np.inf))
        axis = channel_axis(self.net, node)
        axes = tuple(i for i in range(len(node.shape)) if i != axis or node.name in self.uniform)
        least = least.min(axis=axes, keepdims=True)
        least = np.where(np.isfinite(least), least, 1.0)
        weighted = sum(name in self.real for name in node.inputs)
        unit = least / (BRANCH if weighted > 1 else 1)
        for reader in self.net.consumers[node.name]:
            if isinstance(reader, IF | SignedIF):
                unit = np.minimum(unit, self.finest(reader, unit))
        return np.asarray(least / np.ceil(np.round(least / unit, 9)))

    def multiplied(self, node: Node, factors: list[Array], unit: Array) -> Node:
        """The node reading its inputs times whole factors, biases of weighted inputs rounded in the unit of the sum."""
        names = list(node.inputs)
        for i, factor in enumerate(factors):
            if (factor == 1).all():
                continue
            source, names[i] = self.net[node.inputs[i]], f"{node.name}.{i}"
            scaled = Affine(name=names[i], inputs=(source.name,), shape=source.shape, batch=source.batch)
            fields = {"scale": self.whole(scaled, "scale", collapsed(factor))}
            if (bias := self.taken_bias(source, node)) is not None:
                k = abs(node.coefficients[i]) if isinstance(node, Sum) else 1.0
                fields["shift"] = self.whole(scaled, "shift", collapsed(k * self.along(source, bias) / unit))
            self.put(msgspec.structs.replace(scaled, **fields), np.broadcast_to(unit, source.shape))
        return msgspec.structs.replace(node, inputs=tuple(names))

    def average_pool(self, node: AveragePool) -> None:
        """Sums over the windows, times what brings windows of several sizes to one divisor."""
        source = self.net[node.inputs[0]]
        scale = self.per_channel(node, self.scale(node), "an average pool")
        found = divisors(node, source)
        common = common_divisor(node, found)
        total = window_sum(node, source, self.whole(node, "ones", np.ones((source.shape[1], 1, *node.kernel)), np.int8))
        if found.size == 1:
            self.put(total, scale / common)
            return
        self.put(msgspec.structs.replace(total, name=f"{node.name}.sum"), scale / common)
        scaled = Affine(name=node.name, inputs=(f"{node.name}.sum",), shape=node.shape, batch=node.batch)
        self.put(msgspec.structs.replace(scaled, scale=self.whole(node, "scale", common / found)), scale / common)

    def reduce(self, node: Reduce) -> None:
        """Sums; a mean's divisor goes into the unit."""
        Rescaling.reduce(self, msgspec.structs.replace(node, op="sum"))
        if node.op == "mean":
            count = math.prod(self.net[node.inputs[0]].shape[axis] for axis in node.axes)
            self.scales[node.name] = self.scales[node.name] / count

    def other(self, node: Node) -> None:
        """Nothing else has an integer form."""
        inner = getattr(node, "function", node)
        kind = getattr(inner, "op", type(inner).__name__)
        raise EmitError(
            f"{node.name}: {kind} has no integer form",
            cure="integers have linear layers, max pools and the neurons if and signed_if",
        )

    def concatenated(self, node: Concat) -> None:
        """Parts that must have one unit are brought to it; others keep theirs."""
        terms = [self.scale(node, i) for i in range(len(node.inputs))]
        if node.name not in self.uniform:
            self.put(node, np.concatenate(terms, node.axis))
            return
        unit = np.asarray(min(float(term.min()) for term in terms) / BRANCH)
        factors = [np.rint(collapsed(term) / unit) for term in terms]
        self.put(self.multiplied(node, factors, unit), unit)
