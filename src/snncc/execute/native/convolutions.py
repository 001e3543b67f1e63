# SPDX-License-Identifier: Apache-2.0
"""Linear nodes as convolutions of what they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snncc.execute.native.layout import grid_of
from snncc.execute.native.program import UnsupportedNode
from snncc.ir.network import Array, Network
from snncc.ir.nodes import AveragePool, Conv, Linear, MaxPool, Node, Reduce, Reshape

#: What `convolution_of` knows.
LINEAR = (Conv, Linear, AveragePool, Reduce)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """A convolution of the value `source` in two dimensions; weight: (out, in / groups, *kernel), bias: per channel."""

    source: str
    weight: Array
    bias: Array | float = 0.0
    groups: int = 1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)


def pair(values: Sequence[int], before: int) -> tuple[int, int]:
    """One or two numbers as two; in one dimension `before` stands for the height's."""
    height, width = (before, *values)[-2:]
    return height, width


def windows(node: Conv | AveragePool | MaxPool) -> dict[str, tuple[int, int]]:
    """Where the windows of a node over one or two axes lie; in one dimension they have height 1."""
    padding = pair(node.padding[: len(node.stride)], 0)
    return {"stride": pair(node.stride, 1), "dilation": pair(node.dilation, 1), "padding": padding}


def convolution_of(net: Network, node: Node) -> Convolution:
    """A linear node as a convolution; raises UnsupportedNode."""
    if isinstance(node, Conv):
        return convolution(net, node)
    if isinstance(node, Linear):
        return fully_connected(net, node)
    if isinstance(node, AveragePool):
        return average(node)
    if isinstance(node, Reduce):
        return reduction(net, node)
    raise UnsupportedNode(node, "no event-driven form")


def array(net: Network, name: str | None, default: float = 0.0) -> Array:
    """An array of the network in double precision."""
    return np.asarray(default if name is None else net.arrays[name], np.float64)


def convolution(net: Network, node: Conv) -> Convolution:
    """In one dimension it has height 1."""
    weight, rank = array(net, node.weight), len(node.shape) - 2
    if rank > 2 or any(p < 0 for p in node.padding):
        raise UnsupportedNode(node, f"{rank} dimensions or negative padding")
    one = (1,) * (2 - rank)
    return Convolution(
        source=node.inputs[0],
        weight=weight.reshape(*weight.shape[:2], *one, *weight.shape[2:]),
        bias=array(net, node.bias),
        groups=node.groups,
        **windows(node),
    )


def fully_connected(net: Network, node: Linear) -> Convolution:
    """A convolution whose kernel is the whole input, or one at every pixel."""
    source, weight = net[node.inputs[0]], array(net, node.weight)
    if node.axis != 1:
        raise UnsupportedNode(node, f"weights along axis {node.axis}")
    if isinstance(source, Reshape) and len(source.shape) == 2 and len(net[source.inputs[0]].shape) > 2:
        source = net[source.inputs[0]]
    grid = grid_of(source)
    if len(node.shape) > 2:
        weight = weight[:, :, None, None]
    else:
        weight = weight.reshape(len(weight), grid.channels, grid.height, grid.width)
    return Convolution(source=source.name, weight=weight, bias=array(net, node.bias))


def average(node: AveragePool) -> Convolution:
    """A depthwise convolution of equal weights."""
    rank, size = len(node.kernel), int(np.prod(node.kernel))
    if rank > 2 or node.ceil_mode or (any(node.padding) and not node.count_include_pad):
        raise UnsupportedNode(node, "windows of different sizes")
    one = (1,) * (2 - rank)
    return Convolution(
        source=node.inputs[0],
        weight=np.full((node.shape[1], 1, *one, *node.kernel), 1 / size),
        bias=0.0,
        groups=node.shape[1],
        **windows(node),
    )


def reduction(net: Network, node: Reduce) -> Convolution:
    """The mean or sum over all pixels: an average whose window is the whole input."""
    grid = grid_of(net[node.inputs[0]])
    if set(node.axes) != set(range(2, len(net[node.inputs[0]].shape))):
        raise UnsupportedNode(node, f"a reduction over axes {list(node.axes)}")
    value = 1 / grid.pixels if node.op == "mean" else 1.0
    weight = np.full((grid.channels, 1, grid.height, grid.width), value)
    return Convolution(source=node.inputs[0], weight=weight, groups=grid.channels)
