# SPDX-License-Identifier: Apache-2.0
"""Infinities that a graph adds to values to hide entries from a softmax or a maximum.

A spiking network transmits sums; an infinity in a sum stays there, and times a gate of 0 it is no number. `MASK` does
the same work: exp(-MASK) is 0 in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, Constant, Node, Operator, Pad

MASK = 1e9
#: Functions of which an infinite argument means something else than a large one.
EXACT = ("masked_softmax",)


def holds(net: Network, node: Node, test: Callable[[Array], Array]) -> bool:
    """Whether a constant that a node adds or is passes a test in some entry."""
    if isinstance(node, Pad):
        return bool(test(np.asarray(node.value)))
    arrays = [net.arrays[name] for name in node.array_names()] if isinstance(node, (Affine, Constant)) else []
    return any(bool(np.any(test(a))) for a in arrays if a.dtype.kind == "f")


def asks(net: Network, node: Node) -> bool:
    """Whether a node asks for NaN or infinity: the graph then relies on what infinities give."""
    if not isinstance(node, Operator) or node.op not in ("is_nan", "is_infinite", "equal"):
        return False
    return node.op != "equal" or any(holds(net, net[name], np.isinf) for name in node.inputs)


def kept_exact(net: Network) -> set[str]:
    """The values whose infinities stay: outputs, and what functions that know infinities read."""
    exact: set[str] = set(net.outputs)  # what a graph gives out it gives out as it is
    for node in reversed(net.nodes):
        if node.name in exact and net.is_linear(node):
            exact.update(node.inputs)
        if node.name in exact or (isinstance(node, Operator) and node.op in EXACT):
            exact.update(name for name in node.inputs if name not in net.varying)
    return exact


def finite_masks(net: Network) -> Network:
    """The network with plus and minus MASK for the infinities that reach sums of values that carry rates."""
    if any(asks(net, node) for node in net.nodes):
        return net
    exact = kept_exact(net)
    found = [node for node in net.nodes if node.name not in exact and holds(net, node, np.isinf)]
    arrays = {
        name: np.nan_to_num(a, nan=np.nan, posinf=MASK, neginf=-MASK)
        for node in found
        for name in node.array_names()
        if (a := net.arrays[name]).dtype.kind == "f"
    }
    pads = [
        msgspec.structs.replace(node, value=math.copysign(MASK, node.value)) for node in found if isinstance(node, Pad)
    ]
    return net.replaced(pads, arrays) if found else net


def masks(net: Network) -> list[str]:
    """The nodes that add or are a mask."""
    return [node.name for node in net.nodes if holds(net, node, lambda a: np.abs(a) == np.float32(MASK))]


def masked(net: Network) -> frozenset[str]:
    """The values that a mask reaches."""
    found = set(masks(net))
    for node in net.nodes:
        if any(name in found for name in node.inputs):
            found.add(node.name)
    return frozenset(found)
