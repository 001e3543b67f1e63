# SPDX-License-Identifier: Apache-2.0
"""Running a recipe: each pass, the check after it, the error measured after it, and the record of all that."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from snncc.conversion.apply import Applied, applied
from snncc.conversion.certify import Certificate, certifiable, certified
from snncc.conversion.request import Progress, Request, quiet
from snncc.conversion.shapes import check_shapes
from snncc.conversion.verify import Deviation, ann_deviation, judge, relative_power, simulated
from snncc.execute.plan import plan
from snncc.ir.check import check
from snncc.ir.network import Array, Network
from snncc.transform.base import Context, Fidelity, Note

#: Samples on which every pass is measured; fewer where a network's values are very large.
PROBES = 8


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one pass did. `error`: in the ANN stage the largest relative error of any value against onnxruntime; in
    the SNN stage the squared error of the outputs at the design T relative to their power."""

    name: str
    options: dict[str, Any]
    fidelity: str
    stage: str
    nodes: int
    changed: tuple[str, ...]
    error: float | None
    worst: str | None
    bound: float | None
    notes: tuple[Note, ...]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The network at the end, the records, and the seconds of each pass (which go to no hashed file)."""

    network: Network
    records: list[Record]
    seconds: dict[str, float] = field(default_factory=dict)
    certificate: Certificate | None = None


Observer = Callable[[int, str, Network, Record], None]


@dataclass(slots=True, kw_only=True)
class Probe:
    """The samples on which every pass is measured, and the error so far: of which value, or of the outputs."""

    context: Context
    feeds: Mapping[str, Array]
    expected: Mapping[str, Array]
    lowered: Deviation
    error: float
    worst: str | None

    def measure(self, done: Applied) -> None:
        """The error after a pass; raises FidelityError where the pass has broken its promise."""
        context, values = self.context, self.context.values
        if done.same:
            return
        if done.after.stage != "ann":
            outputs = simulated(done.after, values, self.feeds, context.timesteps)
            self.error, self.worst = relative_power(outputs, self.expected), None
            return
        deviation = ann_deviation(done.after, values, self.feeds)
        added = ann_deviation(done.after, values, self.feeds, done.before) if done.approximated else deviation
        judge(done.step.transform.name, context.fidelity, added, self.lowered, context.bound)
        self.error, self.worst = deviation.error, deviation.node or None


def probe(network: Network, context: Context) -> Probe:
    """The probe of a lowered network, which is checked and compared with the truth first."""
    at_once, _ = plan(network, context.timesteps, PROBES)
    count = PROBES if context.values.one_at_a_time else max(2, at_once)
    feeds = next(context.calibration.head(count).batches(count))
    expected = {name: np.asarray(a) for name, a in context.values.run(feeds, list(network.outputs)).items()}
    check(network, "lowering")
    check_shapes(network, "lowering")
    lowered = ann_deviation(network, context.values, feeds)
    judge("lowering", Fidelity.EXACT, lowered, Deviation(error=lowered.error / 8, node="", allowed=0), None)
    return Probe(
        context=context,
        feeds=feeds,
        expected=expected,
        lowered=lowered,
        error=lowered.error,
        worst=lowered.node or None,
    )


def recorded(done: Applied, found: Probe) -> Record:
    """The record of a pass that has been measured."""
    context = found.context
    return Record(
        name=done.step.transform.name,
        options=msgspec.to_builtins(done.step.options),
        fidelity=str(context.fidelity),
        stage=done.after.stage,
        nodes=len(done.after.nodes),
        changed=done.changed,
        error=found.error if math.isfinite(found.error) else None,
        worst=found.worst,
        bound=context.bound,
        notes=tuple(context.notes),
    )


def run(request: Request, *, observe: Observer | None = None, progress: Progress = quiet) -> Outcome:
    """Run the passes of a request, each measured and recorded.

    Raises FidelityError when a pass breaks its promise, InvariantBroken when it leaves an unsound network.
    """
    context, network = request.context(progress), request.subject.network
    found, outcome = probe(network, context), Outcome(network=network, records=[])
    began = time.perf_counter()
    for index, done in enumerate(applied(network, request.steps, context)):
        found.measure(done)
        record = recorded(done, found)
        outcome.network = done.after
        outcome.records.append(record)
        outcome.seconds[f"{index} {record.name}"] = time.perf_counter() - began
        if observe is not None:
            observe(index, record.name, done.after, record)
        began = time.perf_counter()
    outcome.certificate = request.certificate
    if certifiable(outcome.network) and outcome.certificate is None:
        progress("certifying", 0, 1)
        outcome.certificate = certified(outcome.network, context)
        outcome.seconds["certificate"] = time.perf_counter() - began
    return outcome
