# SPDX-License-Identifier: Apache-2.0
"""How values of a network lie in the generated C's memory."""

from __future__ import annotations

import numpy as np

from snncc.execute.native.program import Addend, Grid, Term, UnsupportedNode
from snncc.execute.reference import evaluate_function
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Node, Reshape, Spiking, Transpose


def grid_of(node: Node) -> Grid:
    """A node's value as pixels and channels; raises UnsupportedNode."""
    if not has_grid(node):
        raise UnsupportedNode(node, f"a value of shape {list(node.shape)} with its samples on axis {node.batch}")
    height, width = (1, 1, *node.shape[2:])[-2:]
    return Grid(height=height, width=width, channels=node.shape[1])


def has_grid(node: Node) -> bool:
    """Whether a node's value is pixels and channels."""
    return node.batch == 0 and node.shape[0] == 1 and 2 <= len(node.shape) <= 4


def gathered_source(net: Network, name: str) -> tuple[str, tuple[Node, ...]]:
    """A value that is pixels and channels, and what has moved its entries since to a value that is not."""
    node = net[name]
    gathers: list[Node] = []
    while isinstance(node, (Reshape, Transpose)) and not has_grid(node):
        gathers.insert(0, node)
        node = net[node.inputs[0]]
    return node.name, tuple(gathers)


def by_pixel(array: Array, node: Node) -> Array:
    """An array that broadcasts against a node's shape as (pixels, channels)."""
    full = np.broadcast_to(array, node.shape)[0]
    return np.array(np.moveaxis(full.reshape(full.shape[0], -1), 0, 1), order="C")


def uniform(table: Array) -> bool:
    """Whether a (pixels, channels) table is the same at every pixel."""
    return bool((table == table[:1]).all())


def steady_values(net: Network) -> frozenset[str]:
    """The values that are the same at every step up to the gate: what no neuron or encoder reaches."""
    moving: set[str] = set()
    for node in net.nodes:
        emits = isinstance(node, Spiking) and node.name in net.varying
        if emits or any(name in moving for name in node.inputs):
            moving.add(node.name)
    return frozenset(node.name for node in net.nodes if node.name not in moving)


def gathered_from(net: Network, node: Node, position: int) -> Array:
    """Where each entry of a moving node comes from in input `position`, -1 where from elsewhere."""
    numbers = []
    for k, name in enumerate(node.inputs):
        if (fixed := net.value_of(name)) is not None:
            numbers.append(fixed)
            continue
        source, gathers = gathered_source(net, name)
        grid = grid_of(net[source])
        laid = np.arange(1, grid.size + 1).reshape(grid.pixels, grid.padded)[:, : grid.channels]
        entries = np.moveaxis(laid, 1, 0).reshape(net[source].shape) * (k == position)
        for gather in gathers:
            entries = evaluate_function(gather, [entries], net.arrays, 1.0)
        numbers.append(entries)
    moved = evaluate_function(node, numbers, net.arrays, 1.0)
    out = grid_of(node)
    table = by_pixel(moved, node)
    return (out.laid_out(table) - 1).astype(np.int32).reshape(-1)


def ungrouped(weight: Array, groups: int) -> Array:
    """Weights of a grouped convolution as those of an ordinary one, with zeros between the groups."""
    if groups == 1:
        return weight
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    full = np.zeros((weight.shape[0], inputs * groups, *weight.shape[2:]))
    for k in range(groups):
        rows = slice(k * outputs, (k + 1) * outputs)
        full[rows, k * inputs : (k + 1) * inputs] = weight[rows]
    return full


class Current:
    """A sum that is being collected: convolutions, entries added, constants."""

    def __init__(self, node: Node) -> None:
        self.node, self.grid = node, grid_of(node)
        self.terms: list[Term] = []
        self.addends: list[Addend] = []
        self.bias = np.zeros((self.grid.pixels, self.grid.channels))
