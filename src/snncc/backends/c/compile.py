# SPDX-License-Identifier: Apache-2.0
"""From an integer network to the program that its C package runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snncc.backends.c.accumulator import Accumulator, route
from snncc.backends.c.blob import Table
from snncc.backends.c.compilation import Compilation
from snncc.backends.c.fusion import FUSED
from snncc.backends.c.index_maps import MOVES, joined, moved, spread, still
from snncc.backends.c.layers import add_convolution, add_linear, max_pool, neuron
from snncc.backends.c.layout import EVENTS, Array, Buffer, IndexMap, channels_last, smallest
from snncc.backends.c.program import Fire, Output, Pool, Program
from snncc.errors import EmitError
from snncc.execute.reference import evaluate_function
from snncc.integer.widths import Width
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, Concat, Conv, Differential, Input, Linear, MaxPool, Neuron, Node, Reduce, Sum

#: Outputs up to this many get the table that proves when the leader cannot be overtaken.
COMPARED = 32


def compile_network(network: Network, widths: Sequence[Width], *, max_timesteps: int) -> Program:
    """The program of an integer network with the widths that are proved for it.

    Raises EmitError naming the node that has no form in C or does not fit.
    """
    ranges = {(w.layer, w.quantity): (w.smallest, w.largest) for w in widths}
    return Compiler(network=network, ranges=ranges, max_timesteps=max_timesteps).compiled()


class Compiler(Compilation):
    """Visits the nodes in order."""

    def compiled(self) -> Program:
        """Visit every node and lay out the outputs."""
        net = self.network
        inputs = tuple((node.name, self.input(node)) for node in net.inputs)
        for node in net.nodes:
            if not isinstance(node, Input) and not self.fusion.absorbed(node):
                self.visit(node)
        outputs, sums = self.outputs()
        return Program(
            schedule=net.schedule,
            max_timesteps=self.max_timesteps,
            inputs=inputs,
            buffers=tuple(self.buffers),
            calls=tuple(self.calls),
            sums=sums,
            outputs=outputs,
            traced=tuple(self.traced),
            maps=self.maps,
            gains=self.gains(),
            blob=self.blob,
        )

    def input(self, node: Input) -> Buffer:
        """The bytes of an input, in the order of its shape."""
        if node.dtype != "uint8":
            raise EmitError(f"the input {node.name} is {node.dtype}", cure="lower the network to integers first")
        if node.batch != 0:
            raise EmitError(f"the input {node.name} has no samples on axis 0", cure="export it with a batch axis")
        size = math.prod(node.shape)
        buffer = self.keep(Buffer(name=f"input_{self.number[node.name]}", type="uint8", size=size, lifetime="input"))
        self.maps[node.name] = IndexMap(
            buffer=buffer,
            where=np.arange(size).reshape(node.shape),
            constant=None,
            low=np.zeros(node.shape),
            high=np.full(node.shape, 255.0),
        )
        return buffer

    def visit(self, node: Node) -> None:
        """Compile one node."""
        if node.name not in self.fusion.moving:
            value = self.network.value_of(node.name)
            if value is None:
                inputs = [self.still_value(name) for name in node.inputs]
                value = evaluate_function(node, inputs, self.network.arrays, 1.0)
            self.maps[node.name] = still(value)
        elif isinstance(node, MOVES):
            self.maps[node.name] = moved(node, self.maps[node.inputs[0]])
        elif isinstance(node, Concat):
            self.concatenate(node)
        elif isinstance(node, FUSED):
            self.maps[node.name] = self.accumulate(node)
        elif isinstance(node, Neuron) and node.WHOLE:
            self.emit(node, *neuron(self, node))
        elif isinstance(node, Differential) and isinstance(node.function, MaxPool) and node.direct:
            self.emit(node, *max_pool(self, node))
        else:
            kind = type(getattr(node, "function", node)).__name__
            raise EmitError(f"{node.name}: {kind} has no form in C", cure="see docs/deploy.md for what has one")

    def still_value(self, name: str) -> Array:
        """The value of a node that does not depend on the input."""
        found = self.maps[name].constant
        return np.zeros(self.network[name].shape) if found is None else found

    def emit(self, node: Node, index: IndexMap, call: Fire | Pool) -> None:
        """Keep the call of a layer that makes events."""
        self.maps[node.name] = index
        self.calls.append(call)
        self.traced.append((node.name, call.target))

    def accumulate(self, node: Node) -> IndexMap:
        """The value of a linear node in an accumulator of its own."""
        where = self.fusion.layout(node, self.maps)
        to = self.accumulator(node, where, "acc", node.name in self.fusion.steady)
        self.add(to, node, 1)
        return self.finish(to)

    def add(self, to: Accumulator, node: Node, factor: int) -> None:
        """Add factor * node to an accumulator that is laid out for the node's shape."""
        if isinstance(node, Sum):
            terms = sorted(zip(node.inputs, node.coefficients, strict=True), key=lambda term: not self.first(term[0]))
            for name, coefficient in terms:
                self.add_value(to, name, factor * round(coefficient), node.shape)
        elif isinstance(node, Affine):
            self.add_affine(to, node, factor)
        elif isinstance(node, Conv | Linear):
            if not np.array_equal(to.where, self.fusion.layout(node, self.maps)):
                to.add_entries(self.accumulate(node), to.where, factor)
            elif isinstance(node, Conv):
                add_convolution(self, to, node, factor)
            else:
                add_linear(self, to, node, factor)
        elif isinstance(node, Reduce) and node.op == "sum":
            index = self.maps[node.inputs[0]]
            axes = {axis % index.where.ndim for axis in node.axes}
            kept = tuple(1 if i in axes else n for i, n in enumerate(index.where.shape))
            to.add_entries(index, np.broadcast_to(to.where.reshape(kept), index.where.shape), factor)
        else:
            raise EmitError(f"{node.name}: a mean has no integer form", cure="lower the network to integers first")

    def first(self, name: str) -> bool:
        """Whether a term of a sum is made in place with a rescaling, which must come before the other terms."""
        node = self.network[name]
        return self.fusion.absorbed(node) and self.fusion.rescales(node)

    def add_value(self, to: Accumulator, name: str, factor: int, shape: tuple[int, ...]) -> None:
        """Add factor * value, made in place where the value belongs to this accumulator alone."""
        if name in self.maps:
            to.add_entries(spread(self.maps[name], shape), to.where, factor)
        else:
            self.add(to, self.network[name], factor)

    def add_affine(self, to: Accumulator, node: Affine, factor: int) -> None:
        """factor * (scale * x + shift)."""
        arrays, name, one = self.network.arrays, node.inputs[0], self.fusion.factor(node)
        scale = np.ones(()) if node.scale is None else factor * arrays[node.scale].astype(np.float64)
        if one is not None:
            self.add_value(to, name, factor * one, node.shape)
        elif name in self.maps:
            to.add_entries(spread(self.maps[name], node.shape), to.where, 1, scale)
        else:
            self.add(to, self.network[name], 1)
            to.rescale(np.broadcast_to(scale, node.shape))
        if node.shift is not None:
            to.add_bias(to.where, factor * np.broadcast_to(arrays[node.shift], node.shape).astype(np.float64))

    def concatenate(self, node: Concat) -> None:
        """Parts of one buffer are joined at no cost, others are copied into a new one."""
        parts = [self.maps[name] for name in node.inputs]
        if len({part.buffer.name for part in parts if part.buffer is not None}) <= 1:
            self.maps[node.name] = joined(parts, node.axis)
            return
        to = self.accumulator(node, channels_last(node.shape), "join", node.name in self.fusion.steady)
        ends = np.cumsum([part.where.shape[node.axis] for part in parts])[:-1]
        for part, target in zip(parts, np.split(to.where, ends, node.axis), strict=True):
            to.add_entries(part, target)
        self.maps[node.name] = self.finish(to, EVENTS)

    def outputs(self) -> tuple[tuple[Output, ...], Buffer]:
        """Running sums of the outputs, in the order of their shapes."""
        sizes = [math.prod(self.network[name].shape) for name in self.network.outputs]
        sums = self.keep(Buffer(name="sums", type="int32", size=sum(sizes), lifetime="run"))
        found, offset = [], 0
        for name, size in zip(self.network.outputs, sizes, strict=True):
            index, shape = self.maps[name], self.network[name].shape
            if index.constant is not None:
                index = self.copied(self.network[name], name, index)
            smallest(*self.proved(name, "sum"), ("int32",), name)
            target = np.arange(offset, offset + size).reshape(shape)
            when = "gate" if index.buffer is not None and index.buffer.lifetime == "input" else "step"
            self.calls.append(route(name, when, index, target, sums, self.blob))
            found.append(Output(name=name, shape=shape, offset=offset, size=size))
            offset += size
        return tuple(found), sums

    def gains(self) -> Table | None:
        """gains[i, j]: the least that output i gains on output j in one step, from the bounds of what they sum."""
        if len(self.network.outputs) > 1 or not 1 < math.prod(self.network[self.network.outputs[0]].shape) <= COMPARED:
            return None
        node = self.network[self.network.outputs[0]]
        index = self.maps[node.name]
        least = index.low.reshape(-1, 1) - index.high.reshape(1, -1)
        if isinstance(node, Linear) and node.shape[node.axis] == least.shape[0]:
            least = np.maximum(least, self.pairwise(node))
        least = np.maximum(least, -(2.0**31) + 1)
        return self.blob.table(least)

    def pairwise(self, node: Linear) -> Array:
        """The least of sum_k (W[i, k] - W[j, k]) x[k] + b[i] - b[j] over all x within their bounds."""
        weight = self.network.arrays[node.weight].astype(np.float64)
        index = self.maps[node.inputs[0]]
        low, high = (np.moveaxis(bound, node.axis, -1).reshape(-1) for bound in (index.low, index.high))
        still_part = (
            np.zeros_like(low) if index.constant is None else np.moveaxis(index.constant, node.axis, -1).ravel()
        )
        difference = weight[:, None, :] - weight[None, :, :]
        constant = difference @ still_part
        if node.bias is not None:
            bias = self.network.arrays[node.bias].astype(np.float64)
            constant = constant + bias[:, None] - bias[None, :]
        if self.network.schedule.kind != "constant":
            constant = np.minimum(constant, 0)  # the input may be off
        return np.asarray(np.maximum(difference, 0) @ low + np.minimum(difference, 0) @ high + constant)
