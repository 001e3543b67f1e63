# SPDX-License-Identifier: Apache-2.0
"""The spiking network as a NIR graph (https://neuroir.org), written with the package `nir`."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from snncc.errors import UsageError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, AveragePool, Conv, Input, Linear, Neuron, Node, Reduce, Reshape, Sum

if TYPE_CHECKING:
    import nir

#: The threshold of a neuron that never fires.
NEVER = float(np.finfo(np.float32).max)


def package() -> Any:
    """The package `nir`; raises UsageError where it is not installed."""
    try:
        import nir
    except ImportError:
        raise UsageError("NIR needs the package nir", cure="pip install 'snncc[nir]'") from None
    return nir


@dataclass(slots=True)
class GraphWriter:
    """A graph in the making. `sources` are the NIR nodes whose sum is a value of the network."""

    net: Network
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    sources: dict[str, list[str]] = field(default_factory=dict)
    #: The value that each node computes.
    values: dict[str, str] = field(default_factory=dict)

    def put(self, value: str, made: Any, inputs: Sequence[str]) -> str:
        """A node under a name that every reader can use (an identifier, no path)."""
        base = re.sub(r"\W+", "_", value, flags=re.ASCII).strip("_") or "value"
        base = f"_{base}" if base[0].isdigit() else base
        name, count = base, 1
        while name in self.nodes:
            name, count = f"{base}_{count}", count + 1
        self.nodes[name], self.values[name] = made, value
        self.edges += [(source, name) for source in inputs]
        return name

    def array(self, name: str) -> Array:
        """An array in float32."""
        return np.array(self.net.arrays[name], np.float32)

    def full(self, name: str, node: Node) -> Array:
        """An array with an entry per neuron."""
        return np.array(np.broadcast_to(self.array(name), node.shape)[0])

    def write(self) -> None:
        """Every node that carries rates, and the outputs."""
        nir = package()
        for node in self.net.nodes:
            if node.name not in self.net.varying:
                continue
            if isinstance(node, Sum):
                self.sources[node.name] = self.summed(node)
                continue
            given = self.sources[node.inputs[0]] if node.inputs else []
            name = self.put(node.name, self.made(node), given)
            if isinstance(node, Reduce) and not node.keepdims:
                shape = np.array([node.shape[1], 1, 1])
                name = self.put(f"{node.name}.flat", nir.Flatten(input_type=shape, start_dim=0), [name])
            self.sources[node.name] = [name]
        for output in self.net.outputs:
            shape = np.array(self.net[output].shape[1:])
            self.put(f"{output}.output", nir.Output(output_type=shape), self.sources[output])

    def summed(self, node: Sum) -> list[str]:
        """The nodes whose edges sum to the value: each at most once, multiplied by its coefficient."""
        nir, total = package(), dict[str, float]()
        for name, coefficient in zip(node.inputs, node.coefficients, strict=True):
            for source in self.sources[name]:
                total[source] = total.get(source, 0.0) + coefficient
        found = []
        for source, coefficient in total.items():
            if coefficient == 1:
                found.append(source)
                continue
            scale = np.full(node.shape[1:], coefficient, np.float32)
            found.append(self.put(f"{node.name}.{source}", nir.Scale(scale=scale), [source]))
        return found

    def made(self, node: Node) -> Any:
        """The NIR node of a node."""
        nir = package()
        source = self.net[node.inputs[0]] if node.inputs else node
        match node:
            case Input():
                return nir.Input(input_type=np.array(node.shape[1:]))
            case Neuron():
                threshold = self.full(node.threshold, node)
                threshold = np.where(threshold > 0, threshold, np.float32(NEVER))
                ones = np.ones_like(threshold)
                return nir.IF(r=ones, v_threshold=threshold, v_reset=np.zeros_like(threshold))
            case Conv():
                return self.convolution(node, source.shape[2:])
            case Linear():
                weight = self.array(node.weight)
                bias = np.zeros(len(weight), np.float32) if node.bias is None else self.array(node.bias)
                return nir.Affine(weight=weight, bias=bias)
            case AveragePool():
                half = len(node.padding) // 2
                return pool(nir.AvgPool2d, node.kernel, node.stride, node.padding[:half])
            case Reduce():
                kernel = source.shape[2:]
                return pool(nir.AvgPool2d if node.op == "mean" else nir.SumPool2d, kernel, kernel, (0, 0))
            case Affine():
                scale = np.ones((), np.float32) if node.scale is None else self.array(node.scale)
                return nir.Scale(scale=np.array(np.broadcast_to(scale, node.shape)[0]))
            case Reshape():
                return nir.Flatten(input_type=np.array(source.shape[1:]), start_dim=0)
        raise TypeError(f"{node.name} was not checked before")

    def convolution(self, node: Conv, extents: Sequence[int]) -> Any:
        """Conv1d or Conv2d; groups become zero weights, because readers infer the shapes of one group alone."""
        nir, weight = package(), self.array(node.weight)
        if node.groups > 1:
            out, inputs = len(weight) // node.groups, weight.shape[1]
            dense = np.zeros((len(weight), inputs * node.groups, *weight.shape[2:]), np.float32)
            for i in range(node.groups):
                dense[i * out : (i + 1) * out, i * inputs : (i + 1) * inputs] = weight[i * out : (i + 1) * out]
            weight = dense
        bias = np.zeros(len(weight), np.float32) if node.bias is None else self.array(node.bias)
        padding = tuple(node.padding[: len(extents)])
        if len(extents) == 1:
            (stride,), (pad,), (dilation,), (extent,) = node.stride, padding, node.dilation, extents
            return nir.Conv1d(
                input_shape=extent, weight=weight, stride=stride, padding=pad, dilation=dilation, groups=1, bias=bias
            )
        return nir.Conv2d(
            input_shape=tuple(extents),
            weight=weight,
            stride=tuple(node.stride),
            padding=padding,
            dilation=tuple(node.dilation),
            groups=1,
            bias=bias,
        )


def pool(kind: Any, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Any:
    """A pool over images."""
    return kind(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.array(padding))


def nir_graph(net: Network) -> tuple[nir.NIRGraph, dict[str, str]]:
    """A lowered network as a NIR graph, and the value that each of its nodes computes."""
    writer = GraphWriter(net)
    writer.write()
    graph = package().NIRGraph(nodes=writer.nodes, edges=writer.edges, metadata={})
    return graph, writer.values


def nir_bytes(graph: nir.NIRGraph) -> bytes:
    """A graph as the bytes of an HDF5 file."""
    stream = io.BytesIO()
    package().write(stream, graph)
    return stream.getvalue()
