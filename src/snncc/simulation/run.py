# SPDX-License-Identifier: Apache-2.0
"""`simulate`: a spiking network on data beside its ANN, and what is measured of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy.typing as npt

from snncc.ann.truth import Truth
from snncc.data.dataset import Dataset
from snncc.errors import DataError, UsageError
from snncc.execute.analog_tail import TailAgreement
from snncc.execute.native.cost import LayerCost
from snncc.execute.protocol import Executor
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.classes import carries_values
from snncc.ir.network import Network
from snncc.ir.nodes import Neuron
from snncc.simulation.early_exit import EarlyExit, EarlyTally
from snncc.simulation.metrics import Energy, energies
from snncc.simulation.paired import FloatRun
from snncc.simulation.totals import Totals, samples_of

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


def batches(data: Dataset, size: int) -> Iterator[tuple[dict[str, Array], Array | None]]:
    """Feeds and labels, batch by batch."""
    start = 0
    for feeds in data.batches(size):
        count = samples_of(feeds)
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
    totals = Totals(network, points, labelled=data.labels is not None)
    axes = batch_axes(network)
    for feeds, labels in batches(data, batch):
        expected = truth.run(feeds, list(network.outputs), batch_axes=axes)
        found = executor.run(feeds, timesteps, points, first_sample=totals.samples)
        layered = [reference(feeds, t) for t in points] if reference is not None else []
        if early is not None:
            early.add(feeds, found.outputs, expected, labels, totals.samples)
        totals.add(found, expected, labels, layered, samples_of(feeds))
        progress("simulating", totals.samples, len(data))
    ann, done = totals.ann(), totals.samples
    first, tally = next(iter(totals.tallies.items()))
    target = ann[first]
    if totals.labelled and target is None:
        text = f"labels of {data.source} are no indices of output {first!r}: agreement with the ANN is shown instead"
        warnings.warn(text, stacklevel=2)
    curve = tally.by_step(tally.agree if target is None else tally.right, done)
    measured = {
        "ann_accuracy": totals.whole(ann),
        **totals.curves(totals.tallies),
        **totals.rates(neurons * timesteps),
        "energy": energies(network, totals.events, fan_out, timesteps=timesteps, samples=done),
        "clamped": totals.clamped,
        "reference": None if reference is None else Reference(**totals.curves(totals.synchronous)),
        "analog_tail": totals.tail.agreement(),
        "early_exit": None if early is None else early.summary(labelled=target is not None),
        "within_one_point": settled(curve, 1.0 if target is None else target),
    }
    return measured | operations_of(network, totals.events, fan_out, done)


def batch_axes(network: Network) -> dict[str, int]:
    """The samples' axis of each output that has one."""
    return {name: axis for name in network.outputs if (axis := network[name].batch) is not None}


def operations_of(
    network: Network, events: Mapping[str, Array], fan_out: Mapping[str, Array], samples: int
) -> dict[str, float]:
    """Synaptic operations per sample, and those whose event carries another value than a spike's."""
    found = {name: float((counts * fan_out[name]).sum()) for name, counts in events.items()}
    graded = sum(count for name, count in found.items() if carries_values(network, network[name]))
    return {"synaptic_operations": sum(found.values()) / samples, "graded_operations": graded / samples}


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
