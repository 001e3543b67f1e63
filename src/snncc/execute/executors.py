# SPDX-License-Identifier: Apache-2.0
"""The executors that `simulate` offers, behind one protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from snncc.errors import UsageError
from snncc.execute import reference
from snncc.execute.protocol import Counted, Undecided
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.layout import Run
from snncc.ir.analysis import emitters
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Neuron, Node, Spiking
from snncc.neurons.signed_if.step import resting_rate

Array = npt.NDArray[Any]


def refuse_missing_device(device: str) -> None:
    """Raise UsageError when torch has no such device here."""
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {device} is not usable: {reason}", cure="use --device cpu") from None


def counts_of(run: Run) -> Counted:
    """What a run of an engine gave, as NumPy arrays."""
    return Counted(
        outputs={name: y.cpu().numpy() for name, y in run.outputs.items()},
        events={name: a.events.cpu().numpy() for name, a in run.activity.items()},
        positive=sum(a.positive for a in run.activity.values()),
        negative=sum(a.negative for a in run.activity.values()),
        clamped=run.clamps,
    )


class TorchExecutor:
    """`execute.torch.engine`, float32 (or another type) on a device, `steps` steps at once."""

    def __init__(self, network: Network, *, device: str, steps: int, dtype: torch.dtype = torch.float32) -> None:
        self.engine, self.steps = Engine(network, device=device, dtype=dtype), steps

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch."""
        result = self.engine.run(
            feeds, timesteps, checkpoints=checkpoints, steps_at_once=self.steps, first_sample=first_sample
        )
        return counts_of(result)

    def run_early(
        self, feeds: Mapping[str, Array], timesteps: int, undecided: Undecided, *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch whose samples leave when they are decided."""
        return counts_of(self.engine.run(feeds, timesteps, first_sample=first_sample, undecided=undecided))


def deviations(y: Array, arrays: Mapping[str, Array], node: Neuron, t: int) -> Array:
    """The events of a neuron with an offset at step t: its output without the constant that flows beside its spikes."""
    amplitude = np.broadcast_to(arrays[node.amplitude], y.shape)
    counts = np.divide(y, amplitude, out=np.zeros_like(y), where=amplitude != 0)
    return np.asarray(np.round(counts - resting_rate(arrays[node.offset or ""], node.until, t)) * amplitude)


def events_per_neuron(node: Node, y: Array) -> Array:
    """How often each entry of a source was not zero, over the samples."""
    events = y != 0
    if node.batch is not None:
        split = (*y.shape[: node.batch], -1, node.shape[node.batch], *y.shape[node.batch + 1 :])
        events = events.reshape(split).sum(node.batch)
    return np.asarray(events, np.int64)


def spike_counts(net: Network, node: Node, y: Array) -> Array:
    """The spikes that a source emits at once, with their signs; none for what is no spike."""
    if not isinstance(node, Spiking):
        return np.zeros(1)
    if not isinstance(node, Neuron) or node.graded:
        return np.sign(y)
    amplitude = net.arrays[node.amplitude].astype(np.float64)
    alive = np.broadcast_to(amplitude != 0, y.shape)
    return np.round(np.divide(y, amplitude, out=np.zeros(y.shape), where=alive))


def tallied(
    net: Network, steps: Iterable[tuple[Mapping[str, Array], Mapping[str, Array]]], checkpoints: Sequence[int]
) -> Counted:
    """What a run gave, from the values of the outputs and the events of the sources at each step."""
    sums: dict[str, Any] = dict.fromkeys(net.outputs, 0)
    outputs: dict[str, list[Array]] = {name: [] for name in net.outputs}
    counted, sources = Counted(outputs={}, events={}, positive=0.0, negative=0.0, clamped={}), emitters(net)
    for t, (values, emitted) in enumerate(steps, 1):
        for name, y in emitted.items():
            if name in sources:
                counted.events[name] = counted.events.get(name, 0) + events_per_neuron(net[name], y)
                spikes = spike_counts(net, net[name], y)
                counted.positive += float(spikes.clip(min=0).sum())
                counted.negative -= float(spikes.clip(max=0).sum())
        for name in net.outputs:
            static, after = name not in net.varying, net.schedule.readout_after
            sums[name] = values[name] if static or t == after + 1 else sums[name] + values[name]
            if t in checkpoints:
                counts = net.schedule.divisor(t) - net.schedule.divisor(after if t > after else 0)
                outputs[name].append(sums[name] if static else sums[name] / counts)
    counted.outputs = {name: np.stack(steps) for name, steps in outputs.items()}
    return counted


class ReferenceExecutor:
    """`execute.reference`, float64 NumPy, step by step: slow, the definition."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch."""
        net = self.network
        machine = reference.Machine(network=net, feeds=feeds, first_sample=first_sample)
        sources = [n for n in net.nodes if isinstance(n, (Spiking, Differential)) and n.name in net.varying]

        def steps() -> Iterator[tuple[Mapping[str, Array], Mapping[str, Array]]]:
            for t in range(1, timesteps + 1):
                values = machine.step()
                emitted = {node.name: values[node.name] for node in sources}
                for node in sources:
                    if isinstance(node, Neuron) and node.offset is not None:
                        emitted[node.name] = deviations(values[node.name], machine.arrays, node, t)
                yield values, emitted

        counted = tallied(net, steps(), checkpoints)
        counted.clamped = machine.clamps
        return counted
