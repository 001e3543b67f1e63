# SPDX-License-Identifier: Apache-2.0
"""Running a recipe: each pass, the check after it, the error measured after it, and the record of all that."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from snncc.ann.truth import Truth
from snncc.conversion.certify import Certificate, certifiable, certify, samples_for
from snncc.conversion.recipe import Step
from snncc.conversion.shapes import check_shapes
from snncc.conversion.verify import Deviation, ann_deviation, judge, relative_power, rows, simulated
from snncc.data.dataset import Dataset
from snncc.execute.plan import plan
from snncc.ir.check import check
from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, Note, Statistics
from snncc.transform.values import AnnValues

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
Progress = Callable[[str, int, int], None]


def quiet(text: str, done: int, total: int) -> None:
    """No progress display."""


def changed_nodes(before: Network, after: Network) -> tuple[str, ...]:
    """The nodes that are new, differ, or refer to an array that was exchanged."""
    return tuple(
        node.name
        for node in after.nodes
        if before.by_name.get(node.name) != node
        or any(before.arrays.get(name) is not after.arrays[name] for name in node.array_names())
    )


def precision_notes(truth: Truth) -> list[Note]:
    """A line for each float input of another width than the network's, which is float32."""
    others = [s for s in truth.inputs if s.dtype.kind in "fV" and s.dtype != np.float32]
    return [
        Note(kind="approximation", node=s.name, text=f"the file computes in {s.dtype}, the network in float32")
        for s in others
    ]


def run(
    network: Network,
    steps: Sequence[Step],
    *,
    truth: Truth,
    calibration: Dataset,
    timesteps: int,
    seed: int,
    batch_size: int = 64,
    observe: Observer | None = None,
    statistics: Statistics | None = None,
    progress: Progress = quiet,
) -> Outcome:
    """Run a recipe on a lowered network; `statistics` of the same values and samples are reused.

    Raises FidelityError when a pass breaks its promise, InvariantBroken when it leaves an unsound network.
    """
    context = Context(
        values=AnnValues(truth, network),
        calibration=calibration,
        timesteps=timesteps,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
        cache=Statistics() if statistics is None else statistics,
    )
    at_once, _ = plan(network, timesteps, PROBES)
    probes = PROBES if context.values.one_at_a_time else max(2, at_once)
    feeds = next(calibration.head(probes).batches(probes))
    expected = {name: np.asarray(a) for name, a in context.values.run(feeds, list(network.outputs)).items()}
    check(network, "lowering")
    check_shapes(network, "lowering")
    lowered = ann_deviation(network, context.values, feeds)
    judge("lowering", Fidelity.EXACT, lowered, Deviation(error=lowered.error / 8, node="", allowed=0), None)
    outcome = Outcome(network=network, records=[])
    error, worst = lowered.error, lowered.node or None
    for index, step in enumerate(steps):
        began = time.perf_counter()
        name = step.transform.name
        progress(f"pass {name}", index, len(steps))
        context.notes = [] if index else precision_notes(truth)
        context.bound, context.fidelity = None, step.transform.fidelity
        before, approximated = outcome.network, bool(context.values.diverged)
        after = step.transform.apply(before, context, step.options)
        changed = changed_nodes(before, after)
        check(after, f"pass {name}")
        check_shapes(after, f"pass {name}")
        if before == after:
            pass  # nothing to measure anew
        elif after.stage == "ann":
            context.values.network = after
            deviation = ann_deviation(after, context.values, feeds)
            added = ann_deviation(after, context.values, feeds, before) if approximated else deviation
            judge(name, context.fidelity, added, lowered, context.bound)
            if context.fidelity is not Fidelity.EXACT:
                context.values.diverge(changed)
            error, worst = deviation.error, deviation.node or None
        else:
            error, worst = relative_power(simulated(after, context.values, feeds, timesteps), expected), None
        record = Record(
            name=name,
            options=msgspec.to_builtins(step.options),
            fidelity=str(context.fidelity),
            stage=after.stage,
            nodes=len(after.nodes),
            changed=changed,
            error=error if math.isfinite(error) else None,
            worst=worst,
            bound=context.bound,
            notes=tuple(context.notes),
        )
        outcome.network = after
        outcome.records.append(record)
        outcome.seconds[f"{index} {name}"] = time.perf_counter() - began
        if observe is not None:
            observe(index, name, after, record)
    if certifiable(outcome.network):
        progress("certifying", 0, 1)
        began, batches = time.perf_counter(), calibration.head(samples_for(outcome.network)).batches(PROBES)
        feeds_of_each = (feed for feeds in batches for feed in rows(context.values, feeds))
        outcome.certificate = certify(outcome.network, context.ann, feeds_of_each)
        outcome.seconds["certificate"] = time.perf_counter() - began
    return outcome
