# SPDX-License-Identifier: Apache-2.0
"""What feeds a neuron: the weighted nodes that reach it alone, their biases, and residuals brought back to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from torch import Tensor

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, Conv, ConvTranspose, Linear, Neuron, Node, Reshape, Sum, Transpose
from snncc.transform.base import channel_axis
from snncc.transform.features import Weighted

WEIGHTED = (Conv, ConvTranspose, Linear)


@dataclass(frozen=True, slots=True)
class Branch:
    """A weighted node that reaches a neuron alone, and the nodes from it to the neuron's current."""

    node: Weighted
    path: tuple[Node, ...]


def branches(net: Network, neuron: Neuron) -> list[Branch]:
    """The weighted nodes that feed one neuron and nothing else, through nodes whose effect can be undone."""
    found: list[Branch] = []

    def walk(name: str, path: tuple[Node, ...]) -> None:
        node = net[name]
        if len(net.consumers[name]) > 1 or name in net.outputs or name not in net.varying:
            return
        if isinstance(node, WEIGHTED):
            found.append(Branch(node, path))
        elif isinstance(node, Sum | Affine | Reshape | Transpose) and net.is_linear(node):
            for source in node.inputs:
                if reversible(net, node, source):
                    walk(source, (node, *path))

    walk(neuron.inputs[0], ())
    return found


def reversible(net: Network, node: Node, source: str) -> bool:
    """Whether a residual of the node tells that of one of its inputs: no broadcasting, nothing scaled to zero."""
    if isinstance(node, Affine) and node.scale is not None and not net.arrays[node.scale].all():
        return False
    return isinstance(node, Reshape | Transpose) or tuple(node.shape) == tuple(net[source].shape)


def undo(net: Network, branch: Branch, residual: Tensor, arrays: Mapping[str, Tensor]) -> Tensor:
    """The residual at the weighted node that would explain a residual of the current."""
    source = branch.node.name
    steps: list[tuple[Node, str]] = []
    for node in branch.path:
        steps.append((node, source))
        source = node.name
    for node, read in reversed(steps):
        shape, batch = net[read].shape, net[read].batch
        extents = [-1 if i == batch else d for i, d in enumerate(shape)]
        if isinstance(node, Transpose):
            residual = residual.permute(*np.argsort(node.permutation).tolist())
        elif isinstance(node, Reshape):
            residual = residual.reshape(extents)
        elif isinstance(node, Sum):
            residual = residual / node.coefficients[node.inputs.index(read)]
        elif isinstance(node, Affine) and node.scale is not None:
            residual = residual / arrays[node.scale]
    return residual


def with_biases(net: Network) -> Network:
    """The network with a bias in every weighted node. (Lowering gives each node arrays of its own.)"""
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node:
        if not isinstance(node, WEIGHTED) or node.bias is not None:
            return node
        name = f"{node.name}/bias"
        arrays[name] = np.zeros(node.shape[out_axis(node)], np.float32)
        return msgspec.structs.replace(node, bias=name)

    return net.rewrite(change, arrays)


def with_shifts(net: Network, shifts: Mapping[str, Tensor]) -> Network:
    """The shifts of currents put into a bias where a weighted node alone feeds the neuron, else an affine node."""
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node | list[Node]:
        if not isinstance(node, Neuron) or node.name not in shifts or not shifts[node.name].any():
            return node
        value = shifts[node.name].numpy().astype(np.float32)
        direct = [b for b in branches(net, node) if all(isinstance(p, Sum) and p.shape == b.node.shape for p in b.path)]
        if direct and direct[0].node.bias is not None and channel_axis(net, node) == out_axis(direct[0].node):
            branch, sign = direct[0], 1.0
            source = branch.node.name
            for step in branch.path:
                sign *= step.coefficients[step.inputs.index(source)] if isinstance(step, Sum) else 1.0
                source = step.name
            bias = str(branch.node.bias)
            arrays[bias] = (arrays.get(bias, net.arrays[bias]) + value.reshape(-1) / sign).astype(np.float32)
            return node
        name = f"{node.name}.corrected"
        arrays[f"{name}/shift"] = value
        source_node = net[node.inputs[0]]
        extra = Affine(
            name=name,
            inputs=node.inputs,
            shape=source_node.shape,
            batch=source_node.batch,
            shift=f"{name}/shift",
        )
        return [extra, msgspec.structs.replace(node, inputs=(name,))]

    return net.rewrite(change, arrays)


def out_axis(node: Weighted) -> int:
    """The axis of a weighted node's output channels."""
    return node.axis if isinstance(node, Linear) else 1
