# SPDX-License-Identifier: Apache-2.0
"""What a report measures: a simulation of a few samples with every layer looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snncc.ann.truth import Truth
from snncc.data.dataset import Dataset
from snncc.execute.plan import BUDGET, plan
from snncc.execute.torch.synapses import fan_out
from snncc.execute.torch.synchronous import QuantisedReference
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.network import Network
from snncc.reports.document import Layer, Measured, Raster
from snncc.reports.layers import Probe
from snncc.simulation.run import Simulation, checkpoints, simulation

Progress = Callable[[str, int, int], None]
#: Samples of the measurement, fewer where they would cost more than WORK multiply-accumulates, but LEAST.
SAMPLES, LEAST = 64, 8
WORK = 1e11
#: Up to this T the curve has every T, beyond it the powers of two.
EVERY = 16


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured."""

    simulation: Simulation
    layers: tuple[Layer, ...]
    rasters: tuple[Raster, ...]
    measured: Measured


def curve_points(timesteps: int) -> tuple[int, ...]:
    """The T of the curve."""
    return tuple(sorted({*range(1, min(timesteps, EVERY) + 1), *checkpoints(timesteps)}))


def affordable(net: Network, timesteps: int, samples: int) -> int:
    """How many samples the measurement takes."""
    passes = timesteps + len(curve_points(timesteps)) + 1  # simulated, the quantised reference at every T, isolated
    cost = sum(multiply_accumulates(net, node) for node in net.nodes) * passes
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
    found = simulation(
        net,
        truth,
        data,
        probe,
        batch=batch,
        fan_out=fan,
        timesteps=timesteps,
        progress=progress,
        points=curve_points(timesteps),
        reference=QuantisedReference(probe.engine, piece),
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
        measured=Measured(source=source, synthetic=synthetic, samples=len(data), timesteps=timesteps),
    )
