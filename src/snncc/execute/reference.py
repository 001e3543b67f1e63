# SPDX-License-Identifier: Apache-2.0
"""The reference executor: plain NumPy, step by step, node by node. Slow; it is the definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.functions.numpy import attention as numpy_attention
from snncc.functions.numpy import elementwise as numpy_elementwise
from snncc.functions.numpy import foreign as numpy_foreign
from snncc.functions.numpy import functions as numpy_functions
from snncc.functions.numpy import indexing as numpy_indexing
from snncc.functions.numpy import normalization as numpy_normalization
from snncc.functions.numpy import ops as numpy_ops
from snncc.functions.numpy import quantized as numpy_quantized
from snncc.functions.numpy import recurrent as numpy_recurrent
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    IF,
    NEURONS,
    AdaptiveIF,
    CentredIF,
    Constant,
    Differential,
    Encoder,
    Input,
    LeakyIF,
    MsatIF,
    MultiThreshold,
    Neuron,
    Node,
    Repeat,
    SignedIF,
)
from snncc.neurons.encoders import interval_step, poisson_step
from snncc.neurons.integrate_and_fire import if_step
from snncc.neurons.multi_threshold import multi_threshold_step
from snncc.neurons.random import counters_array, uniform_array
from snncc.neurons.signed import centred_if_step, leaky_if_step, phi, resting_rate, signed_if_step
from snncc.neurons.threshold_rules import adapted, adaptive_if_step, msat_step, msat_threshold, normalized

#: Where the functions that nodes name are defined.
MODULES = (
    numpy_ops,
    numpy_functions,
    numpy_recurrent,
    numpy_elementwise,
    numpy_normalization,
    numpy_indexing,
    numpy_attention,
    numpy_quantized,
    numpy_foreign,
)

#: Fields of `MsatIF` that `msat_threshold` takes.
MSAT_CONSTANTS = ("alpha", "k_a", "k_i", "c", "tau_mp", "tau_rd", "v_t", "dtt", "det")


def evaluate_function(node: Node, inputs: Sequence[Array], arrays: Mapping[str, Array], offset: float) -> Array:
    """A stateless node on whole arrays; `offset` multiplies the constants that it adds."""
    if isinstance(node, Differential):
        node = node.function
    call = node.call()
    function = next(getattr(m, call.function) for m in MODULES if hasattr(m, call.function))
    options: dict[str, Any] = dict(call.options)
    if call.offset:
        options["offset"] = offset
    with np.errstate(all="ignore"):
        operands = [None if name is None else arrays[name] for name in call.arrays]
        return np.asarray(function(*inputs, *operands, **options))


def clamped(x: Array, low: float | None, high: float | None, nonzero: float) -> tuple[Array, int]:
    """The argument of a differential node, kept in its range; and how many entries were moved."""
    y = x if low is None and high is None else np.clip(x, low, high)
    if nonzero:
        y = np.where(np.abs(y) < nonzero, np.where(y < 0, -nonzero, nonzero), y).astype(x.dtype)
    return y, int(np.count_nonzero(y != x))


@dataclass(slots=True)
class State:
    """What one stateful node carries from step to step."""

    potential: Array | None = None
    count: Array | None = None
    sums: list[Array] = field(default_factory=list)
    last: Array | None = None


@dataclass(slots=True)
class Machine:
    """A network on a batch of samples; `step()` advances it by one step and returns every value."""

    network: Network
    feeds: Mapping[str, Array]
    dtype: Any = np.float64
    t: int = 0
    first_sample: int = 0
    clamps: dict[str, int] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    arrays: dict[str, Array] = field(init=False)
    samples: int = field(init=False)

    def __post_init__(self) -> None:
        if self.network.stage == "integer":
            self.dtype = np.int64
        self.arrays = {name: self.typed(a) for name, a in self.network.arrays.items()}
        self.feeds = {name: self.typed(a) for name, a in self.feeds.items()}
        first = self.network.sampled
        self.samples = self.feeds[first.name].shape[first.batch] if first.batch is not None else 1

    def typed(self, array: Array) -> Array:
        """An array, floats in the machine's type; int64 throughout where the network is of whole numbers."""
        a = np.asarray(array)
        return a.astype(self.dtype) if self.dtype is np.int64 or np.issubdtype(a.dtype, np.floating) else a

    def step(self) -> dict[str, Array]:
        """One time step: each node in topological order, without delay."""
        self.t += 1
        gate = self.network.schedule.gate(self.t)
        values: dict[str, Array] = {}
        for node in self.network.nodes:
            values[node.name] = self.evaluate(node, values, gate)
        return values

    def evaluate(self, node: Node, values: Mapping[str, Array], gate: int) -> Array:
        """The node's value at this step."""
        net = self.network
        if isinstance(node, Input):
            x = self.feeds[node.name]
            return x * x.dtype.type(gate) if node.name in net.varying else x
        if isinstance(node, Constant):
            return self.arrays[node.value]
        inputs = [values[name] for name in node.inputs]
        if isinstance(node, Repeat):
            return np.concatenate([inputs[0]] * self.samples, axis=node.batch)
        if isinstance(node, NEURONS):
            return self.fire(node, inputs[0])
        if isinstance(node, Encoder):
            return self.encode(node, self.feeds[node.inputs[0]])
        if isinstance(node, Differential):
            return self.difference(node, inputs)
        varying = net.varying_positions(node)
        if not varying:
            return evaluate_function(node, inputs, self.arrays, 1.0)
        group = next(g for g in node.linear_in() if set(varying) <= set(g))
        inputs = [x * x.dtype.type(gate) if i in group and i not in varying else x for i, x in enumerate(inputs)]
        return evaluate_function(node, inputs, self.arrays, gate)

    def fire(self, node: Neuron, current: Array) -> Array:
        """One step of a neuron."""
        threshold, amplitude = self.arrays[node.threshold], self.arrays[node.amplitude]
        state = self.states.setdefault(node.name, State())
        if state.potential is None or state.count is None:
            state.potential = np.zeros_like(current) + self.arrays[node.v_init]
            state.count = np.zeros_like(current)
        if isinstance(node, IF):
            z, state.potential = if_step(
                state.potential, current, threshold=threshold, reset=node.reset, burst=node.burst
            )
            return z * amplitude
        if isinstance(node, SignedIF):
            z, state.potential, state.count = signed_if_step(
                state.potential,
                state.count,
                current,
                threshold=threshold,
                negative=node.negative,
                cap=node.cap,
                levels=node.levels,
            )
            return z * amplitude
        if isinstance(node, CentredIF):
            rest = resting_rate(self.arrays[node.centre], node.until, self.t)
            count = state.count + self.arrays[node.centre] if self.t == 1 else state.count
            z, state.potential, state.count = centred_if_step(
                state.potential, count, current, threshold=threshold, rest=rest, levels=node.levels
            )
            return (z + rest) * amplitude
        if isinstance(node, MultiThreshold):
            z, state.potential = multi_threshold_step(state.potential, current, threshold=threshold, sizes=node.sizes)
            return z * amplitude
        if isinstance(node, AdaptiveIF):
            return self.adapt(node, current, state) * amplitude
        if isinstance(node, MsatIF):
            return self.multistage(node, current, state) * amplitude
        if not isinstance(node, LeakyIF):
            raise TypeError(type(node).__name__)
        before, slope = state.count, self.arrays[node.slope]
        _, state.potential, state.count = leaky_if_step(
            state.potential, before, current, threshold=threshold, negative=node.negative, levels=node.levels
        )
        return (phi(state.count, slope=slope) - phi(before, slope=slope)) * amplitude

    def adapt(self, node: AdaptiveIF, current: Array, state: State) -> Array:
        """One step of a neuron with an adaptive threshold."""
        axis, threshold = node.batch or 0, self.arrays[node.threshold]
        samples = self.samples if node.scope == "sample" and node.batch is not None else 1
        c = np.full(samples, node.eta, current.dtype) if state.last is None else state.last
        if node.adapt:
            c = adapted(c, current, threshold=threshold, eta=node.eta, rule=node.rule, samples=samples, axis=axis)
        state.last = c
        shape = [-1 if i == axis else 1 for i in range(current.ndim)]
        factor = np.repeat(c, current.shape[axis] // samples).reshape(shape)
        z, state.potential = adaptive_if_step(
            np.asarray(state.potential), current, factor, threshold=threshold, subtract=node.subtract
        )
        return z

    def multistage(self, node: MsatIF, current: Array, state: State) -> Array:
        """One step of MSAT; the potential and the sum of the residuals are kept in units of the threshold."""
        threshold, axis = self.arrays[node.threshold], node.batch or 0
        if not state.sums:
            state.potential = normalized(np.asarray(state.potential), threshold)
            state.sums = [np.zeros_like(current)]
        v, x, step = np.asarray(state.potential), normalized(current, threshold), self.t - 1
        th = np.ones_like(v)
        if step:
            options = {name: getattr(node, name) for name in MSAT_CONSTANTS}
            th = msat_threshold(v - state.sums[0] / step, x, **options)
        keep = None
        if node.confidence < 1 and step < node.unsure:
            samples = self.samples if node.batch is not None else 1
            streams = counters_array(v.shape, node.key, samples=samples, first_sample=self.first_sample, axis=axis)
            keep = uniform_array(streams, step, v.dtype.type) < node.confidence
        y, state.potential = msat_step(v, x, th, burst=node.burst, keep=keep)
        state.sums = [state.sums[0] + state.potential]
        return y

    def encode(self, node: Encoder, x: Array) -> Array:
        """One step of the spikes of an input."""
        scale, divisor = self.arrays[node.scale], self.network.schedule.divisor
        if node.kind == "uniform":
            return interval_step(x, divisor(self.t - 1), divisor(self.t), scale=scale, phase=node.phase)
        samples = self.samples if node.batch is not None else 1
        streams = counters_array(
            x.shape, node.key, samples=samples, first_sample=self.first_sample, axis=node.batch or 0
        )
        numbers = uniform_array(streams, self.t - 1, x.dtype.type)
        return np.asarray(poisson_step(x, numbers, scale=scale) * x.dtype.type(self.network.schedule.gate(self.t)))

    def difference(self, node: Differential, inputs: Sequence[Array]) -> Array:
        """One step of a differential node."""
        state = self.states.setdefault(node.name, State())
        varying = self.network.varying_positions(node)
        if not state.sums:
            state.sums = [np.zeros_like(inputs[i]) for i in varying]
        state.sums = [total + inputs[i] for total, i in zip(state.sums, varying, strict=True)]
        divisor = self.dtype(1 if node.direct else self.network.schedule.divisor(self.t))
        arguments = list(inputs)
        for total, i in zip(state.sums, varying, strict=True):
            mean = total if node.direct else total / divisor
            arguments[i], moved = clamped(mean, node.low[i], node.high[i], node.nonzero[i])
            self.clamps[node.name] = self.clamps.get(node.name, 0) + moved
        result = evaluate_function(node.function, arguments, self.arrays, 1.0)
        total = result.astype(self.dtype) * divisor
        before = np.zeros_like(total) if state.last is None else state.last
        state.last = total
        return np.asarray(total - before)


def run(
    network: Network, feeds: Mapping[str, Array], timesteps: int, dtype: Any = np.float64
) -> list[dict[str, Array]]:
    """Every value at every step, for a batch of samples: a list over steps of name -> array."""
    machine = Machine(network=network, feeds=feeds, dtype=dtype)
    return [machine.step() for _ in range(timesteps)]


def evaluate(network: Network, feeds: Mapping[str, Array], dtype: Any = np.float64) -> dict[str, Array]:
    """Every value of a network in its ANN stage (no neurons): one evaluation, inputs and constants once."""
    machine = Machine(network=network, feeds=feeds, dtype=dtype)
    values: dict[str, Array] = {}
    for node in network.nodes:
        if isinstance(node, Input | Constant | Repeat):
            values[node.name] = machine.evaluate(node, values, 1)
        else:
            values[node.name] = evaluate_function(node, [values[n] for n in node.inputs], machine.arrays, 1.0)
    return values
