# SPDX-License-Identifier: Apache-2.0
"""The body of the emitted module's `forward`: one statement per node, the algorithm of `execute.torch.session`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from snncc.backends.torch.python_text import Call, Keyword, Names, Term, call, literal, remark, statement
from snncc.errors import InvariantBroken
from snncc.ir.analysis import tail
from snncc.ir.network import Network
from snncc.ir.nodes import (
    Affine,
    Constant,
    Conv,
    ConvTranspose,
    Differential,
    Encoder,
    Input,
    Linear,
    Neuron,
    Node,
    Pad,
    Repeat,
    Spiking,
    Sum,
)
from snncc.neurons.table import definition

Layout = Literal["steady", "series", "mean"]
HEADINGS: dict[Layout, str] = {
    "steady": "Steady: the same at every step, so computed once.",
    "series": "Series: T steps, one after the other in the batch axis.",
    "mean": "Means: behind the last neuron, on sums over all steps divided by D(T).",
}
#: Values that nothing else shares memory with.
FRESH = (Conv, ConvTranspose, Linear, Sum)


def adds_constants(node: Node) -> bool:
    """Whether a node adds something that the schedule switches off."""
    if isinstance(node, (Conv, ConvTranspose, Linear)):
        return node.bias is not None
    if isinstance(node, Affine):
        return node.shift is not None
    return node.call().offset and not (isinstance(node, Pad) and (node.value == 0 or node.mode != "constant"))


@dataclass(slots=True)
class Forward:
    """The statements for a network. `single`: it has no axis for samples and takes one at a time."""

    network: Network
    names: Names
    #: The identifier of each node, and the attribute of each array.
    own: dict[str, str]
    buffers: dict[str, str]
    single: bool = field(init=False)
    tail: frozenset[str] = field(init=False)
    layouts: dict[str, Layout] = field(default_factory=dict)
    #: The expression of each value: steady or series, and its mean.
    values: dict[str, str] = field(default_factory=dict)
    means: dict[str, str] = field(default_factory=dict)
    lines: dict[Layout, list[str]] = field(default_factory=lambda: {"steady": [], "series": [], "mean": []})

    def __post_init__(self) -> None:
        nodes, varying = self.network.nodes, self.network.varying
        self.single = all(node.batch is None for node in nodes)
        self.tail = tail(self.network)
        if mixed := [n.name for n in nodes if not self.single and n.name in varying and n.batch is None]:
            raise InvariantBroken(f"{mixed[0]} has no axis for samples, other values do")

    def array(self, name: str | None) -> str:
        """A buffer."""
        return "None" if name is None else f"self.{self.buffers[name]}"

    def axis(self, node: Node) -> dict[str, Term]:
        """The `axis` argument of the functions of time; 0 is the default."""
        return {"axis": str(node.batch)} if node.batch else {}

    def value(self, name: str) -> str:
        """A value as a node of the same part of `forward` reads it."""
        return self.means.get(name, self.values.get(name, ""))

    def run(self) -> None:
        """All statements and the return statement's expressions."""
        net = self.network
        for node in net.nodes:
            if isinstance(node, Constant):
                self.values[node.name], self.layouts[node.name] = self.array(node.value), "steady"
                continue
            steady = not isinstance(node, Spiking) and all(self.layouts[n] == "steady" for n in node.inputs)
            layout: Layout = "steady" if steady else "mean" if node.name in self.tail else "series"
            self.layouts[node.name] = layout
            if isinstance(node, Input):
                self.values[node.name] = self.own[node.name]
                continue
            if layout == "series":
                self.values[node.name] = own = self.own[node.name]
                self.write("series", own, self.series(node), self.comment(node, own))
                self.sum_up(node)
            else:
                own = self.own[node.name]
                (self.means if layout == "mean" else self.values)[node.name] = own
                term = self.plain(node, self.arguments(node, [self.value(n) for n in node.inputs]))
                if isinstance(node, Differential) and node.name not in self.tail:
                    term = self.rate(node, term)
                self.write(layout, own, term, self.comment(node, own))

    def write(self, layout: Layout, target: str, term: Term, comment: str) -> None:
        """One statement."""
        self.lines[layout] += statement(f"{target} = ", term, comment)

    def comment(self, node: Node, own: str) -> str:
        """Shape per sample, what the values are, and the node's name where the identifier is another."""
        shape = [d for i, d in enumerate(node.shape) if i != node.batch or d != 1]
        words = [str(shape)]
        words += ["spikes"] if isinstance(node, Spiking) else ["analog"] if isinstance(node, Differential) else []
        return "  ".join([" ".join(words), *([] if own == node.name else [remark(node.name)])])

    def sum_up(self, node: Node) -> None:
        """The mean of a series that the tail or the caller reads."""
        net = self.network
        if node.name in net.outputs or any(c.name in self.tail for c in net.consumers[node.name]):
            own = self.means[node.name] = self.names.unique(f"{self.values[node.name]}_mean")
            after = net.schedule.readout_after
            late: dict[str, Term] = {"after": literal(after)} if after else {}
            self.write("mean", own, call("mean", self.values[node.name], "D", **self.axis(node), **late), "")

    def plain(self, node: Node, arguments: Sequence[Term], **extra: Term) -> Term:
        """A stateless node on whole tensors."""
        if isinstance(node, Differential):
            return self.plain(node.function, arguments)
        if isinstance(node, Repeat):
            return Call(
                f"{arguments[0]}.repeat", tuple("N" if i == node.batch else "1" for i in range(len(node.shape)))
            )
        made = node.call()
        options = {name: literal(option) for name, option in made.options.items()}
        return call(made.function, *arguments, *[self.array(a) for a in made.arrays], **options, **extra)

    def arguments(self, node: Node, data: Sequence[Term]) -> list[Term]:
        """The inputs of a node, those of a differential node in their ranges."""
        result = list(data)
        if isinstance(node, Differential):
            for i in self.network.varying_positions(node):
                low, high, least = node.low[i], node.high[i], node.nonzero[i]
                if least or low is not None or high is not None:
                    extra: dict[str, Term] = {"nonzero": literal(least)} if least else {}
                    result[i] = call("in_range", data[i], literal(low), literal(high), **extra)
        return result

    def rate(self, node: Differential, term: Term) -> Term:
        """A result as a float."""
        likes = [self.values[i.name] for i in self.network.inputs if i.name in self.network.varying]
        return term if node.function.dtype == "float32" else call("as_rate", term, likes[0])

    def series(self, node: Node) -> Term:
        """A node before the last neuron, over all steps."""
        if isinstance(node, Neuron):
            return self.scan(node)
        if isinstance(node, Encoder):
            return self.encode(node)
        if isinstance(node, Differential):
            return self.difference(node)
        return self.linear(node)

    def scan(self, node: Neuron) -> Term:
        """A neuron: its scan over the steps of its input current."""
        source, net = self.network[node.inputs[0]], self.network
        name, reader = self.values[source.name], net.consumers[source.name]
        if self.layouts[source.name] == "steady":
            current: Term = call("at_every_step", name, "gates")
        else:
            private = isinstance(source, FRESH) and len(reader) == 1 and source.name not in net.outputs
            private = private and (not isinstance(source, Sum) or len(source.inputs) > 1)
            current = name if self.single else call("unfold", name, "T", **self.axis(source))
            current = current if private else Call(f"{current}.clone", ())
        return call("spikes", self.equation(node, current), **self.axis(node))

    def equation(self, node: Neuron, current: Term) -> Term:
        """The scan of a neuron, with its arrays and options."""
        arrays = [self.array(name) for name in node.array_names()]
        options: dict[str, Term] = {name: literal(option) for name, option in node.options().items()}
        return call(definition(node).scan.__name__, current, *arrays, **options, **self.place(node))

    def place(self, node: Spiking) -> dict[str, Term]:
        """What a scan is told about its place; all steps are run at once."""
        each = "1" if self.single or (isinstance(node, Neuron) and node.shared == "batch") else "N"
        known: dict[str, Term] = {"samples": each, "axis": str(node.batch or 0)}
        known |= {"first_sample": "first_sample"} if node.random else {}
        return {name: known[name] for name in node.PLACE if name in known}

    def encode(self, node: Encoder) -> Term:
        """The spikes of an input."""
        x, scale = self.values[node.inputs[0]], self.array(node.scale)
        if node.kind == "uniform":
            spikes = call("interval_series", x, scale, "[0.0, *D]", phase=literal(node.phase))
        else:
            spikes = call("poisson_series", x, scale, "gates", key=literal(node.key), **self.place(node))
        return spikes if self.single else call("fold", spikes, **self.axis(node))

    def linear(self, node: Node) -> Term:
        """A node that is linear in what varies; steady summands follow the gates, steady factors don't."""
        net = self.network
        varying = set(net.varying_positions(node))
        group = next(g for g in node.linear_in() if varying <= set(g))
        gated = net.schedule.kind != "constant" and adds_constants(node)
        if self.single:
            return self.linear_single(node, group, gated)
        rows = self.rows(node)
        terms: list[Term] = []
        for i, source in enumerate(net[name] for name in node.inputs):
            name = self.values[source.name]
            if self.layouts[source.name] == "series":
                terms.append(name)
            elif i in group and source.batch is None:
                terms.append(call("in_rows", name, "gates", **rows))
            elif i in group:
                terms.append(call("fold", call("at_every_step", name, "gates"), **self.axis(source)))
            else:
                terms.append(self.at_all_steps(source))
        like = next(self.values[n] for n in node.inputs if self.layouts[n] == "series")
        extra: dict[str, Term] = {"offset": call("row_gates", "gates", like, **rows)} if gated else {}
        return self.plain(node, terms, **extra)

    def rows(self, node: Node) -> dict[str, Term]:
        """How many rows of a value one step has, and where."""
        size = math.prod(node.shape[node.batch : (node.batch or 0) + 1])
        return {"rows": "N" if size == 1 else f"N * {size}", "rank": str(len(node.shape)), **self.axis(node)}

    def at_all_steps(self, source: Node) -> Term:
        """A steady factor beside T steps folded into the batch."""
        name = self.values[source.name]
        return name if source.batch is None else call("repeat", name, "T", **self.axis(source))

    def linear_single(self, node: Node, group: Sequence[int], gated: bool) -> Term:
        """The same, step by step."""
        terms: list[Term] = []
        series: list[str] = []
        uses_gate = gated
        for i, source in enumerate(self.network[name] for name in node.inputs):
            name = self.values[source.name]
            if self.layouts[source.name] == "series":
                series.append(name)
                terms.append(f"u{len(series)}")
            else:
                switched = i in group and self.network.schedule.kind != "constant"
                uses_gate = uses_gate or switched
                terms.append(f"{name} * gate" if switched else name)
        extra: dict[str, Term] = {"offset": "gate"} if gated else {}
        return self.each_step(self.plain(node, terms, **extra), [*series], uses_gate)

    def each_step(self, term: Term, series: Sequence[Term], uses_gate: bool = False) -> Term:
        """A function of u1, u2, ... (and `gate`), applied to every step of series."""
        names = [f"u{i + 1}" for i in range(len(series))]
        names, series = ([*names, "gate"], [*series, "gates"]) if uses_gate else (names, series)
        return call("each_step", Keyword(f"lambda {', '.join(names)}: ", term), *series)

    def difference(self, node: Differential) -> Term:
        """A differential node: f on running means (or sums), then differences."""
        net, direct = self.network, node.direct
        varying = net.varying_positions(node)
        total, over = ("running_sum", "T") if direct else ("running_mean", "D")
        sums: list[Term] = []
        data: list[Term] = []
        for i, source in enumerate(net[name] for name in node.inputs):
            name: Term = self.values[source.name]
            if i in varying:
                if self.layouts[source.name] == "steady":
                    name = call("at_every_step", name, "gates")
                    name = name if self.single else call("fold", name, **self.axis(source))
                sums.append(call(total, name, over, **self.axis(source)))
                data.append(f"u{len(sums)}" if self.single else sums[-1])
            else:
                data.append(name if self.single else self.at_all_steps(source))
        result = self.rate(node, self.plain(node.function, self.arguments(node, data)))
        result = self.each_step(result, sums) if self.single else result
        return call("differences" if direct else "scaled_differences", result, over, **self.axis(node))
