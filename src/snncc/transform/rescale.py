# SPDX-License-Identifier: Apache-2.0
"""Other units for the values of a spiking network: each becomes scale times a new one, and its readers make up for it.

Neurons take their spikes' amplitude as scale and so emit -m ... m. Weighted nodes and thresholds absorb the scales of
what they read; routes (reshapes, pools, concatenations) pass them on. The arithmetic is in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from snncc.errors import EmitError
from snncc.ir.network import Array, Network, frozen
from snncc.ir.nodes import (
    Affine,
    AveragePool,
    Concat,
    Conv,
    ConvTranspose,
    Differential,
    Expand,
    Input,
    Linear,
    MaxPool,
    Neuron,
    Node,
    Operator,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Sum,
    Transpose,
)


def collapsed(array: Array) -> Array:
    """The array with extent 1 on every axis along which nothing changes."""
    for axis in range(array.ndim):
        first = array.take([0], axis)
        if (array == first).all():
            array = first
    return array


def along_channels(vector: Array, rank: int, axis: int = 1) -> Array:
    """A vector shaped to broadcast along one axis."""
    return vector.reshape([-1 if i == axis else 1 for i in range(rank)])


@dataclass(slots=True, kw_only=True)
class Rescaling:
    """The rewriting of one network; here weighted nodes keep the unit of their result. See `integer.lowering`."""

    net: Network
    #: value = scale * new value, with the shape of the node.
    scales: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def run(self) -> None:
        """Rewrite every node in order; raises EmitError naming the node that cannot take its inputs' scales."""
        self.arrays = dict(self.net.arrays)
        for node in self.net.nodes:
            if node.name in self.net.varying:
                self.visit(node)
            else:
                self.nodes.append(node)

    def visit(self, node: Node) -> None:
        """Rewrite one node that carries rates."""
        match node:
            case Input():
                self.put(node, np.ones(()))
            case Neuron() if node.WHOLE:
                self.neuron(node)
            case Conv() | ConvTranspose() | Linear():
                self.weighted(node)
            case Affine():
                self.affine(node)
            case Sum():
                self.sum(node)
            case AveragePool():
                self.put(node, self.per_channel(node, self.scale(node), "an average pool"))
            case Reduce():
                self.reduce(node)
            case Concat() | Slice() | Pad() | Reshape() | Transpose() | Expand():
                self.put(node, self.routed(node))
            case Differential(function=MaxPool()):
                self.put(node, self.per_channel(node, self.scale(node), "a maximum"))
            case _:
                self.other(node)

    def put(self, node: Node, scale: Array) -> None:
        """Append a node whose value has this scale."""
        self.nodes.append(node)
        self.scales[node.name] = np.broadcast_to(np.asarray(scale, np.float64), node.shape)

    def scale(self, node: Node, index: int = 0) -> Array:
        """The scale of one input; 1 for what is the same at every step."""
        name = node.inputs[index]
        return self.scales.get(name, np.ones(self.net[name].shape))

    def write(self, node: Node, key: str, array: Array) -> str:
        """Keep an array under the node's name; returns that name."""
        name = f"{node.name}/{key}"
        self.arrays[name] = array.astype(np.float32)
        return name

    def vector(self, node: Node, scale: Array, axis: int, what: str) -> Array:
        """The scale along one axis, (extent,); raises EmitError where it varies along another one."""
        flat = np.moveaxis(scale, axis, -1).reshape(-1, scale.shape[axis])
        if not (flat == flat[0]).all():
            raise EmitError(
                f"{node.name}: spikes with a threshold per neuron cannot be absorbed through {what}, "
                "which is the same for all positions",
                cure="convert with --granularity channel (or layer)",
            )
        return np.array(flat[0])

    def per_channel(self, node: Node, scale: Array, what: str) -> Array:
        """The scale of windows over the spatial axes, shaped to broadcast."""
        windows: int = len(getattr(node, "kernel", getattr(getattr(node, "function", None), "kernel", ())))
        rank = scale.ndim
        kept = collapsed(scale)
        if any(extent > 1 for extent in kept.shape[rank - windows :]):
            self.vector(node, scale, min(1, rank - 1), what)
        return kept

    def neuron(self, node: Neuron) -> None:
        """threshold / scale of the current, v_init / scale; unit spikes."""
        current = collapsed(self.scale(node))
        threshold, v_init = self.net.arrays[node.threshold] / current, self.net.arrays[node.v_init] / current
        amplitude = self.net.arrays[node.amplitude].astype(np.float64)
        names = {
            "threshold": self.write(node, "threshold", collapsed(threshold)),
            "v_init": self.write(node, "v_init", collapsed(v_init)),
            "amplitude": "unit",
        }
        self.arrays["unit"] = np.ones((), np.float32)
        self.put(msgspec.structs.replace(node, **names), amplitude)

    def absorbed(self, node: Conv | ConvTranspose | Linear) -> Array:
        """The weights times the scales of the inputs."""
        weight = self.net.arrays[node.weight].astype(np.float64)
        scale = self.scale(node)
        if isinstance(node, Linear):
            return weight * self.vector(node, scale, node.axis, "a product")
        per_input = self.vector(node, scale, 1, "a convolution")
        rank = weight.ndim
        if isinstance(node, ConvTranspose):
            return weight * along_channels(per_input, rank, 0)
        groups = per_input.reshape(node.groups, -1)  # (groups, in / groups)
        shared = np.repeat(groups, len(weight) // node.groups, 0)
        return np.asarray(weight * shared.reshape(*weight.shape[:2], *[1] * (rank - 2)))

    def weighted(self, node: Conv | ConvTranspose | Linear) -> None:
        """The weights absorb the scales of what they read."""
        weight = self.absorbed(node)
        if np.array_equal(weight, self.net.arrays[node.weight]):
            self.put(node, np.ones(()))
        else:
            self.put(msgspec.structs.replace(node, weight=self.write(node, "weight", weight)), np.ones(()))

    def affine(self, node: Affine) -> None:
        """scale times the input's scale; the unit becomes 1."""
        factor = collapsed(self.scale(node))
        if (factor == 1).all():
            self.put(node, np.ones(()))
            return
        gain = 1.0 if node.scale is None else self.net.arrays[node.scale].astype(np.float64)
        self.put(msgspec.structs.replace(node, scale=self.write(node, "scale", collapsed(gain * factor))), np.ones(()))

    def sum(self, node: Sum) -> None:
        """Summands of one scale keep it; others are brought to the unit 1."""
        scales = [self.scale(node, i) for i in range(len(node.inputs))]
        first = scales[0]
        if all(s.shape == first.shape and np.array_equal(s, first) for s in scales):
            self.put(node, first)
            return
        self.put(self.scaled_inputs(node, scales), np.ones(()))

    def scaled_inputs(self, node: Node, factors: Sequence[Array]) -> Node:
        """The node reading its inputs times factors; where one is 1 the input itself."""
        names = list(node.inputs)
        for i, factor in enumerate(factors):
            if (factor == 1).all():
                continue
            source = self.net[node.inputs[i]]
            names[i] = f"{node.name}.{i}"
            scaled = Affine(name=names[i], inputs=(source.name,), shape=source.shape, batch=source.batch)
            self.nodes.append(msgspec.structs.replace(scaled, scale=self.write(scaled, "scale", collapsed(factor))))
        return msgspec.structs.replace(node, inputs=tuple(names))

    def reduce(self, node: Reduce) -> None:
        """A mean or sum; what it joins must have one scale."""
        scale = collapsed(self.scale(node))
        if any(scale.shape[axis] > 1 for axis in node.axes):
            self.vector(node, self.scale(node), next(i for i in range(scale.ndim) if i not in node.axes), "a mean")
        kept = scale if node.keepdims else scale.reshape([d for i, d in enumerate(scale.shape) if i not in node.axes])
        self.put(node, kept)

    def routed(self, node: Node) -> Array:
        """The scales moved as the values are."""
        scales = [self.scale(node, i) for i in range(len(node.inputs))]
        first = scales[0]
        match node:
            case Concat():
                return np.concatenate(scales, node.axis)
            case Slice():
                return first.take(node.start + node.step * np.arange(node.shape[node.axis]), node.axis)
            case Reshape():
                return first.reshape(node.shape)
            case Transpose():
                return first.transpose(node.permutation)
            case Expand():
                return np.broadcast_to(first, node.shape)
            case Pad():
                return self.padded(node, first)
        raise TypeError(type(node).__name__)

    def padded(self, node: Pad, scale: Array) -> Array:
        """The scale of a padded value; padding with a number other than 0 is in the unit of what it surrounds."""
        rank = scale.ndim
        if node.mode == "constant" and node.value != 0 and (scale != 1).any():
            raise EmitError(f"{node.name} pads spikes with {node.value:g}", cure="export the model with padding by 0")
        begin, end = node.padding[:rank], node.padding[rank:]
        crop = tuple(slice(max(0, -b), d - max(0, -e)) for b, e, d in zip(begin, end, scale.shape, strict=True))
        amounts = [(max(0, b), max(0, e)) for b, e in zip(begin, end, strict=True)]
        modes: dict[str, Any] = {"reflect": "reflect", "wrap": "wrap"}
        return np.pad(scale[crop], amounts, mode=modes.get(node.mode, "edge"))

    def other(self, node: Node) -> None:
        """Any other node reads values in their own unit."""
        inner = node.function if isinstance(node, Differential) else node
        kind = inner.op if isinstance(inner, Operator) else type(inner).__name__
        if isinstance(node, Neuron):
            raise EmitError(
                f"{node.name}: {kind} neurons do not emit unit spikes", cure="convert with neurons if or signed_if"
            )
        factors = [self.scale(node, i) if n in self.net.varying else np.ones(()) for i, n in enumerate(node.inputs)]
        self.put(self.scaled_inputs(node, factors), np.ones(()))

    def network(self) -> Network:
        """The rewritten network; outputs keep their meaning."""
        for name in self.net.outputs:
            if (self.scales.get(name, np.ones(())) != 1).any():
                self.rescaled_output(name)
        arrays = {name: frozen(a) for name, a in self.arrays.items()}
        return replace(self.net, nodes=tuple(self.nodes), arrays=arrays).pruned()

    def rescaled_output(self, name: str) -> None:
        """Multiply an output by its scale; what computed it gets another name."""
        node, inner = self.net[name], f"{name}.unscaled"
        renamed = []
        for n in self.nodes:
            inputs = tuple(inner if i == name else i for i in n.inputs)
            renamed.append(msgspec.structs.replace(n, name=inner if n.name == name else n.name, inputs=inputs))
        final = Affine(name=name, inputs=(inner,), shape=node.shape, batch=node.batch)
        scale = self.write(final, "scale", collapsed(self.scales[name]))
        self.nodes = [*renamed, msgspec.structs.replace(final, scale=scale)]
