# SPDX-License-Identifier: Apache-2.0
"""From a network to a `Program`: which nodes become steps, and what each neuron's current sums."""

from __future__ import annotations

import numpy as np

from snncc.execute.native.layout import Current, by_pixel, grid_of, moved_from, steady_values, ungrouped, uniform
from snncc.execute.native.program import (
    Addend,
    Layer,
    Move,
    Pool,
    Program,
    Term,
    UnsupportedNode,
    Value,
)
from snncc.ir.analysis import tail
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    IF,
    NEURONS,
    SPIKING,
    Affine,
    AveragePool,
    CentredIF,
    Concat,
    Conv,
    Differential,
    Linear,
    MaxPool,
    Node,
    Pad,
    Reduce,
    Reshape,
    SignedIF,
    Slice,
    Sum,
    Transpose,
)

#: Nodes that only move entries.
MOVES = (Slice, Pad, Reshape, Transpose, Concat)


class Lowering:
    """Walks a network once."""

    def __init__(self, network: Network) -> None:
        self.net = network
        self.steady = steady_values(network)
        self.tail = tail(network)
        self.program = Program()
        self.values: dict[str, Value] = {}

    def run(self) -> Program:
        """The program; raises UnsupportedNode."""
        net = self.net
        exports: list[str] = []
        for node in net.nodes:
            if node.name in self.steady or node.name in self.tail:
                continue
            read = any(c.name in self.tail for c in net.consumers[node.name]) or node.name in net.outputs
            emits = isinstance(node, (*SPIKING, Differential))
            if emits or read:
                self.value(node.name)
            if read:
                exports.append(node.name)
        self.program.exports = tuple(exports)
        return self.program

    def array(self, name: str | None, default: float = 0.0) -> Array:
        """An array of the network in double precision."""
        return np.asarray(default if name is None else self.net.arrays[name], np.float64)

    def value(self, name: str) -> Value:
        """The series `name`, computed by a step of its own."""
        if name in self.values:
            return self.values[name]
        node = self.net[name]
        if isinstance(node, NEURONS):
            found = self.neuron(node)
        elif isinstance(node, Differential) and isinstance(node.function, MaxPool) and node.direct:
            found = self.pool(node, node.function)
        elif isinstance(node, Differential):
            raise UnsupportedNode(node, f"{type(node.function).__name__} has no event-driven form in C")
        elif isinstance(node, MOVES):
            found = self.move(node)
        else:
            found = Value(node=node, grid=grid_of(node), negative=True)
            self.layer(node, found, None, name)
        self.values[name] = found
        return found

    def neuron(self, node: Node) -> Value:
        """A neuron with all that its current sums."""
        if not isinstance(node, (IF, SignedIF, CentredIF)) or (isinstance(node, CentredIF) and node.until):
            raise UnsupportedNode(node, "the event-driven engine has IF and SignedIF neurons")
        levels = node.burst if isinstance(node, IF) else node.levels
        if levels > 4:
            raise UnsupportedNode(node, f"{levels} spikes in one step are more than 4")
        amplitude = by_pixel(self.array(node.amplitude), node)
        value = Value(
            node=node,
            grid=grid_of(node),
            amplitude=amplitude[0] if uniform(amplitude) else amplitude,
            negative=not isinstance(node, IF),
            levels=levels,
        )
        self.layer(node, value, node, node.inputs[0])
        return value

    def layer(self, node: Node, out: Value, neuron: IF | SignedIF | CentredIF | None, current: str) -> None:
        """Append the step that sums `current`."""
        total, inline = Current(node), neuron is None or self.alone(current)
        self.collect(total, current, np.ones(total.grid.channels), inline=inline)
        self.program.steps.append(
            Layer(out=out, terms=tuple(total.terms), addends=tuple(total.addends), bias=total.bias, neuron=neuron)
        )

    def alone(self, name: str) -> bool:
        """Whether one node reads a value, so that it need not be kept."""
        return len(self.net.consumers[name]) == 1 and name not in self.net.outputs

    def collect(self, total: Current, name: str, scale: Array, *, inline: bool) -> None:
        """Add a value times a scale per channel to a sum: its parts where nothing else needs it, else itself."""
        node = self.net[name]
        if name in self.steady:
            self.add_steady(total, node, scale)
        elif inline and isinstance(node, Sum):
            for source, coefficient in zip(node.inputs, node.coefficients, strict=True):
                if self.net[source].shape != node.shape:
                    raise UnsupportedNode(node, "a sum of values of different shapes")
                self.collect(total, source, scale * coefficient, inline=self.alone(source))
        elif inline and isinstance(node, (Conv, Linear, AveragePool, Reduce)):
            self.convolve(total, node, scale)
        elif inline and isinstance(node, Affine):
            factor = by_pixel(self.array(node.scale, 1.0), node)
            if not uniform(factor):
                raise UnsupportedNode(node, "a factor per neuron")
            self.collect(total, node.inputs[0], scale * factor[0], inline=self.alone(node.inputs[0]))
            total.bias += scale * by_pixel(self.array(node.shift), node)
        elif inline and not isinstance(node, (*NEURONS, Differential, *MOVES)):
            raise UnsupportedNode(node, "no event-driven form")
        else:
            series = self.value(name)
            if series.grid != total.grid:
                raise UnsupportedNode(node, "a summand of another shape")
            total.addends.append(Addend(source=series, scale=scale))

    def add_steady(self, total: Current, node: Node, scale: Array) -> None:
        """A value that is the same at every step: constants go to the bias."""
        if node.name not in self.net.varying or node.batch != 0:
            raise UnsupportedNode(node, "a static summand")
        self.program.steady[node.name] = total.grid
        total.addends.append(Addend(source=node.name, scale=scale))

    def convolve(self, total: Current, node: Node, scale: Array) -> None:
        """A linear node as a convolution of events."""
        if isinstance(node, Conv):
            weight, rank = self.array(node.weight), len(node.shape) - 2
            if rank > 2 or any(p < 0 for p in node.padding):
                raise UnsupportedNode(node, f"{rank} dimensions or negative padding")
            one = (1,) * (2 - rank)
            stride, dilation = (*one, *node.stride), (*one, *node.dilation)
            padding = (*(0,) * (2 - rank), *node.padding[:rank])
            weight = weight.reshape(*weight.shape[:2], *one, *weight.shape[2:])
            self.term(total, node.inputs[0], weight, scale, node.groups, stride, dilation, padding)
            total.bias += scale * self.array(node.bias)
        elif isinstance(node, Linear):
            self.fully_connected(total, node, scale)
        elif isinstance(node, AveragePool):
            self.average(total, node, scale)
        elif isinstance(node, Reduce):
            grid = grid_of(self.net[node.inputs[0]])
            if set(node.axes) != set(range(2, len(self.net[node.inputs[0]].shape))):
                raise UnsupportedNode(node, f"a reduction over axes {list(node.axes)}")
            value = 1 / grid.pixels if node.op == "mean" else 1.0
            weight = np.full((grid.channels, 1, grid.height, grid.width), value)
            self.term(total, node.inputs[0], weight, scale, grid.channels)

    def fully_connected(self, total: Current, node: Linear, scale: Array) -> None:
        """A fully connected layer: a convolution whose kernel is the whole input."""
        source, weight = self.net[node.inputs[0]], self.array(node.weight)
        if node.axis != 1:
            raise UnsupportedNode(node, f"weights along axis {node.axis}")
        name = source.name
        if isinstance(source, Reshape) and len(source.shape) == 2 and len(self.net[source.inputs[0]].shape) > 2:
            name = source.inputs[0]
        grid = grid_of(self.net[name])
        if len(node.shape) > 2:
            weight = weight[:, :, None, None]  # at every pixel
        else:
            weight = weight.reshape(len(weight), grid.channels, grid.height, grid.width)
        self.term(total, name, weight, scale, 1)
        total.bias += scale * self.array(node.bias)

    def average(self, total: Current, node: AveragePool, scale: Array) -> None:
        """An average pool: a depthwise convolution of equal weights."""
        rank, size = len(node.kernel), int(np.prod(node.kernel))
        if rank > 2 or node.ceil_mode or (any(node.padding) and not node.count_include_pad):
            raise UnsupportedNode(node, "windows of different sizes")
        one = (1,) * (2 - rank)
        weight = np.full((node.shape[1], 1, *one, *node.kernel), 1 / size)
        padding = (*(0,) * (2 - rank), *node.padding[:rank])
        stride, dilation = (*one, *node.stride), (*one, *node.dilation)
        self.term(total, node.inputs[0], weight, scale, node.shape[1], stride, dilation, padding)

    def term(
        self,
        total: Current,
        name: str,
        weight: Array,
        scale: Array,
        groups: int,
        stride: tuple[int, ...] = (1, 1),
        dilation: tuple[int, ...] = (1, 1),
        padding: tuple[int, ...] = (0, 0),
    ) -> None:
        """Append a convolution; the amplitude per channel of its source goes into the weights."""
        source = self.value(name)
        inputs = source.grid.channels
        diagonal = groups == inputs == len(weight) > 1
        if diagonal:
            weight = weight[:, 0]
            if not source.valued and source.amplitude is not None:
                weight = weight * source.amplitude[:, None, None]
        else:
            weight = ungrouped(weight, groups)
            if not source.valued and source.amplitude is not None:
                weight = weight * source.amplitude[None, :, None, None]
        total.terms.append(
            Term(
                source=source,
                weight=weight,
                scale=scale,
                stride=(stride[0], stride[1]),
                dilation=(dilation[0], dilation[1]),
                padding=(padding[0], padding[1]),
                diagonal=diagonal,
            )
        )

    def pool(self, node: Differential, function: MaxPool) -> Value:
        """Event-driven max pooling."""
        source, rank = self.value(node.inputs[0]), len(function.kernel)
        if rank > 2:
            raise UnsupportedNode(node, f"{rank} dimensions")
        one = (1,) * (2 - rank)
        value = Value(node=node, grid=grid_of(node), negative=True)
        if source.amplitude is not None and not source.valued and (source.amplitude >= 0).all():
            value.amplitude, value.negative, value.levels = source.amplitude, source.negative, source.levels
        self.program.steps.append(
            Pool(
                out=value,
                source=source,
                kernel=(*one, *function.kernel),  # type: ignore[arg-type]
                stride=(*one, *function.stride),  # type: ignore[arg-type]
                dilation=(*one, *function.dilation),  # type: ignore[arg-type]
                padding=(*(0,) * (2 - rank), *function.padding[:rank]),  # type: ignore[arg-type]
            )
        )
        return value

    def move(self, node: Node) -> Value:
        """Entries moved: the table is what the node does to the numbers of the entries."""
        if isinstance(node, Pad) and (node.value != 0 or node.mode != "constant"):
            raise UnsupportedNode(node, "padding with something else than zeros")
        if any(name in self.steady for name in node.inputs):
            raise UnsupportedNode(node, "steady values beside spikes")
        sources = tuple(self.value(name) for name in node.inputs)
        tables = tuple(moved_from(self.net, node, k) for k in range(len(sources)))
        grid = grid_of(node)
        spikes = all(source.spikes for source in sources)
        value = Value(
            node=node,
            grid=grid,
            negative=any(source.negative for source in sources),
            levels=max(source.levels for source in sources),
        )
        if spikes:
            amplitude = np.zeros((grid.pixels, grid.padded))
            for source, places in zip(sources, tables, strict=True):
                given = np.broadcast_to(np.asarray(source.amplitude), (source.grid.pixels, source.grid.channels))
                flat, table = source.grid.laid_out(given).reshape(-1), places.reshape(amplitude.shape)
                amplitude = np.where(table >= 0, flat[table], amplitude)
            amplitude = amplitude[:, : grid.channels]
            value.amplitude = amplitude[0] if uniform(amplitude) else amplitude
        elif any(source.spikes for source in sources):
            raise UnsupportedNode(node, "spikes beside numbers")
        self.program.steps.append(Move(out=value, sources=sources, tables=tables))
        return value


def lower(network: Network) -> Program:
    """The program of a network's series; raises UnsupportedNode."""
    return Lowering(network).run()
