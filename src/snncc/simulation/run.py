# SPDX-License-Identifier: Apache-2.0
"""`simulate`: a spiking network on data beside its ANN, and what is measured of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from snncc.ann.truth import Truth
from snncc.data.dataset import Dataset
from snncc.errors import DataError, UsageError
from snncc.execute.analog_tail import TailAgreement, TailTally
from snncc.execute.native.cost import LayerCost
from snncc.execute.protocol import Executor
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.classes import carries_values
from snncc.ir.network import Network
from snncc.ir.nodes import Neuron
from snncc.ir.readout import choices, output_first
from snncc.simulation.early_exit import EarlyExit, EarlyTally
from snncc.simulation.metrics import Energy, energies
from snncc.simulation.paired import FloatRun

Array = npt.NDArray[Any]
#: The outputs of the quantised reference for one batch at T, by name.
ReferenceRun = Callable[[Mapping[str, Array], int], Mapping[str, Array]]
SCHEMA = "snncc/simulate/1"
#: "Within 1 point": the SNN's accuracy (or agreement, without labels) against the ANN's.
POINT = 0.01


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What the quantised reference gives at every T measured: the same network layer by layer, without time between
    the layers. Fields as in `Simulation`."""

    accuracy: Any
    agreement: Any
    error: Any


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation measured. Fractions 0 ... 1; T keys are decimal strings; None where there are no labels; with
    several outputs, `ann_accuracy`, `accuracy`, `agreement` and `error` are objects by output name.

    error: mean squared error over the mean square of the ANN's output. firing_rate: spikes per neuron and step at the
    last T. synaptic_operations: mean per sample at the last T, by real fan-out; graded_operations: those among them
    whose event carries another value than a spike's, so that each is a multiplication. energy: by the papers' models.
    within_one_point: the first T of those measured from which on the accuracy (agreement) is within 0.01 of the ANN's.
    reference: the quantised reference; ANN - reference is lost by quantisation, reference - SNN by asynchrony (either
    can be negative). float_snn: with --engine integer, the same network in floats.
    analog_tail: how the outputs behind the network agree with the ANN's, by name, where there are any. early_exit: with
    --early-exit, the samples that end when they are decided. profile: with --profile, what each layer cost in the
    native engine.
    """

    schema: str = SCHEMA
    name: str
    method: str
    timesteps: int
    design_timesteps: int
    samples: int
    source: str
    synthetic: bool
    device: str
    engine: str
    ann_accuracy: Any
    accuracy: Any
    agreement: dict[str, Any]
    error: dict[str, Any]
    firing_rate: float | None
    positive_spikes: float
    negative_spikes: float
    neurons: int
    synaptic_operations: float
    graded_operations: float = 0.0
    energy: tuple[Energy, ...] = ()
    multiply_accumulates: int
    clamped: dict[str, int]
    within_one_point: int | None
    reference: Reference | None = None
    float_snn: FloatRun | None = None
    analog_tail: dict[str, TailAgreement] = {}
    early_exit: EarlyExit | None = None
    profile: tuple[LayerCost, ...] = ()


def checkpoints(timesteps: int) -> tuple[int, ...]:
    """1, 2, 4, ... and T itself."""
    return (*[1 << i for i in range(timesteps.bit_length()) if 1 << i < timesteps], timesteps)


class Tally:
    """Sums over the batches for one output."""

    def __init__(self, points: Sequence[int]) -> None:
        self.points = points
        self.right = np.zeros(len(points), np.int64)
        self.agree = np.zeros(len(points), np.int64)
        self.squared = np.zeros(len(points))
        self.power, self.ann_right, self.classifies = 0.0, 0, True

    def add(self, found: Array, expected: Array, labels: Array | None) -> None:
        """One batch: found (checkpoints, N, ...), expected (N, ...), labels (N,) or None."""
        truth = choices(expected)
        entries = math.prod(expected.shape[1:])
        index = np.issubdtype(expected.dtype, np.integer)
        if labels is not None and not index and entries <= int(labels.max(initial=0)):
            self.classifies = False
        if labels is not None:
            self.ann_right += int((truth == labels).sum())
        self.power += float(np.square(expected.astype(np.float64)).sum())
        for i, output in enumerate(found):
            chosen = choices(output)
            self.agree[i] += int((chosen == truth).sum())
            self.right[i] += 0 if labels is None else int((chosen == labels).sum())
            self.squared[i] += float(np.square(output.astype(np.float64) - expected).sum())

    def by_step(self, values: Array, total: float) -> dict[str, float]:
        """A quantity per T as fractions of a total."""
        return {str(t): float(v / total) for t, v in zip(self.points, values, strict=True)}


def batches(data: Dataset, size: int) -> Iterator[tuple[dict[str, Array], Array | None]]:
    """Feeds and labels, batch by batch."""
    start = 0
    for feeds in data.batches(size):
        count = len(next((a for a in feeds.values() if a.ndim), [None]))
        yield feeds, None if data.labels is None else data.labels[start : start + count]
        start += count


def simulate_network(
    network: Network,
    truth: Truth,
    data: Dataset,
    executor: Executor,
    *,
    timesteps: int,
    batch: int,
    fan_out: Mapping[str, Array],
    neurons: int,
    progress: Callable[[str, int, int], None],
    points: Sequence[int] = (),
    reference: ReferenceRun | None = None,
    early: EarlyTally | None = None,
) -> dict[str, Any]:
    """The measured part of a `Simulation`; `points`: the T to measure (default: 1, 2, 4, ... and T).

    Raises DataError for labels that do not fit, UsageError for T < 1.
    """
    if timesteps < 1:
        raise UsageError(f"--timesteps must be at least 1, not {timesteps}", cure="give a positive number")
    if not len(data):
        raise DataError(f"{data.source} holds no samples", cure="give at least one sample")
    points = tuple(points) or checkpoints(timesteps)
    tallies, tail = {name: Tally(points) for name in network.outputs}, TailTally(network, points)
    synchronous = {name: Tally(points) for name in network.outputs}
    positive, negative, done = 0.0, 0.0, 0
    events: dict[str, Array] = {}
    clamped: dict[str, int] = {}
    for feeds, labels in batches(data, batch):
        axes = {name: network[name].batch for name in network.outputs}
        known = {name: axis for name, axis in axes.items() if axis is not None}
        expected = truth.run(feeds, list(network.outputs), batch_axes=known)
        found = executor.run(feeds, timesteps, points, first_sample=done)
        count = len(next((a for a in feeds.values() if a.ndim), [None]))
        layered = [reference(feeds, t) for t in points] if reference is not None else []
        for name in network.outputs:
            node = network[name]
            wanted = output_first(expected[name], node, count)
            tallies[name].add(np.stack([output_first(o, node, count) for o in found.outputs[name]]), wanted, labels)
            if layered:
                means = [output_first(outputs[name], node, count) for outputs in layered]
                synchronous[name].add(np.stack(means), wanted, labels)
        tail.add(found.outputs, expected)
        if early is not None:
            early.add(feeds, found.outputs, expected, labels, done)
        for name, counts in found.events.items():
            events[name] = events.get(name, 0) + counts.astype(np.float64)
        positive, negative = positive + found.positive, negative + found.negative
        for name, moved in found.clamped.items():
            clamped[name] = clamped.get(name, 0) + moved
        done += count
        progress("simulating", done, len(data))
    labelled, first = data.labels is not None, next(iter(tallies))
    if labelled and not tallies[first].classifies:
        text = f"labels of {data.source} are no indices of output {first!r}: agreement with the ANN is shown instead"
        warnings.warn(text, stacklevel=2)
    several = len(tallies) > 1

    def whole(values: dict[str, Any]) -> Any:
        return values if several else next(iter(values.values()))

    def curves(found: Mapping[str, Tally]) -> dict[str, Any]:
        right = {n: t.by_step(t.right, done) if labelled and t.classifies else None for n, t in found.items()}
        return {
            "accuracy": whole(right),
            "agreement": whole({n: t.by_step(t.agree, done) for n, t in found.items()}),
            "error": whole({n: t.by_step(t.squared, max(t.power, 1e-30)) for n, t in found.items()}),
        }

    ann = {n: t.ann_right / done if labelled and t.classifies else None for n, t in tallies.items()}
    operations = {name: float((counts * fan_out[name]).sum()) for name, counts in events.items()}
    graded = sum(count for name, count in operations.items() if carries_values(network, network[name]))
    tally, target = tallies[first], ann[first]
    curve = tally.by_step(tally.agree if target is None else tally.right, done)
    return {
        "ann_accuracy": whole(ann),
        **curves(tallies),
        "firing_rate": (positive + negative) / (neurons * timesteps * done) if neurons else None,
        "positive_spikes": positive / done,
        "negative_spikes": negative / done,
        "synaptic_operations": sum(operations.values()) / done,
        "graded_operations": graded / done,
        "energy": energies(network, events, fan_out, timesteps=timesteps, samples=done),
        "clamped": clamped,
        "reference": None if reference is None else Reference(**curves(synchronous)),
        "analog_tail": tail.agreement(),
        "early_exit": None if early is None else early.summary(labelled=target is not None),
        "within_one_point": settled(curve, 1.0 if target is None else target),
    }


def settled(curve: Mapping[str, float], target: float) -> int | None:
    """The first T from which on the curve stays within one point of the target."""
    result = None
    for t, value in reversed(list(curve.items())):
        if value < target - POINT - 1e-12:
            break
        result = int(t)
    return result


def simulation(
    network: Network,
    truth: Truth,
    data: Dataset,
    executor: Executor,
    *,
    batch: int,
    fan_out: Mapping[str, Array],
    timesteps: int,
    progress: Callable[[str, int, int], None],
    points: Sequence[int] = (),
    reference: ReferenceRun | None = None,
    early: EarlyTally | None = None,
    **described: Any,
) -> Simulation:
    """A `Simulation` of `data`; `described`: the fields that name where network and data come from."""
    neurons = sum(math.prod(node.shape) for node in network.nodes if isinstance(node, Neuron))
    measured = simulate_network(
        network,
        truth,
        data,
        executor,
        timesteps=timesteps,
        batch=batch,
        fan_out=fan_out,
        neurons=neurons,
        progress=progress,
        points=points,
        reference=reference,
        early=early,
    )
    return Simulation(
        timesteps=timesteps,
        samples=len(data),
        neurons=neurons,
        multiply_accumulates=sum(multiply_accumulates(network, node) for node in network.nodes),
        **described,
        **measured,
    )
