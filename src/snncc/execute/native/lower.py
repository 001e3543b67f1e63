# SPDX-License-Identifier: Apache-2.0
"""From a network to a `Program`: which nodes become steps, what each neuron's current sums, what is left to torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snncc.execute.native.centred import Rests
from snncc.execute.native.convolutions import LINEAR, convolution_of, pair, windows
from snncc.execute.native.layout import (
    Current,
    by_pixel,
    gathered_from,
    gathered_source,
    grid_of,
    steady_values,
    ungrouped,
    uniform,
)
from snncc.execute.native.program import Addend, Gather, Layer, Pool, Program, Term, UnsupportedNode, Value
from snncc.ir.analysis import multiply_accumulates, tail
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    Affine,
    Concat,
    Constant,
    Differential,
    MaxPool,
    Neuron,
    Node,
    Operator,
    Pad,
    Reshape,
    Slice,
    Spiking,
    Sum,
    Transpose,
)


class Lowering:
    """Walks a network once."""

    def __init__(self, network: Network) -> None:
        self.net = network
        self.steady = steady_values(network)
        self.tail = tail(network)
        self.rests = Rests(network)
        self.program = Program(until=self.rests.until)
        self.values: dict[str, Value] = {}
        self.left: set[str] = set()
        self.reasons: list[UnsupportedNode] = []

    def run(self) -> Program:
        """The program; raises UnsupportedNode where torch would have more to compute than the C."""
        net, program = self.net, self.program
        between = [n for n in net.nodes if n.name not in self.steady and n.name not in self.tail]
        program.exports = tuple(filter(self.is_export, (node.name for node in between)))
        for node in between:
            if node.name in program.exports or isinstance(node, (Spiking, Differential)):
                self.need(node)
        read_by_steps = {value.node.name for step in program.steps for value in step.sources}
        program.imports = {name: value for name, value in program.imports.items() if name in read_by_steps}
        if left := [node for _, node in program.outside]:
            if 2 * self.operations(left) >= self.operations(between):
                raise self.reasons[0]
            program.reason = str(self.reasons[0])
        return program

    def operations(self, nodes: Sequence[Node]) -> int:
        """Their multiply-accumulates."""
        return sum(multiply_accumulates(self.net, node) for node in nodes)

    def is_export(self, name: str) -> bool:
        """Whether a value is read when all is computed."""
        return name in self.net.outputs or any(c.name in self.tail for c in self.net.consumers[name])

    def array(self, name: str | None, default: float = 0.0) -> Array:
        """An array of the network in double precision."""
        return np.asarray(default if name is None else self.net.arrays[name], np.float64)

    def need(self, node: Node) -> None:
        """A value made where it can be read: by a step, or by torch."""
        try:
            self.value(node.name)
        except UnsupportedNode:  # it has no place in the C's memory
            self.leave(node)

    def value(self, name: str) -> Value:
        """The series `name`: made by a step of its own, else given by torch; raises UnsupportedNode."""
        if name not in self.values:
            node = self.net[name]
            try:
                self.values[name] = self.made(node)
            except UnsupportedNode as reason:
                self.reasons.append(reason)
                given = Value(node=node, grid=grid_of(node), negative=True)
                self.leave(node)
                self.program.imports[name] = self.values[name] = given
        return self.values[name]

    def leave(self, node: Node) -> None:
        """Let torch compute a node from what is made before."""
        if node.name in self.left:
            return
        self.left.add(node.name)
        for name in node.inputs:
            if name not in self.steady:
                self.need(self.net[name])
                self.program.between.add(name)
        self.rests.known[node.name] = None
        self.program.outside.append((len(self.program.steps), node))

    def made(self, node: Node) -> Value:
        """A series that a step makes; raises UnsupportedNode."""
        if isinstance(node, Neuron):
            return self.neuron(node)
        if isinstance(node, Differential):
            return self.pool(node)
        if isinstance(node, (Slice, Pad, Reshape, Transpose, Concat, Operator)):
            return self.gather(node)
        value = Value(node=node, grid=grid_of(node), negative=True)
        self.layer(node, value, None, node.name)
        return value

    def rest(self, node: Node) -> Array | None:
        """What flows beside a value's events, by pixel; asked for when all that the node reads is made."""
        beside = self.rests.beside(node.name)
        return None if beside is None else by_pixel(beside, node)

    def neuron(self, node: Node) -> Value:
        """A neuron with all that its current sums."""
        if not isinstance(node, Neuron) or node.spikes_in_c is None:
            raise UnsupportedNode(node, "the event-driven engine has IF, SignedIF, CentredIF and LeakyIF neurons")
        if node.levels > 4:
            raise UnsupportedNode(node, f"{node.levels} spikes in one step are more than 4")
        amplitude = by_pixel(self.array(node.amplitude), node)
        value = Value(
            node=node,
            grid=grid_of(node),
            amplitude=None if node.graded else amplitude[0] if uniform(amplitude) else amplitude,
            negative=node.SIGNED,
            levels=node.levels,
        )
        self.layer(node, value, node, node.inputs[0])
        return value

    def layer(self, node: Node, out: Value, neuron: Neuron | None, current: str) -> None:
        """Append the step that sums `current`."""
        total, inline = Current(node), neuron is None or self.alone(current)
        self.collect(total, current, np.ones(total.grid.channels), inline=inline)
        resting = None if neuron is None else self.rests.into(neuron)
        out.rest = self.rest(node)
        self.program.steps.append(
            Layer(
                out=out,
                terms=tuple(total.terms),
                addends=tuple(total.addends),
                bias=total.bias,
                resting=None if resting is None else by_pixel(resting, node),
                neuron=neuron,
            )
        )

    def alone(self, name: str) -> bool:
        """Whether one node reads a value, so that it need not be kept."""
        return len(self.net.consumers[name]) == 1 and name not in self.net.outputs

    def collect(self, total: Current, name: str, scale: Array, *, inline: bool) -> None:
        """Add a value times a scale per channel to a sum: its parts where nothing else needs it, else itself."""
        node = self.net[name]
        inline = inline and name not in self.values
        if name in self.steady:
            self.add_steady(total, node, scale)
        elif inline and isinstance(node, Sum):
            for source, coefficient in zip(node.inputs, node.coefficients, strict=True):
                if self.net[source].shape != node.shape:
                    raise UnsupportedNode(node, "a sum of values of different shapes")
                self.collect(total, source, scale * coefficient, inline=self.alone(source))
        elif inline and isinstance(node, LINEAR):
            self.convolve(total, node, scale)
        elif inline and isinstance(node, Affine):
            factor = by_pixel(self.array(node.scale, 1.0), node)
            if not uniform(factor):
                raise UnsupportedNode(node, "a factor per neuron")
            self.collect(total, node.inputs[0], scale * factor[0], inline=self.alone(node.inputs[0]))
            total.bias += scale * by_pixel(self.array(node.shift), node)
        elif node is total.node:
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
        """Append a convolution; the amplitude per channel of its source goes into the weights."""
        given = convolution_of(self.net, node)
        source, weight = self.value(given.source), given.weight
        diagonal = given.groups == source.grid.channels == len(weight) > 1
        weight = weight[:, 0] if diagonal else ungrouped(weight, given.groups)
        if not source.valued and source.amplitude is not None:
            weight = weight * np.expand_dims(source.amplitude, (1, 2) if diagonal else (0, 2, 3))
        total.terms.append(
            Term(
                source=source,
                weight=weight,
                scale=scale,
                stride=given.stride,
                dilation=given.dilation,
                padding=given.padding,
                diagonal=diagonal,
            )
        )
        total.bias += scale * given.bias

    def pool(self, node: Differential) -> Value:
        """Event-driven max pooling."""
        function = node.function
        if not isinstance(function, MaxPool) or not node.direct:
            raise UnsupportedNode(node, f"{type(function).__name__} has no event-driven form in C")
        if len(function.kernel) > 2:
            raise UnsupportedNode(node, f"{len(function.kernel)} dimensions")
        source = self.value(node.inputs[0])
        value = Value(node=node, grid=grid_of(node), negative=True, rest=self.rest(node))
        slopes, amplitude = self.rests.differ(node), source.amplitude
        if amplitude is not None and not source.valued and not slopes and (amplitude >= 0).all():
            value.amplitude, value.negative, value.levels = amplitude, source.negative, source.levels
        self.program.steps.append(
            Pool(
                out=value,
                source=source,
                kernel=pair(function.kernel, 1),
                **windows(function),
                slopes=slopes,
            )
        )
        return value

    def gather(self, node: Node) -> Value:
        """Entries moved: the table is what the node does to the numbers of the entries."""
        if isinstance(node, Pad) and (node.value != 0 or node.mode != "constant"):
            raise UnsupportedNode(node, "padding with something else than zeros")
        names = node.inputs
        if isinstance(node, Operator):
            if node.op != "gather" or not isinstance(self.net[names[1]], Constant):
                raise UnsupportedNode(node, f"{node.op} has no event-driven form")
            names = names[:1]
        if not self.steady.isdisjoint(names):
            raise UnsupportedNode(node, "steady values beside spikes")
        sources = tuple(self.value(gathered_source(self.net, name)[0]) for name in names)
        if len({source.spikes for source in sources}) > 1:
            raise UnsupportedNode(node, "spikes beside numbers")
        step = Gather(
            out=Value(
                node=node,
                grid=grid_of(node),
                negative=any(source.negative for source in sources),
                levels=max(source.levels for source in sources),
                rest=self.rest(node),
            ),
            sources=sources,
            tables=tuple(gathered_from(self.net, node, k) for k in range(len(sources))),
        )
        if sources[0].spikes:
            step.out.amplitude = gathered_amplitude(step)
        self.program.steps.append(step)
        return step.out


def gathered_amplitude(step: Gather) -> Array:
    """The amplitudes of gathered spikes, per channel or per pixel and channel."""
    grid = step.out.grid
    amplitude = np.zeros((grid.pixels, grid.padded))
    for source, places in zip(step.sources, step.tables, strict=True):
        given = np.broadcast_to(np.asarray(source.amplitude), (source.grid.pixels, source.grid.channels))
        flat, table = source.grid.laid_out(given).reshape(-1), places.reshape(amplitude.shape)
        amplitude = np.where(table >= 0, flat[table], amplitude)
    amplitude = amplitude[:, : grid.channels]
    return amplitude[0] if uniform(amplitude) else amplitude


def lower(network: Network) -> Program:
    """The program of a network's series; raises UnsupportedNode."""
    return Lowering(network).run()
