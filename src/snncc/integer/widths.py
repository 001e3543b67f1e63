# SPDX-License-Identifier: Apache-2.0
"""How large every number can become, for all inputs and all T up to a limit, by interval arithmetic.

Two intervals are carried for each entry of each value: of one step, and of the sum over the steps so far. The second
one is what bounds membranes, because a signed neuron's count is never negative: n[t] is in [0, min(m t, cap)].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from snncc.errors import EmitError
from snncc.execute.reference import evaluate_function
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, Concat, Conv, Differential, Input, Linear, Neuron, Node, Sum

INT16, INT32 = np.iinfo(np.int16), np.iinfo(np.int32)


class Width(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The range of one quantity of a layer, and the integer type that holds it.

    value: one step's result, with all partial sums in whatever order; membrane: before and after firing, with the
    partial sums of its current; count: the spikes emitted so far; sum: what is summed over the steps.
    """

    layer: str
    quantity: str
    smallest: int
    largest: int
    type: str


@dataclass(frozen=True, slots=True)
class Interval:
    """low <= x <= high, entry by entry."""

    low: Array
    high: Array

    def hull(self, value: float = 0.0) -> Interval:
        """The smallest interval that also holds a number."""
        return Interval(np.minimum(self.low, value), np.maximum(self.high, value))

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: Any) -> Interval:
        a, b = self.low * factor, self.high * factor
        return Interval(np.minimum(a, b), np.maximum(a, b))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a value can be in a step while the input is on, and its sum over the steps so far. `steady`: no spikes in
    it, the same number at every step while the input is on."""

    step: Interval
    total: Interval
    steady: bool = False


@dataclass(slots=True)
class Analysis:
    """The intervals of one network."""

    network: Network
    timesteps: int
    bounds: dict[str, Bounds] = field(default_factory=dict)
    widths: list[Width] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arrays = {name: a.astype(np.float64) for name, a in self.network.arrays.items()}

    @property
    def steps_on(self) -> int:
        """D(T): for how many steps the input and the biases are on."""
        return self.network.schedule.divisor(self.timesteps)

    def run(self) -> tuple[Width, ...]:
        """Every width; raises EmitError naming the layer that int32 does not hold."""
        for node in self.network.nodes:
            self.bounds[node.name] = self.of(node)
        for name in self.network.outputs:
            self.write(name, "sum", self.bounds[name].total)
        return tuple(self.widths)

    def write(self, layer: str, quantity: str, interval: Interval) -> None:
        """Add a line to the table."""
        smallest, largest = int(np.floor(interval.low.min())), int(np.ceil(interval.high.max()))
        kind = next((i for i in (INT16, INT32) if i.min <= smallest and largest <= i.max), None)
        if kind is None:
            raise EmitError(
                f"{layer}: its {quantity} can reach {smallest:,} ... {largest:,} in {self.timesteps} steps, "
                "which no int32 holds",
                cure="give a smaller --max-timesteps, or --weights int4",
            )
        name = np.dtype(kind.dtype).name
        self.widths.append(Width(layer=layer, quantity=quantity, smallest=smallest, largest=largest, type=name))

    def of(self, node: Node) -> Bounds:
        """The bounds of a node from those of its inputs."""
        inputs = [self.bounds[name] for name in node.inputs]
        match node:
            case Input():
                byte = Interval(np.zeros(node.shape), np.full(node.shape, 255.0))
                return Bounds(byte, byte * self.steps_on, steady=True)
            case Neuron():
                return self.neuron(node, inputs[0])
            case Conv() | Linear() | Affine() | Sum():
                return self.linear(node, inputs)
            case Differential():
                self.write(node.name, "sum", inputs[0].total)
                low = -self.evaluate(node, [-inputs[0].step.low])
                high = self.evaluate(node, [inputs[0].step.high])
                total = Interval(
                    self.evaluate(node, [inputs[0].total.low]), self.evaluate(node, [inputs[0].total.high])
                )
                return Bounds(Interval(low, high), total)
        step, total = (
            Interval(self.evaluate(node, [i.low for i in parts]), self.evaluate(node, [i.high for i in parts]))
            for parts in ([b.step for b in inputs], [b.total for b in inputs])
        )
        if not isinstance(node, Concat):
            self.write(node.name, "value", step.hull())
        return Bounds(step, total, all(b.steady for b in inputs))

    def evaluate(self, node: Node, inputs: list[Array], offset: float = 0.0) -> Array:
        """A node's function on whole arrays, its constants times `offset`."""
        return np.asarray(evaluate_function(node, inputs, self.arrays, offset))

    def constants(self, node: Node) -> Array:
        """What a node adds at each step, for input 0."""
        zeros = [np.zeros(self.network[name].shape) for name in node.inputs]
        return self.evaluate(node, zeros, 1.0)

    def weighted_sum(self, node: Node, inputs: list[Interval]) -> Interval:
        """The linear part of a node on intervals: positive factors take one end, negative ones the other."""
        if isinstance(node, Sum):
            terms = [x * k for x, k in zip(inputs, node.coefficients, strict=True)]
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            return total
        x = inputs[0]
        if isinstance(node, Affine):
            return x * (1.0 if node.scale is None else self.arrays[node.scale])
        weight, kept = node.array_names()[0], self.arrays
        parts = []
        for part in (np.maximum(kept[weight], 0), np.minimum(kept[weight], 0)):
            self.arrays = {**kept, weight: part}
            parts.append([self.evaluate(node, [end]) for end in (x.low, x.high)])
        self.arrays = kept
        (low, high), (down, up) = parts
        return Interval(low + up, high + down)

    def linear(self, node: Node, inputs: list[Bounds]) -> Bounds:
        """A node that weights, adds and is given constants."""
        constant = self.constants(node) if not isinstance(node, Sum) else np.zeros(())
        each = Interval(constant, constant)
        step = self.weighted_sum(node, [b.step for b in inputs]) + each
        partial = self.weighted_sum(node, [b.step.hull() for b in inputs]) + each.hull()
        self.write(node.name, "value", partial)
        if all(b.steady for b in inputs):
            return Bounds(step, (step * self.steps_on).hull(), steady=True)
        if self.network.schedule.limit is not None:
            step = step + each.hull() + each * -1.0  # the constant may be off
        total = self.weighted_sum(node, [b.total for b in inputs]) + (each * self.steps_on).hull()
        return Bounds(step, total)

    def neuron(self, node: Neuron, current: Bounds) -> Bounds:
        """The membrane u = v_init + S - n threshold, the count n, and the spikes.

        While u is at or above the threshold the neuron fires m spikes at each step, while it is below 0 and n > 0 as
        many of the other sign: u leaves [0, threshold) by what the current of those steps exceeds them.
        """
        theta, start = self.arrays[node.threshold], self.arrays[node.v_init]
        steps, alive = self.timesteps, theta > 0
        most = node.at_once
        cap = node.cap
        count = np.broadcast_to(alive * float(min(most * steps, cap or most * steps)), node.shape)
        low, high = np.minimum(current.step.low, 0), np.maximum(current.step.high, 0)
        down, up = np.minimum(current.total.low, 0), np.maximum(current.total.high, 0)
        # The largest changes of S between any two steps; S of a steady current only ever moves one way.
        fall = np.maximum(down if current.steady else down - up, steps * low)
        rise = np.minimum(up if current.steady else up - down, steps * high)
        highest = np.maximum(start, theta - 1) + excess(rise, high, most * theta)
        if cap is not None:
            highest = np.maximum(highest, start + up - cap * theta)
        if node.negative:
            silent = 1 - theta if node.negative == "signed" else np.zeros_like(theta)
            lowest = np.minimum(start + down, np.where(alive, silent - excess(-fall, -low, most * theta), 0))
        elif node.reset == "zero":
            highest = np.maximum(start, theta - 1)
            lowest = np.minimum(start + down, fall)
        else:
            lowest = np.minimum(start + down, fall)
        highest, lowest = np.where(alive, highest, start + up), np.where(alive, lowest, start + down)
        self.write(node.name, "membrane", Interval(lowest + low, highest + high))
        self.write(node.name, "count", Interval(np.zeros_like(count), count))
        negative = -1.0 * most if node.negative else 0.0
        spikes = np.broadcast_to(alive * float(most), node.shape)
        least = np.broadcast_to(alive * negative, node.shape)
        return Bounds(Interval(least, spikes), Interval(np.zeros_like(count), count))


def excess(change: Array, each: Array, fired: Array) -> Array:
    """How far a current that changes the membrane by at most `each` per step and `change` in all outruns spikes.

    max over k of min(k each, change) - k fired  =  change (1 - fired / each)   where each > fired, else 0
    """
    ratio = np.divide(fired, each, out=np.ones(np.broadcast_shapes(fired.shape, each.shape)), where=each > fired)
    return np.asarray(np.ceil(change * (1 - ratio)))


def proved_widths(network: Network, timesteps: int) -> tuple[Width, ...]:
    """The range and type of every accumulator and membrane for all inputs and T = 1 ... `timesteps`.

    Raises EmitError naming the layer whose range no int32 holds.
    """
    return Analysis(network, timesteps).run()
