# SPDX-License-Identifier: Apache-2.0
"""The executors of integer networks: int64 NumPy, the definition, and torch in floats that hold every whole number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import torch

from snncc.execute import reference
from snncc.execute.executors import TorchExecutor
from snncc.execute.protocol import Counted, EarlyExecutor, Undecided
from snncc.integer.network import IntegerNetwork
from snncc.integer.widths import proved_widths
from snncc.ir.analysis import tail
from snncc.ir.network import Array, Network, frozen

#: Every whole number up to here is a float32.
FLOAT32 = 1 << 24


def as_floats(network: Network) -> Network:
    """The same network for executors of floats: whole numbers as float64, the input too."""
    nodes = tuple(msgspec.structs.replace(node, dtype="float32") for node in network.nodes)
    arrays = {name: frozen(a.astype(np.float64)) for name, a in network.arrays.items()}
    return replace(network, nodes=nodes, arrays=arrays, stage="snn")


def run(
    integer: IntegerNetwork, feeds: Mapping[str, Array], timesteps: int
) -> tuple[list[dict[str, Array]], dict[str, Array]]:
    """Every value at every step on real inputs, and the sums of the outputs: the definition."""
    bytes_of = {name: integer.quantized(x) for name, x in feeds.items()}
    steps = reference.run(integer.network, bytes_of, timesteps)
    return steps, {name: np.sum([step[name] for step in steps], axis=0) for name in integer.network.outputs}


def exact_type(network: Network, timesteps: int, device: str) -> torch.dtype:
    """The float type that holds every number of T steps: float32 below 2^24, else float64.

    Convolutions of float32 on a graphics card may be rounded (TensorFloat-32, Winograd).
    """
    largest = max(max(-w.smallest, w.largest) for w in proved_widths(network, timesteps))
    return torch.float32 if largest < FLOAT32 and device == "cpu" else torch.float64


class IntegerExecutor:
    """An integer network on real inputs; its outputs come back in real units, under the names that they had in floats.

    Torch computes the spikes, in a float type that rounds no number of the proved widths. What comes behind the last
    neuron is linear and computed in int64 on the sums over the steps.
    """

    def __init__(self, integer: IntegerNetwork, *, device: str, steps: int) -> None:
        self.integer, self.device, self.steps = integer, device, steps
        network = integer.network
        behind = tail(network)
        self.behind = [node for node in network.nodes if node.name in behind]
        read = dict.fromkeys(name for node in self.behind for name in node.inputs if name not in behind)
        spiking = (*read, *(name for name in network.outputs if name not in behind))
        self.spiking = replace(network, outputs=spiking).pruned()
        self.arrays = {name: a.astype(np.int64) for name, a in network.arrays.items()}
        self.inner: dict[int, EarlyExecutor] = {}

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch; raises UsageError beyond the T for which the widths are proved."""
        counted = self.prepared(timesteps).run(self.given(feeds), timesteps, checkpoints, first_sample=first_sample)
        found = [
            self.outputs({name: outputs[index] for name, outputs in counted.outputs.items()}, t)
            for index, t in enumerate(checkpoints)
        ]
        counted.outputs = {name: np.stack([step[name] for step in found]) for name in self.integer.readout}
        return counted

    def run_early(
        self, feeds: Mapping[str, Array], timesteps: int, undecided: Undecided, *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch whose samples leave when they are decided; raises as `run`."""

        def on_outputs(means: Mapping[str, Array], t: int) -> Array:
            return undecided(self.outputs(means, t), t)

        inner = self.prepared(timesteps)
        return inner.run_early(self.given(feeds), timesteps, on_outputs, first_sample=first_sample)

    def prepared(self, timesteps: int) -> EarlyExecutor:
        """What computes the spikes of so many steps; raises UsageError beyond those that the widths are proved for."""
        self.integer.refuse_longer(timesteps)
        if timesteps not in self.inner:
            self.inner = {timesteps: self.spikes(timesteps)}
        return self.inner[timesteps]

    def given(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """Real inputs as the bytes that the network reads, in floats."""
        return {name: self.integer.quantized(x).astype(np.float64) for name, x in feeds.items()}

    def outputs(self, means: Mapping[str, Array], t: int) -> dict[str, Array]:
        """The outputs in real units after step t, from the means of what is read behind the last neuron."""
        schedule = self.integer.network.schedule
        after = schedule.readout_after if t > schedule.readout_after else 0
        divisor = schedule.divisor(t) - schedule.divisor(after)
        whole = {name: np.rint(mean.astype(np.float64) * divisor).astype(np.int64) for name, mean in means.items()}
        sums = self.sums(whole, divisor)
        found = {name: sums[name] * scale / divisor for name, scale in self.integer.output_scale.items()}
        return {name: self.read(name, found) for name in self.integer.readout}

    def spikes(self, timesteps: int) -> EarlyExecutor:
        """What computes the spikes."""
        dtype = exact_type(self.integer.network, timesteps, self.device)
        return TorchExecutor(as_floats(self.spiking), device=self.device, steps=self.steps, dtype=dtype)

    def read(self, name: str, outputs: Mapping[str, Array]) -> Array:
        """An output of the network in floats: the softmax that was left out behind ours, in floats."""
        source, functions = self.integer.readout[name]
        value = outputs[source]
        for function in functions:
            value = reference.evaluate_function(function, [value], {}, 1)
        return value

    def sums(self, values: dict[str, Array], divisor: int) -> dict[str, Array]:
        """Everything behind the last neuron on sums over the steps, in int64."""
        for node in self.behind:
            inputs = [values[name] for name in node.inputs]
            values[node.name] = reference.evaluate_function(node, inputs, self.arrays, divisor)
        return values
