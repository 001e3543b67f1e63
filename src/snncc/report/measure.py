# SPDX-License-Identifier: Apache-2.0
"""What a report measures: a simulation of a few samples with every layer looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from snncc.data import Dataset
from snncc.execute.ann import Truth
from snncc.execute.plan import BUDGET, plan
from snncc.execute.synapses import fan_out
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.network import Network
from snncc.report.document import Layer, Measured, Raster, Reference, rounded
from snncc.report.layers import Probe
from snncc.simulation import Simulation, checkpoints, simulation

Progress = Callable[[str, int, int], None]
#: Samples of the measurement, fewer where they would cost more than WORK multiply-accumulates, but LEAST.
SAMPLES, LEAST = 64, 8
WORK = 1e11
#: Up to this T the curve has every T, beyond it the powers of two.
EVERY = 32


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured."""

    simulation: Simulation
    layers: tuple[Layer, ...]
    rasters: tuple[Raster, ...]
    reference: Reference | None
    measured: Measured


def affordable(net: Network, timesteps: int, samples: int) -> int:
    """How many samples the measurement takes."""
    cost = sum(multiply_accumulates(net, node) for node in net.nodes) * timesteps
    return min(samples, SAMPLES, max(LEAST, int(WORK // max(1, cost))))


def measure(
    net: Network,
    truth: Truth,
    data: Dataset,
    *,
    name: str,
    method: str,
    design: int,
    timesteps: int,
    synthetic: bool,
    source: str,
    wanted: Sequence[str] = (),
    progress: Progress = lambda text, done, total: None,
) -> Findings:
    """Simulate `data` (all of it) and look at every layer."""
    batch, piece = plan(net, timesteps, len(data))
    entries = sum(math.prod(node.shape) for node in net.nodes if node.inputs)
    batch = max(1, min(batch, BUDGET // (4 * max(1, entries))))
    probe, fan = Probe(net, truth, timesteps, piece, wanted), fan_out(net)
    points = tuple(range(1, timesteps + 1)) if timesteps <= EVERY else checkpoints(timesteps)
    found = simulation(
        net,
        truth,
        data,
        probe,
        batch=batch,
        fan_out=fan,
        timesteps=timesteps,
        progress=progress,
        points=points,
        name=name,
        method=method,
        design_timesteps=design,
        source=source,
        synthetic=synthetic,
        device="cpu",
        engine="torch",
    )
    lines = tuple(probe.lines(fan))
    return Findings(
        simulation=found,
        layers=lines,
        rasters=tuple(probe.rasters[n] for n in sorted(probe.rasters, key=[x.name for x in net.nodes].index)),
        reference=reference(probe, data, found),
        measured=Measured(source=source, synthetic=synthetic, samples=len(data), timesteps=timesteps),
    )


def reference(probe: Probe, data: Dataset, found: Simulation) -> Reference | None:
    """What the quantised reference chose."""
    if not probe.reference:
        return None
    chosen = np.concatenate(probe.reference)
    several = len(probe.network.outputs) > 1
    accuracy = found.accuracy
    judged = data.labels is not None and (
        accuracy[probe.network.outputs[0]] is not None if several else accuracy is not None
    )
    right = float((chosen == data.labels).mean()) if judged else probe.agreeing / max(1, probe.samples)
    return Reference(
        timesteps=probe.timesteps,
        samples=probe.samples,
        metric="accuracy" if judged else "agreement",
        value=rounded(right) or 0.0,
        error=rounded(probe.squared / max(probe.power, 1e-30)),
    )
