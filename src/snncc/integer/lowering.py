# SPDX-License-Identifier: Apache-2.0
"""From a spiking network in floats to one of whole numbers: every value in the unit of its step.

A weighted node's step is the unit of its result, the unit of a membrane is that of the current which it integrates.
Values that meet in a Sum get a common unit per channel, of which each branch is a multiple.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from snncc.errors import EmitError
from snncc.integer.pools import common_divisor, divisors, window_sum
from snncc.integer.units import COARSENESS, Units
from snncc.ir.network import Array
from snncc.ir.nodes import (
    Affine,
    AveragePool,
    Concat,
    Conv,
    Expand,
    Input,
    Linear,
    Neuron,
    Node,
    Pad,
    Reduce,
    Reshape,
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
ROUTES = (Affine, AveragePool, Concat, Expand, Pad, Reduce, Reshape, Slice, Sum, Transpose)


@dataclass(slots=True, kw_only=True)
class Lowering(Units):
    """The rewriting of one network, node by node."""

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

    def neuron(self, node: Neuron) -> None:
        """Thresholds and initial potentials in units of the current."""
        if node.negative == "at_zero":
            raise EmitError(f"{node.name}: a tie at zero makes it oscillate", cure="convert_quantized.negative = early")
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

    def finest(self, node: Neuron, unit: Array) -> Array:
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
        unit = collapsed(self.scales[source.name]) / multiple
        if (bias := self.taken_bias(source, unit)) is not None:
            fields["shift"] = self.whole(scaled, "shift", collapsed(bias))
        self.put(msgspec.structs.replace(scaled, **fields), self.scales[source.name] / multiple)
        return scaled.name

    def affine(self, node: Affine) -> None:
        """The gain goes into the unit, its sign and the shift remain."""
        gain = np.ones(()) if node.scale is None else self.net.arrays[node.scale].astype(np.float64)
        scale = np.broadcast_to(np.where(gain == 0, 1.0, np.abs(gain)) * self.scale(node), node.shape)
        multiple, fields = np.sign(gain), dict[str, str | None]()
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
            weighted = self.net[name]
            factor = np.rint(collapsed(term) / unit)
            if isinstance(weighted, Conv | Linear) and self.alone(name):
                # Their step becomes the factor times the unit; a finer one would clip the largest weights.
                factor = np.maximum(np.ceil(np.round(collapsed(term) / unit, 9)), 1)
                step = collapsed(np.broadcast_to(factor * unit, node.shape)) / abs(node.coefficients[i])
                self.quantize(weighted, np.broadcast_to(step, node.shape).max(axis=self.others(weighted)))
            factors.append(factor)
        signs = tuple(math.copysign(1.0, k) for k in node.coefficients)
        self.put(msgspec.structs.replace(self.multiplied(node, factors, unit), coefficients=signs), unit)

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
            if isinstance(reader, Neuron):
                threshold = np.broadcast_to(self.net.arrays[reader.threshold], reader.shape).max(axes, keepdims=True)
                unit = np.maximum(np.minimum(unit, self.finest(reader, unit)), threshold / COARSENESS)
        greatest = np.maximum.reduce([np.broadcast_to(t, node.shape) for t in terms]).max(axis=axes, keepdims=True)
        unit = np.where(unit < least, least / np.ceil(np.round(least / unit, 9)), unit)
        return np.asarray(np.maximum(unit, greatest / MULTIPLE))

    def multiplied(self, node: Node, factors: list[Array], unit: Array) -> Node:
        """The node reading its inputs times whole factors, biases of weighted inputs rounded in the unit of the sum."""
        names = list(node.inputs)
        for i, factor in enumerate(factors):
            if (factor == 1).all():
                continue
            source, names[i] = self.net[node.inputs[i]], f"{node.name}.{i}"
            scaled = Affine(name=names[i], inputs=(source.name,), shape=source.shape, batch=source.batch)
            fields = {"scale": self.whole(scaled, "scale", collapsed(factor))}
            k = abs(node.coefficients[i]) if isinstance(node, Sum) else 1.0
            if (bias := self.taken_bias(source, unit / k)) is not None:
                fields["shift"] = self.whole(scaled, "shift", collapsed(bias))
            self.put(msgspec.structs.replace(scaled, **fields), np.broadcast_to(unit, source.shape))
        return msgspec.structs.replace(node, inputs=tuple(names))

    def concatenated(self, node: Concat) -> None:
        """Parts that must have one unit are brought to it; others keep theirs."""
        terms = [self.scale(node, i) for i in range(len(node.inputs))]
        if node.name not in self.uniform:
            self.put(node, np.concatenate(terms, node.axis))
            return
        unit = np.asarray(min(float(term.min()) for term in terms) / BRANCH)
        factors = [np.rint(collapsed(term) / unit) for term in terms]
        self.put(self.multiplied(node, factors, unit), unit)

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
        cure = "integers have linear layers, max pools and the neurons if and signed_if"
        if isinstance(node, Neuron) and node.offset is not None:
            cure = "convert with --emit integer, or --set minimize_threshold_error.centre=0"
        raise EmitError(f"{node.name}: {kind} has no integer form", cure=cure)
