# SPDX-License-Identifier: Apache-2.0
"""One simulation in torch: states, running sums and counters, layer by layer.

A value has one of three layouts. *steady*: the same at every step up to the schedule's gate, so computed once (the
first layer under constant current). *series*: T steps folded into the batch axis, step-major. *mean*: the running sum
over D(t) at chosen checkpoints, folded likewise; behind the last neuron everything acts on means, so the read-out is
computed once per checkpoint and not once per step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from snncc.execute.torch.dispatch import encoded, events, own, scan
from snncc.execute.torch.layout import Activity, Layout, Run, Value, fold, spread, stepwise, unfold
from snncc.execute.torch.network import TorchNetwork
from snncc.execute.torch.samples import of_samples, state_of_samples
from snncc.ir.nodes import Differential, Encoder, Neuron, Node, Spiking
from snncc.neurons.node import Place


@dataclass(slots=True)
class Session:
    """One run: states, running sums and counters."""

    engine: TorchNetwork
    feeds: Mapping[str, Any]
    timesteps: int
    checkpoints: tuple[int, ...]
    observe: Callable[[Node, Tensor], None] | None
    count: bool
    first_sample: int = 0
    samples: int = field(init=False)
    states: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, Tensor] = field(default_factory=dict)
    snapshots: dict[str, list[Tensor]] = field(default_factory=dict)
    result: Run = field(default_factory=lambda: Run(outputs={}))
    steady: dict[str, Value] = field(default_factory=dict)
    begin: int = 0

    def __post_init__(self) -> None:
        self.samples = self.engine.samples(self.feeds)

    def gates(self, begin: int, end: int) -> Tensor:
        """The schedule's gate at steps begin+1..end."""
        return torch.tensor([self.engine.network.schedule.gate(t + 1) for t in range(begin, end)], dtype=torch.float64)

    def divisors(self, begin: int, end: int) -> Tensor:
        """D(t) at steps begin+1..end."""
        divisor = self.engine.network.schedule.divisor
        return torch.tensor([divisor(t + 1) for t in range(begin, end)], dtype=torch.float64)

    def advance(self, begin: int, end: int) -> None:
        """Steps begin+1..end of everything before the tail."""
        engine, net = self.engine, self.engine.network
        values: dict[str, Value] = dict(self.steady)
        self.begin = begin
        gates = self.gates(begin, end)
        for node in net.nodes:
            if node.name in values or node.name in engine.tail:
                continue
            values[node.name] = value = self.compute(node, values, gates)
            if value.layout == "steady":
                self.steady[node.name] = value
            elif node.name in engine.emits:
                self.watch(node, value, end - begin)
            read_by_tail = any(c.name in engine.tail for c in net.consumers[node.name])
            if value.layout == "series" and (read_by_tail or node.name in net.outputs):
                series = unfold(value.data, node.batch, end - begin)
                self.accumulate(node, end - begin, partial(between, series), begin)
            for name in engine.last_use.get(node.name, ()):
                values.pop(name, None)

    def accumulate(self, node: Node, steps: int, total_of: Callable[[int, int], Tensor], begin: int) -> None:
        """The running sum of a value that the tail reads; its mean is kept at the checkpoints.

        total_of(first, last): the sum over some of the `steps` steps behind `begin`.
        """
        schedule = self.engine.network.schedule
        kept, done, after = self.snapshots.setdefault(node.name, []), 0, schedule.readout_after
        total = self.sums.get(node.name, self.engine.tensor(torch.zeros(())))
        since = after if begin >= after else 0
        for t in sorted({*self.checkpoints, after}):
            if begin < t <= begin + steps:
                total = total + total_of(done, t - begin)
                done = t - begin
                if t in self.checkpoints:
                    kept.append(total / (schedule.divisor(t) - schedule.divisor(since)))
                if t == after:
                    total, since = torch.zeros_like(total), after
        self.sums[node.name] = total + total_of(done, steps) if done < steps else total

    def finish(self) -> Run:
        """The tail on the running means at the checkpoints."""
        engine, net, count = self.engine, self.engine.network, len(self.checkpoints)
        values: dict[str, Value] = dict(self.steady)
        for name, kept in self.snapshots.items():
            values[name] = Value(fold(torch.stack(kept), net[name].batch), "mean")
        for node in net.nodes:
            if node.name not in engine.tail or node.name in values:
                continue
            inputs = self.clamped(node, [values[name] for name in node.inputs])
            layout: Layout = "steady" if all(v.layout == "steady" for v in inputs) else "mean"
            steps = 1 if layout == "steady" else count
            result = self.folded(node, inputs, 1.0, steps) if layout == "mean" else self.once(node, inputs)
            values[node.name] = Value(result, layout)
        for name in net.outputs:
            x, steady = values[name].data, values[name].layout == "steady"
            series = x.unsqueeze(0).expand(count, *x.shape) if steady else unfold(x, net[name].batch, count)
            self.result.outputs[name] = series
        return self.result

    def once(self, node: Node, inputs: Sequence[Value]) -> Tensor:
        """A node whose inputs are the same at every step."""
        return self.engine.plain(node, [v.data for v in inputs], 1.0, self.samples, self.feeds)

    def compute(self, node: Node, values: Mapping[str, Value], gates: Tensor) -> Value:
        """One node's value from its inputs' values, before the tail."""
        inputs = [values[name] for name in node.inputs]
        if isinstance(node, Neuron):
            return self.fire(node, inputs[0], gates)
        if isinstance(node, Encoder):
            return self.encode(node, inputs[0], len(gates))
        if all(value.layout == "steady" for value in inputs):
            result = self.once(node, self.clamped(node, inputs))
            return Value(self.cast(result) if isinstance(node, Differential) else result, "steady")
        if isinstance(node, Differential):
            return self.difference(node, inputs, gates)
        return self.linear(node, inputs, gates)

    def linear(self, node: Node, inputs: Sequence[Value], gates: Tensor) -> Value:
        """A linear node over the steps of this piece; steady summands and constants follow the gate."""
        net = self.engine.network
        varying = net.varying_positions(node)
        group = next(g for g in node.linear_in() if set(varying) <= set(g))
        operands = []
        for i, (value, name) in enumerate(zip(inputs, node.inputs, strict=True)):
            steady_summand = value.layout == "steady" and i in group
            data = self.timed(value.data, net[name], node, gates) if steady_summand else value.data
            operands.append(Value(data, "series" if steady_summand else value.layout))
        offset: Tensor | float = 1.0
        if node.call().offset and not bool((gates == 1).all()):
            offset = self.per_row(gates, node)
        return Value(self.folded(node, operands, offset, len(gates)), "series")

    def cast(self, x: Tensor) -> Tensor:
        """Indices and truth values as the floats that a rate is."""
        return x if x.is_floating_point() else x.to(self.engine.dtype)

    def per_row(self, weights: Tensor, node: Node) -> Tensor:
        """One weight per step, shaped to multiply a node's folded value."""
        if node.batch is None:
            return weights.to(self.engine.device, self.engine.dtype)
        shape = [1] * len(node.shape)
        shape[node.batch] = -1
        rows = weights.to(self.engine.device, self.engine.dtype)
        return rows.repeat_interleave(self.samples * node.shape[node.batch]).reshape(shape)

    def timed(self, x: Tensor, source: Node, node: Node, weights: Tensor) -> Tensor:
        """A steady summand as a series; without a batch axis it gets the rows that the result has."""
        if source.batch is not None or node.batch is None:
            return spread(x, source.batch, weights)
        x = x.reshape([1] * (len(node.shape) - x.ndim) + list(x.shape))
        return spread(x, node.batch, weights).repeat_interleave(self.samples * node.shape[node.batch], node.batch)

    def folded(self, node: Node, operands: Sequence[Value], offset: Tensor | float, steps: int) -> Tensor:
        """A stateless node on series or totals and steady factors."""
        engine, net = self.engine, self.engine.network
        if node.batch is None:  # no axis to fold steps into: one after the other
            results = []
            for t in range(steps):
                data = [v.data if v.layout == "steady" else v.data[t] for v in operands]
                at = offset if isinstance(offset, float) else float(offset[t])
                results.append(engine.plain(node, data, at, self.samples, self.feeds))
            return torch.stack(results)
        data = []
        for value, name in zip(operands, node.inputs, strict=True):
            axis, x = net[name].batch, value.data
            if value.layout == "steady" and axis is not None:
                x = x.repeat([steps if i == axis else 1 for i in range(x.ndim)])
            data.append(x)
        return engine.plain(node, data, offset, self.samples * steps, self.feeds)

    def clamped(self, node: Node, inputs: Sequence[Value]) -> list[Value]:
        """The arguments of a node, those of a differential one kept in their ranges; moved entries are counted."""
        arguments = list(inputs)
        if not isinstance(node, Differential):
            return arguments
        for i in self.engine.network.varying_positions(node):
            x, low, high, least = inputs[i].data, node.low[i], node.high[i], node.nonzero[i]
            y = x if low is None and high is None else x.clamp(low, high)
            if least:
                y = torch.where(y.abs() < least, y.new_full((), least).copysign(torch.where(y < 0, y, 1)), y)
            if y is not x:
                moved = int((y != x).sum())
                self.result.clamps[node.name] = self.result.clamps.get(node.name, 0) + moved
            arguments[i] = Value(y, inputs[i].layout)
        return arguments

    def difference(self, node: Differential, inputs: Sequence[Value], gates: Tensor) -> Value:
        """A differential node over the steps of this piece."""
        net, steps = self.engine.network, len(gates)
        varying = net.varying_positions(node)
        previous, before = self.states.get(node.name, ((0,) * len(varying), None))
        sums, operands = [], list(inputs)
        divisors = self.divisors(self.begin, self.begin + steps)
        for state, i in zip(previous, varying, strict=True):
            source, x = net[node.inputs[i]], inputs[i].data
            if inputs[i].layout == "steady":
                x = self.timed(x, source, source, gates)
            totals = unfold(x, source.batch, steps).cumsum(0) + state
            sums.append(totals[-1])
            means = totals if node.direct else totals / stepwise(divisors, totals)
            operands[i] = Value(fold(means, source.batch), "series")
        function = self.folded(node.function, self.clamped(node, operands), 1.0, steps)
        result = unfold(self.cast(function), node.batch, steps)
        if not node.direct:
            result = result * stepwise(divisors, result)
        first = torch.zeros_like(result[:1]) if before is None else before
        self.states[node.name] = (tuple(sums), result[-1:])
        return Value(fold(torch.diff(result, dim=0, prepend=first), node.batch), "series")

    def watch(self, node: Node, value: Value, steps: int) -> None:
        """Count the events of a source and show them to the observer."""
        series = unfold(value.data, node.batch, steps)
        if self.observe is not None:
            self.observe(node, series)
        if not self.count:
            return
        series = events(node, series, self.engine.arrays, self.begin)
        found = self.result.activity.setdefault(node.name, Activity(self.per_sample(node, torch.zeros_like(series[0]))))
        if isinstance(node, Neuron) and not node.graded:
            amplitude = self.engine.arrays[node.amplitude]
            scale = torch.where(amplitude != 0, 1 / amplitude, 0)
            spikes = self.per_sample(node, series.abs().sum(0) * scale).round()
            net = float(self.per_sample(node, series.sum(0) * scale).sum(dtype=torch.float64))
            total = float(spikes.sum(dtype=torch.float64))
            found.positive += (total + round(net)) / 2
            found.negative += (total - round(net)) / 2
            single = node.at_once == 1
            found.events += spikes if single else self.per_sample(node, (series != 0).sum(0))
            return
        found.events += self.per_sample(node, (series != 0).sum(0))
        if isinstance(node, Spiking):
            found.positive += float((series > 0).sum())
            found.negative += float((series < 0).sum())

    def per_sample(self, node: Node, counts: Tensor) -> Tensor:
        """Counts summed over the samples."""
        if node.batch is None:
            return counts
        split: Tensor = counts.unflatten(node.batch, (self.samples, -1))
        return split.sum(node.batch, dtype=torch.float64)

    def fire(self, node: Neuron, current: Value, gates: Tensor) -> Value:
        """A neuron over the steps of this piece."""
        engine, source = self.engine, self.engine.network[node.inputs[0]]
        keep = current.layout == "steady" or not own(engine.network, source)
        if current.layout == "series":
            steps = unfold(current.data, source.batch, len(gates))
        elif bool((gates == 1).all()):
            steps = current.data.expand(len(gates), *current.data.shape)
        else:
            steps = spread(current.data, None, gates)
        out, state = scan(node, steps, engine.arrays, self.states.get(node.name), self.place, keep=keep)
        self.states[node.name] = state
        return Value(fold(out, node.batch), "series")

    def keep(self, which: Tensor) -> None:
        """Go on with some of the samples alone, by their positions."""
        net = self.engine.network
        self.steady = {
            name: Value(of_samples(value.data, net[name], which), "steady") for name, value in self.steady.items()
        }
        self.sums = {name: of_samples(x, net[name], which) for name, x in self.sums.items()}
        self.states = {name: state_of_samples(net, net[name], state, which) for name, state in self.states.items()}
        self.samples = len(which)

    @property
    def place(self) -> Place:
        """Where the piece being computed lies."""
        return Place(samples=self.samples, first_sample=self.first_sample, first_step=self.begin)

    def encode(self, node: Encoder, x: Value, steps: int) -> Value:
        """The spikes of an input over the steps of this piece."""
        divisor = self.engine.network.schedule.divisor
        divisors = [divisor(t) for t in range(self.begin, self.begin + steps + 1)]
        return Value(fold(encoded(node, x.data, self.engine.arrays, divisors, self.place), node.batch), "series")


def between(series: Tensor, first: int, last: int) -> Tensor:
    """The sum of a series over some of its steps."""
    return torch.zeros_like(series[0]) + series[first:last].sum(0)  # in the order that a step has in memory
