# SPDX-License-Identifier: Apache-2.0
"""One step of every neuron as ONNX nodes, with its state handed in and out. The equations stand in `snncc.neurons`.

Every state is zero before the first step: initial potentials are added where the step is the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.functions.onnx.graph import Graph
from snncc.ir.nodes import IF, AdaptiveIF, CentredIF, Encoder, LeakyIF, MsatIF, MultiThreshold, Neuron, SignedIF

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a step stands: values of the graph. `gate` is None where it is always 1."""

    step: str
    first: str
    before: str
    divisor: str
    gate: str | None
    samples: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A neuron in the graph: its arrays, and how it gets and hands on a state (`load(part)`, `store(part, value)`)."""

    g: Graph
    arrays: Mapping[str, Array]
    clock: Clock
    load: Callable[[str], str]
    store: Callable[[str, str], str]

    def array(self, name: str) -> Array:
        """An array in the graph's float type."""
        return self.arrays[name].astype(self.g.float_type)

    def started(self, part: str, value: Array) -> str:
        """A state that is `value` before the first step."""
        state = self.load(part)
        return self.g.where(self.clock.first, value, state) if np.any(value) else state

    def charged(self, node: Neuron, current: str) -> str:
        """u + x."""
        return self.g.op("Add", self.started("potential", self.array(node.v_init)), current)

    def only_alive(self, truth: str, threshold: Array) -> str:
        """False where the threshold is 0."""
        return truth if np.all(threshold > 0) else self.g.op("And", truth, threshold > 0)

    def at_least(self, u: str, threshold: Array) -> str:
        """u >= threshold > 0."""
        return self.only_alive(self.g.op("GreaterOrEqual", u, threshold, kind=bool), threshold)

    def steps(self, u: str, threshold: Array) -> str:
        """floor(u / threshold), 0 where the threshold is 0."""
        count = self.g.op("Floor", self.g.op("Div", u, divisor(threshold)))
        return count if np.all(threshold > 0) else self.g.where(threshold > 0, count, 0.0)

    def discharged(self, u: str, z: str, threshold: Array) -> None:
        """u - z threshold is the next potential."""
        self.store("potential", self.g.op("Sub", u, self.g.product(z, threshold)))


def divisor(threshold: Array) -> Array:
    """The threshold, 1 where it is 0."""
    return np.where(threshold > 0, threshold, np.ones_like(threshold))


def clipped(g: Graph, x: str, low: str | float, high: str | float) -> str:
    """min(max(x, low), high)."""
    return g.op("Min", g.op("Max", x, low), high)


def fire(cell: Cell, node: Neuron, current: str) -> tuple[str, str]:
    """One step of a neuron; returns its value and its events (the same but for what flows beside the spikes)."""
    g, amplitude = cell.g, cell.array(node.amplitude)
    if isinstance(node, CentredIF):
        z, rest = centred_if_step(cell, node, current)
        return g.product(g.op("Add", z, rest), amplitude), g.product(z, amplitude)
    steps: dict[type[Neuron], Callable[[Cell, Any, str], str]] = {
        IF: if_step,
        SignedIF: signed_if_step,
        LeakyIF: leaky_if_step,
        MultiThreshold: multi_threshold_step,
        AdaptiveIF: adaptive_if_step,
        MsatIF: msat_step,
    }
    y = g.product(steps[type(node)](cell, node, current), amplitude)
    return y, y


def if_step(cell: Cell, node: IF, current: str) -> str:
    """u += x; z = [u >= threshold] or clip(floor(u / threshold), 0, burst); u -= z threshold, or u = 0."""
    g, threshold = cell.g, cell.array(node.threshold)
    u = cell.charged(node, current)
    if node.burst == 1:
        fires = cell.at_least(u, threshold)
        z = g.floating(fires)
    else:
        z = clipped(g, cell.steps(u, threshold), 0.0, float(node.burst))
        fires = g.op("Greater", z, 0.0, kind=bool) if node.reset == "zero" else ""
    if node.reset == "subtract":
        cell.discharged(u, z, threshold)
    else:
        cell.store("potential", g.where(fires, 0.0, u))
    return z


def signed_if_step(cell: Cell, node: SignedIF, current: str) -> str:
    """Spikes of either sign with the memory n of those emitted."""
    u, n = cell.charged(node, current), cell.load("count")
    threshold = cell.array(node.threshold)
    return signed_spikes(cell, u, n, threshold, negative=node.negative, cap=node.cap, levels=node.levels)


def signed_spikes(cell: Cell, u: str, n: str, threshold: Array, *, negative: str, cap: int | None, levels: int) -> str:
    """z for the potential u and the memory n, which are handed on."""
    g = cell.g
    if levels == 1:
        fires = cell.at_least(u, threshold)
        if cap is not None:
            fires = g.op("And", fires, g.op("Less", n, float(cap), kind=bool))
        falls = g.op("And", below(cell, negative, u, threshold), g.op("Greater", n, 0.0, kind=bool))
        falls = cell.only_alive(g.op("And", falls, g.op("Not", fires)), threshold)
        z = g.op("Sub", g.floating(fires), g.floating(falls))
    else:
        high: str | float = float(levels)
        if cap is not None:
            high = g.op("Min", g.op("Sub", float(cap), n), high)
        z = clipped(g, cell.steps(u, threshold), g.op("Neg", g.op("Min", n, float(levels))), high)
    cell.discharged(u, z, threshold)
    cell.store("count", g.op("Add", n, z))
    return z


def centred_if_step(cell: Cell, node: CentredIF, current: str) -> tuple[str, str]:
    """The early signed neuron around a resting rate; returns z and the rate of this step."""
    g, threshold, centre = cell.g, cell.array(node.threshold), cell.array(node.centre)
    on = g.floating(g.op("LessOrEqual", cell.clock.step, node.until, kind=bool))
    rest = g.op("Mul", on, centre / g.float_type.type(node.until))
    current = g.op("Sub", current, g.op("Mul", rest, threshold * (threshold > 0)))
    u, n = cell.charged(node, current), cell.started("count", centre)
    return signed_spikes(cell, u, n, threshold, negative="early", cap=None, levels=node.levels), rest


def below(cell: Cell, negative: str, u: str, threshold: Array) -> str:
    """u < 0 [early], u <= 0 [at_zero] or u <= -threshold [signed]."""
    if negative != "signed":
        return cell.g.op("Less" if negative == "early" else "LessOrEqual", u, 0.0, kind=bool)
    return cell.g.op("LessOrEqual", u, -threshold, kind=bool)


def leaky_if_step(cell: Cell, node: LeakyIF, current: str) -> str:
    """Spikes of either sign; emits the change of phi(n)."""
    g, threshold = cell.g, cell.array(node.threshold)
    u, n = cell.charged(node, current), cell.load("count")
    if node.levels == 1:
        fires = g.floating(g.op("GreaterOrEqual", u, threshold, kind=bool))
        z = g.op("Sub", fires, g.floating(below(cell, node.negative, u, threshold)))
        z = z if np.all(threshold > 0) else g.op("Mul", z, (threshold > 0).astype(g.float_type))
    else:
        z = clipped(g, cell.steps(u, threshold), -float(node.levels), float(node.levels))
    cell.discharged(u, z, threshold)
    after = cell.store("count", g.op("Add", n, z))
    slope = cell.array(node.slope)
    return g.op("Sub", phi(g, after, slope), phi(g, n, slope))


def phi(g: Graph, n: str, slope: Array) -> str:
    """n where n >= 0, slope n below."""
    return g.where(g.op("GreaterOrEqual", n, 0.0, kind=bool), n, g.op("Mul", n, slope))


def multi_threshold_step(cell: Cell, node: MultiThreshold, current: str) -> str:
    """z = sign(u) 2^-i with the smallest i < sizes for which |u| >= 3/4 threshold 2^-i, else 0."""
    g, threshold = cell.g, cell.array(node.threshold)
    u = cell.charged(node, current)
    size = g.op("Abs", u)
    z: str | float = 0.0
    for i in reversed(range(node.sizes)):
        reached = g.op("GreaterOrEqual", size, threshold * g.float_type.type(0.75 * 2.0**-i), kind=bool)
        z = g.where(reached, 2.0**-i, z, kind=g.float_type)
    z = g.op("Mul", g.op("Sign", u), z)
    z = z if np.all(threshold > 0) else g.op("Mul", z, (threshold > 0).astype(g.float_type))
    cell.discharged(u, z, threshold)
    return z


def adaptive_if_step(cell: Cell, node: AdaptiveIF, current: str) -> str:
    """The firing threshold c threshold follows the largest current of the layer, per sample or over the batch."""
    g, threshold = cell.g, cell.array(node.threshold)
    axis, rank = node.batch or 0, len(node.shape)
    each = node.scope == "sample" and node.batch is not None
    rows = node.shape[axis]
    c = cell.started("factor", np.full(1, node.eta, g.float_type))
    if node.adapt:
        x = g.op("Div", current, divisor(threshold))
        x = x if np.all(threshold > 0) else g.where(threshold > 0, x, -np.inf)
        if axis:
            x = g.op("Transpose", x, perm=[axis, *[i for i in range(rank) if i != axis]])
        count = g.op("Reshape", cell.clock.samples, g.shape([1])) if each else g.shape([1])
        x = g.op("Reshape", x, g.op("Concat", count, g.shape([-1]), axis=0))
        m = g.op("ReduceMax", x, g.shape([1]), keepdims=0)
        if node.rule == "running_max":
            c = g.op("Min", 1.0, g.op("Max", c, m))
        else:
            inside = g.op("And", g.op("Greater", m, node.eta, kind=bool), g.op("Less", m, 1.0, kind=bool))
            c = g.where(inside, m, c)
    c = cell.store("factor", c)
    if each and rows > 1:
        c = g.op("Tile", g.op("Reshape", c, g.shape([-1, 1])), g.shape([1, rows]))
    factor = g.op("Reshape", c, g.shape(-1 if i == axis else 1 for i in range(rank)))
    u = cell.charged(node, current)
    now = g.op("Mul", factor, threshold)
    s = g.floating(cell.only_alive(g.op("GreaterOrEqual", u, now, kind=bool), threshold))
    spent = g.op("Mul", s, threshold if node.subtract == "vmax" else now)
    cell.store("potential", g.op("Sub", u, spent))
    return g.op("Mul", s, factor) if node.subtract == "graded" else s


def msat_step(cell: Cell, node: MsatIF, current: str) -> str:
    """The multi-stage adaptive threshold; potentials in units of the threshold."""
    g, threshold = cell.g, cell.array(node.threshold)

    def normalized(x: str | Array) -> str:
        y = g.op("Div", x, divisor(threshold))
        return y if np.all(threshold > 0) else g.where(threshold > 0, y, 0.0)

    start = np.where(threshold > 0, cell.array(node.v_init) / divisor(threshold), 0).astype(g.float_type)
    v, total = cell.started("potential", start), cell.load("residuals")
    x = normalized(current)
    th = g.where(cell.clock.first, 1.0, msat_threshold(cell, node, v, total, x)) if node.dtt or node.det else None
    v = g.op("Add", v, x)
    if node.burst == 1:
        z = g.floating(g.op("GreaterOrEqual", v, 1.0 if th is None else th, kind=bool))
    else:
        z = clipped(g, g.op("Floor", v if th is None else g.op("Div", v, th)), 0.0, float(node.burst))
    y = z if th is None else g.op("Mul", th, z)
    v = cell.store("potential", g.op("Sub", v, y))
    cell.store("residuals", g.op("Add", total, v))
    return y


def softplus(g: Graph, x: str) -> str:
    """ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|)): runtimes have Softplus in float32 alone."""
    tail = g.op("Log", g.op("Add", g.op("Exp", g.op("Neg", g.op("Abs", x))), 1.0))
    return g.op("Add", g.op("Max", x, 0.0), tail)


def msat_threshold(cell: Cell, node: MsatIF, v: str, total: str, x: str) -> str:
    """sigmoid(DTT + DET), see `neurons.threshold_rules.msat_threshold`."""
    g = cell.g
    parts = []
    if node.dtt:
        done = g.floating(g.op("Max", g.op("Sub", cell.clock.step, 1), 1))  # the first step has no past and no use
        d = g.op("Sub", v, g.op("Div", total, done))
        soft = g.op("Mul", softplus(g, g.op("Div", d, node.k_i)), node.k_a)
        parts.append(g.op("Mul", g.op("Add", g.op("Add", g.op("Mul", d, node.alpha), node.v_t), soft), node.tau_mp))
    if node.det:
        exponent = g.op("Min", g.op("Div", g.op("Neg", x), node.c), 50.0)
        parts.append(g.op("Mul", g.op("Exp", exponent), node.tau_rd))
    return g.op("Sigmoid", parts[0] if len(parts) == 1 else g.op("Add", *parts))


def encode(cell: Cell, node: Encoder, x: str) -> str:
    """scale sign(x) (floor(D(t) p + phase) - floor(D(t-1) p + phase)), p = min(1, |x| / scale)."""
    g, scale, clock = cell.g, cell.array(node.scale), cell.clock
    p = g.op("Min", g.op("Div", g.op("Abs", x), divisor(scale)), 1.0)
    now, before = [
        g.op("Floor", g.op("Add", g.op("Mul", g.floating(d), p), node.phase)) for d in (clock.divisor, clock.before)
    ]
    return g.op("Mul", g.op("Mul", g.op("Sign", x), scale), g.op("Sub", now, before))
