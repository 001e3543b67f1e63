# SPDX-License-Identifier: Apache-2.0
"""Early exit: the run of a sample ends at the first step at which its class is decided by a margin.

    p = softmax(X(t) / D(T)), X the sum of the outputs so far, D(T) the divisor of the whole run; the sample ends at the
    first t with p_first - p_second >= margin, at T at the latest.

Thresholds on the confidence of one sample: SEENN (arXiv:2304.01230), dynamic confidence (arXiv:2303.09856). The sum is
divided by D(T) and not by D(t): then what has been gathered counts for what it is of the whole run, and a lead of the
first steps, when few spikes have arrived, is not taken for certainty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from snncc.conversion.certify import Certificate
from snncc.data.dataset import Dataset
from snncc.errors import UsageError
from snncc.execute.protocol import EarlyExecutor, Executor
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Neuron, Node, Operator, Reshape, Spiking
from snncc.ir.readout import choices, output_first
from snncc.ir.schedule import Schedule

Array: TypeAlias = npt.NDArray[Any]


class EarlyExit(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation gives whose samples end as soon as they are decided, beside the one of all T steps.

    margin: see the top of this file (None: none suffices). mean_steps: over the samples. exit_steps: how many samples
    end at each step at which any does. accuracy, agreement: of the outputs at those steps; changed: the share of
    samples that choose otherwise than after T steps. synaptic_operations: mean per sample, of the steps computed.
    """

    margin: float | None
    mean_steps: float
    exit_steps: dict[str, int]
    accuracy: float | None
    agreement: float
    changed: float
    synaptic_operations: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The rule for one network: how far the first class must lead after a step."""

    margin: float
    output: Node
    #: Whether the output is a softmax already.
    probabilities: bool
    schedule: Schedule
    timesteps: int

    def decided(self, output: Array, t: int) -> Array:
        """Which samples are decided by their outputs after step t, (N, ...), which are means over D(t)."""
        if t >= self.timesteps:
            return np.ones(len(output), bool)
        scores = output.reshape(len(output), -1).astype(np.float64)
        if self.probabilities:
            scores = np.log(scores.clip(min=np.finfo(np.float64).tiny))
        scores = scores * (self.schedule.divisor(t) / self.schedule.divisor(self.timesteps))
        powers = np.exp(scores - scores.max(1, keepdims=True))
        second, first = np.partition(powers, -2, axis=1)[:, -2:].T
        return np.asarray((first - second) / powers.sum(1) >= self.margin)


@dataclass(slots=True)
class Exits:
    """The samples of a batch: at which step each has ended, and its output then, (N, ...)."""

    rule: Margin
    samples: int
    steps: Array = field(init=False)
    running: Array = field(init=False)
    output: Array | None = None

    def __post_init__(self) -> None:
        self.steps, self.running = np.zeros(self.samples, np.int64), np.arange(self.samples)

    def __call__(self, outputs: Mapping[str, Array], t: int) -> Array:
        """As `Undecided`."""
        found = output_first(outputs[self.rule.output.name], self.rule.output, len(self.running))
        decided = self.rule.decided(found, t)
        if self.output is None:
            self.output = np.zeros((self.samples, *found.shape[1:]), found.dtype)
        gone = self.running[decided]
        self.steps[gone], self.output[gone] = t, found[decided]
        self.running = self.running[~decided]
        return ~decided


@dataclass(slots=True)
class EarlyTally:
    """Runs each batch once more with early exit, and sums up."""

    rule: Margin
    executor: EarlyExecutor
    fan_out: Mapping[str, Array]
    steps: list[Array] = field(default_factory=list)
    right: int = 0
    agree: int = 0
    changed: int = 0
    operations: float = 0.0

    def add(
        self,
        feeds: Mapping[str, Array],
        found: Mapping[str, Array],
        expected: Mapping[str, Array],
        labels: Array | None,
        first_sample: int,
    ) -> None:
        """One batch; found: the outputs of the run of all steps, (checkpoints, N, ...), expected: the ANN's."""
        name, node = self.rule.output.name, self.rule.output
        wanted = choices(output_first(expected[name], node))
        exits = Exits(self.rule, len(wanted))
        counted = self.executor.run_early(feeds, self.rule.timesteps, exits, first_sample=first_sample)
        chosen = choices(np.zeros(0) if exits.output is None else exits.output)
        self.steps.append(exits.steps)
        self.right += 0 if labels is None else int((chosen == labels).sum())
        self.agree += int((chosen == wanted).sum())
        self.changed += int((chosen != choices(output_first(found[name][-1], node))).sum())
        self.operations += sum(float((n * self.fan_out[source]).sum()) for source, n in counted.events.items())

    def summary(self, *, labelled: bool) -> EarlyExit:
        """What was measured; labelled: whether the labels are classes of the output."""
        steps = np.concatenate(self.steps)
        found, counts = np.unique(steps, return_counts=True)
        return EarlyExit(
            margin=self.rule.margin if np.isfinite(self.rule.margin) else None,
            mean_steps=float(steps.mean()),
            exit_steps={str(t): int(n) for t, n in zip(found, counts, strict=True)},
            accuracy=self.right / len(steps) if labelled else None,
            agreement=self.agree / len(steps),
            changed=self.changed / len(steps),
            synaptic_operations=self.operations / len(steps),
        )


def margin_rule(
    network: Network, data: Dataset, *, margin: float, timesteps: int, certificate: Certificate | None
) -> Margin:
    """The rule for a network; raises UsageError where an early end means nothing, with the reason."""
    if not margin >= 0:
        raise UsageError(f"--early-exit {margin} is no margin", cure="give a number from 0 to 1, for example 0.95")
    reason, cure = obstacle(network, data, certificate)
    if reason:
        raise UsageError(f"--early-exit: {reason}", cure=cure)
    output = network[network.outputs[0]]
    return Margin(
        margin=margin,
        output=output,
        probabilities=last_function(network, output) == "softmax",
        schedule=network.schedule,
        timesteps=timesteps,
    )


def early_tally(rule: Margin, executor: Executor, fan_out: Mapping[str, Array]) -> EarlyTally:
    """What measures a rule; raises UsageError for an executor that computes all samples together to the end."""
    if not isinstance(executor, EarlyExecutor):
        raise UsageError(
            "--early-exit: this engine computes all samples to the end",
            cure="use --engine torch, native, integer or native-integer",
        )
    return EarlyTally(rule, executor, fan_out)


def last_function(network: Network, node: Node) -> str:
    """The function at the very end of a network, reshapes left aside; empty where it is none."""
    while isinstance(node, Reshape):
        node = network[node.inputs[0]]
    inner = node.function if isinstance(node, Differential) else node
    return inner.op if isinstance(inner, Operator) else ""


def obstacle(network: Network, data: Dataset, certificate: Certificate | None) -> tuple[str, str]:
    """Why the samples of a network cannot end early, and the cure; empty where they can."""
    plain = "simulate without --early-exit"
    if network.analog_tail is not None:
        return f"the outputs go on into an analog tail ({network.analog_tail})", "export the model up to its classes"
    if len(network.outputs) > 1:
        return f"the network has {len(network.outputs)} outputs", "export the model with its classes as the one output"
    if reason := no_classes(network, data):
        return reason, plain
    if certificate is not None:
        return "the network's certificate holds for settled spikes, not for earlier ones", plain
    if after := network.schedule.readout_after:
        return f"the outputs are read from step {after + 1} on only", "convert without the pass delay_readout"
    for node in network.nodes:
        if isinstance(node, Neuron) and node.shared == "batch":
            return f"{node.name} adapts to the batch, which shrinks", "set select_adaptive_neuron.scope = sample"
        if isinstance(node, Spiking) and node.random:
            return f"{node.name} draws random numbers by the place of a sample in its batch", plain
    return "", ""


def no_classes(network: Network, data: Dataset) -> str:
    """Why the one output of a network holds no classes of which one leads; empty where it does."""
    output, given = network[network.outputs[0]], network.sampled
    extents = [n for n in output.shape if n > 1]
    if len(extents) != 1 or output.dtype != "float32":
        shape = "x".join(map(str, output.shape))
        return f"the output {output.name} ({output.dtype} {shape}) holds no scores of classes"
    classes = extents[0]
    if data.labels is not None and int(data.labels.max(initial=0)) >= classes:
        return f"labels of {data.source} are no classes of the output {output.name}"
    if data.labels is None and classes == math.prod(given.shape):
        return f"the output {output.name} has the size of the input {given.name}: it holds no classes"
    if last_function(network, output) == "sigmoid":
        return f"the output {output.name} is a sigmoid, whose entries are no rivals"
    return ""
