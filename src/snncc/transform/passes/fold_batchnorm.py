# SPDX-License-Identifier: Apache-2.0
"""The pass `fold_batchnorm`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, BatchNorm, Conv, ConvTranspose, Linear, Node
from snncc.transform.base import Context, Fidelity, transform

Weighted = Conv | ConvTranspose | Linear


def scale_and_shift(net: Network, node: BatchNorm) -> tuple[Array, Array]:
    """gamma / sqrt(variance + epsilon) and beta - mean times that, in float64."""
    gamma, beta, mean, variance = (net.arrays[name].astype(np.float64) for name in node.array_names())
    scale = gamma / np.sqrt(variance + node.epsilon)
    return scale, beta - mean * scale


def per_output(weight: Array, scale: Array, node: Weighted) -> Array:
    """Weights multiplied by one factor per output channel."""
    if not isinstance(node, ConvTranspose):
        return np.asarray(weight * scale.reshape(-1, *[1] * (weight.ndim - 1)))
    spread = np.repeat(scale.reshape(node.groups, -1), weight.shape[0] // node.groups, axis=0)
    return np.asarray(weight * spread.reshape(*weight.shape[:2], *[1] * (weight.ndim - 2)))


def per_input(weight: Array, values: Array, node: Weighted) -> Array:
    """Weights multiplied by one factor per input channel."""
    if isinstance(node, ConvTranspose):
        return np.asarray(weight * values.reshape(-1, *[1] * (weight.ndim - 1)))
    groups = node.groups if isinstance(node, Conv) else 1
    spread = np.repeat(values.reshape(groups, -1), weight.shape[0] // groups, axis=0)
    return np.asarray(weight * spread.reshape(*weight.shape[:2], *[1] * (weight.ndim - 2)))


@dataclass(slots=True)
class Folding:
    """The rewritten nodes and arrays."""

    net: Network
    nodes: dict[str, Node] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def weights(self, node: Weighted) -> tuple[Array, Array | None]:
        """The current weights of a node."""
        return self.net.arrays[node.weight].astype(np.float64), None if node.bias is None else self.net.arrays[
            node.bias
        ].astype(np.float64)

    def put(self, name: str, old: Weighted, weight: Array, bias: Array, inputs: tuple[str, ...], like: Node) -> None:
        """A weighted node under another name, with new weights."""
        names = f"{name}/weight", f"{name}/bias"
        self.arrays[names[0]], self.arrays[names[1]] = weight.astype(np.float32), bias.astype(np.float32)
        fields = {f: getattr(old, f) for f in type(old).__struct_fields__}
        fields |= {"name": name, "inputs": inputs, "weight": names[0], "bias": names[1]}
        fields |= {"shape": like.shape, "batch": like.batch}
        self.nodes[name] = type(old)(**fields)

    def into_previous(self, node: BatchNorm) -> bool:
        """Fold into the weighted node before it, if that has no other reader and its channels lie on axis 1."""
        before = self.net[node.inputs[0]]
        if not isinstance(before, Weighted) or len(self.net.consumers[before.name]) > 1:
            return False
        if before.name in self.net.outputs or before.name in self.nodes:
            return False
        if isinstance(before, Linear) and before.axis != 1:
            return False
        scale, shift = scale_and_shift(self.net, node)
        weight, bias = self.weights(before)
        merged = shift if bias is None else bias * scale + shift
        self.put(node.name, before, per_output(weight, scale, before), merged, before.inputs, node)
        return True

    def into_next(self, node: BatchNorm) -> bool:
        """Fold into the only reader, a weighted node over the same channels that pads nothing."""
        readers = self.net.consumers[node.name]
        if len(readers) != 1 or node.name in self.net.outputs:
            return False
        after = readers[0]
        if not isinstance(after, Conv | Linear) or after.name in self.nodes:
            return False
        scale, shift = scale_and_shift(self.net, node)
        if isinstance(after, Conv) and any(after.padding) and np.any(shift != 0):
            return False
        if isinstance(after, Linear) and after.axis != 1:
            return False
        weight, bias = self.weights(after)
        moved = per_input(weight, shift, after).sum(axis=tuple(range(1, weight.ndim)))
        merged = moved if bias is None else bias + moved
        self.put(after.name, after, per_input(weight, scale, after), merged, node.inputs, after)
        self.gone.add(node.name)
        return True


@transform(fidelity=Fidelity.EXACT, gives={"folded"})
def fold_batchnorm(net: Network, ctx: Context) -> Network:
    """Fold each BatchNormalization into the linear operator before it, else into the one behind it.

        w' = gamma / sqrt(variance + epsilon) w,   b' = beta + gamma (b - mean) / sqrt(variance + epsilon)

    Shapes     weight: (out, in/groups, *kernel); gamma, beta, mean, variance: (channels,)
    Guarantee  exact up to rounding of the weights to float32
    Refuses    nothing: what cannot be folded (before a zero-padded convolution, whose borders the shift must not
               enter; behind an activation with several readers) becomes an affine node and a line in the record
    Source     arXiv:1502.03167; arXiv:1612.04052
    """
    work = Folding(net)
    for node in net.nodes:
        if not isinstance(node, BatchNorm) or work.into_previous(node) or work.into_next(node):
            continue
        scale, shift = scale_and_shift(net, node)
        shape = (1, -1, *[1] * (len(node.shape) - 2))
        names = f"{node.name}/scale", f"{node.name}/shift"
        work.arrays[names[0]] = scale.reshape(shape).astype(np.float32)
        work.arrays[names[1]] = shift.reshape(shape).astype(np.float32)
        work.nodes[node.name] = Affine(
            name=node.name, inputs=node.inputs, shape=node.shape, batch=node.batch, scale=names[0], shift=names[1]
        )
        ctx.note("information", node.name, "BatchNormalization stays an affine node: no linear operator takes it")
    return net.replaced(work.nodes.values(), work.arrays)
