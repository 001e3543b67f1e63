# SPDX-License-Identifier: Apache-2.0
"""Measuring layer by layer while simulating: an executor that looks on.

Each layer is evaluated twice per batch: in the simulation (cumulative error), and fed with the ANN's values at every
step (isolated error), which costs one evaluation of the ANN and the neurons' scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snncc.ann.truth import Truth
from snncc.execute.protocol import Counted
from snncc.execute.torch.dispatch import events
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.layout import Run
from snncc.execute.torch.session import Session
from snncc.execute.torch.synchronous import Synchronous
from snncc.ir.classes import node_class
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, Neuron, Node
from snncc.reports.document import Layer, Raster, rounded
from snncc.reports.statistics import LayerSums

Array = npt.NDArray[Any]
RASTER_NEURONS = 48
RASTER_STEPS = 64
RASTER_LAYERS = 3


def relayed(net: Network, truth: Truth, names: Sequence[str]) -> dict[str, str]:
    """The two-sided neurons that the ANN does not have, each with the value in front of it for which it stands."""
    added = [node for name in names if name not in truth.names and isinstance(node := net[name], Neuron)]
    return {node.name: node.inputs[0] for node in added if node.TWO_SIDED and node.inputs[0] in truth.names}


def ann_values(net: Network, truth: Truth, names: Sequence[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The ANN's values of nodes; what a pass has put behind a shift of a known value is found from that value."""
    shifts = {}
    for name in names:
        for reader in net.consumers[name] if name not in truth.names else ():
            if isinstance(reader, Affine) and reader.name in truth.names:
                shifts[name] = reader
    relays = relayed(net, truth, names)
    known = sorted(
        {*(n for n in names if n in truth.names), *(r.name for r in shifts.values()), *relays.values()},
    )
    axes = {name: axis for name in known if (axis := net[name].batch) is not None}
    found = truth.run(feeds, known, batch_axes=axes) if known else {}
    if net.sampled.batch is None:  # the truth stacks what has no axis for samples
        found = {name: np.reshape(a, net[name].shape) for name, a in found.items()}
    values = {name: np.asarray(found[name]) for name in names if name in found}
    values |= {name: np.asarray(found[source]) for name, source in relays.items()}
    for name, reader in shifts.items():
        scale = net.arrays[reader.scale] if reader.scale else 1.0
        shift = net.arrays[reader.shift] if reader.shift else 0.0
        values[name] = (np.asarray(found[reader.name]) - shift) / scale
    return values


@dataclass(slots=True)
class Probe:
    """An executor of `simulate_network` that also measures every layer."""

    network: Network
    truth: Truth
    timesteps: int
    piece: int
    wanted: Sequence[str] = ()
    engine: Engine = field(init=False)
    sums: dict[str, LayerSums] = field(init=False)
    activity: dict[str, list[float]] = field(default_factory=dict)
    clamped: dict[str, int] = field(default_factory=dict)
    events: dict[str, Array] = field(default_factory=dict)
    rasters: dict[str, Raster] = field(default_factory=dict)
    samples: int = 0

    def __post_init__(self) -> None:
        net = self.network
        self.engine = Engine(net)
        names = [n.name for n in net.nodes if n.name in self.engine.emits or n.name in net.outputs]
        self.sums = {
            name: LayerSums(net=net, node=net[name], role=node_class(net, net[name]), timesteps=self.timesteps)
            for name in names
        }
        emitting = [n for n in names if isinstance(net[n], Neuron)]
        middle = [emitting[i] for i in sorted({0, len(emitting) // 2, len(emitting) - 1})] if emitting else []
        self.wanted = [n for n in self.wanted if n in emitting] or middle[:RASTER_LAYERS]

    @torch.no_grad()
    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch and measure its layers."""
        net, names = self.network, list(self.sums)
        watcher = Watcher(self.engine, self.engine.samples(feeds), set(self.wanted) - self.rasters.keys())
        session = Session(self.engine, feeds, timesteps, tuple(checkpoints), watcher.see, True, first_sample)
        for begin in range(0, timesteps, self.piece):
            session.advance(begin, min(begin + self.piece, timesteps))
        result = session.finish()
        into = {n: net[n].inputs[0] for n in names if isinstance(net[n], Neuron)}
        expected = ann_values(net, self.truth, list(dict.fromkeys([*names, *into.values()])), feeds)
        forced = {name: a for name, a in expected.items() if name in self.engine.emits}
        alone, currents = Synchronous(self.engine, timesteps, self.piece).run(feeds, forced)
        for name, sums in self.sums.items():
            total = watcher.totals.get(name)
            divisor = net.schedule.divisor(timesteps)
            mean = total / divisor if total is not None else alone.get(name) if name not in net.outputs else None
            if name in net.outputs:
                mean = result.outputs[name][-1]
            if name not in expected or mean is None or mean.numel() != expected[name].size:
                continue
            a = expected[name].astype(np.float64).reshape(tuple(mean.shape))
            sums.add_values(a, to_numpy(mean), to_numpy(alone[name]) if name in alone else None)
            if name not in self.engine.emits:
                continue
            sums.add_histogram(a)
            sums.add_limits(a)
            if name in currents and name in watcher.fired:
                fired = to_numpy(watcher.fired[name])
                current = expected.get(into[name], to_numpy(currents[name]))
                sums.add_spikes(fired, current.reshape(a.shape), a, session.samples)
                state = session.states.get(name)
                if isinstance(state, tuple) and isinstance(state[0], Tensor) and state[0].shape == mean.shape:
                    sums.add_residual(to_numpy(state[0]), fired, a)
        self.note(session, watcher, result)
        return Counted(
            outputs={name: to_numpy(y) for name, y in result.outputs.items()},
            events={name: to_numpy(a.events) for name, a in result.activity.items()},
            positive=sum(a.positive for a in result.activity.values()),
            negative=sum(a.negative for a in result.activity.values()),
            clamped=result.clamps,
        )

    def note(self, session: Session, watcher: Watcher, result: Run) -> None:
        """Spikes, clamped entries and rasters of one batch."""
        self.samples += session.samples
        for name, found in result.activity.items():
            sums = self.activity.setdefault(name, [0.0, 0.0])
            sums[0], sums[1] = sums[0] + found.positive, sums[1] + found.negative
            counts = to_numpy(found.events)
            self.events[name] = self.events[name] + counts if name in self.events else counts
        for name, count in result.clamps.items():
            self.clamped[name] = self.clamped.get(name, 0) + count
        for name, pieces in watcher.rasters.items():
            self.rasters[name] = raster(name, torch.cat(pieces))

    def lines(self, fan_out: Mapping[str, Array]) -> list[Layer]:
        """The lines of the report, in the order of the network."""
        lines, samples = [], max(1, self.samples)
        for name, sums in self.sums.items():
            activity: dict[str, Any] = {"clamped": self.clamped.get(name, 0)}
            if name in self.events:
                events = self.events[name]
                positive, negative = self.activity[name]
                numbers = {
                    "rate": float(events.sum()) / max(1, events.size * samples * self.timesteps),
                    "positive": positive / samples,
                    "negative": negative / samples,
                    "synaptic_operations": float((events * fan_out[name]).sum()) / samples,
                }
                activity |= {key: rounded(value) for key, value in numbers.items()}
            lines.append(sums.line(**activity))
        return lines


@dataclass(slots=True)
class Watcher:
    """What the observer of one batch keeps: sums over time, which entries fired, and a few rasters."""

    engine: Engine
    samples: int
    wanted: set[str]
    steps: dict[str, int] = field(default_factory=dict)
    totals: dict[str, Tensor] = field(default_factory=dict)
    fired: dict[str, Tensor] = field(default_factory=dict)
    rasters: dict[str, list[Tensor]] = field(default_factory=dict)

    def see(self, node: Node, series: Tensor) -> None:
        """One piece of the output of a source of events, (T', N, ...)."""
        name, total, begin = node.name, series.sum(0), self.steps.get(node.name, 0)
        self.steps[name] = begin + len(series)
        spikes = events(node, series, self.engine.arrays, begin)
        flags = (spikes != 0).any(0)
        self.totals[name] = self.totals[name] + total if name in self.totals else total
        self.fired[name] = self.fired[name] | flags if name in self.fired else flags
        if name in self.wanted:
            kept = self.rasters.setdefault(name, [])
            if (room := RASTER_STEPS - sum(map(len, kept))) > 0:
                steps = spikes[:room]
                axis = node.batch
                first = steps if axis is None else steps.unflatten(axis + 1, (self.samples, -1)).select(axis + 1, 0)
                kept.append(first.reshape(len(steps), -1).sign().to(torch.int8))


def raster(name: str, signs: Tensor) -> Raster:
    """Evenly spaced neurons among those that fire, from (T, neurons) signs of one sample."""
    firing = torch.nonzero(signs.any(0)).ravel()
    chosen = firing if len(firing) else torch.arange(signs.shape[1])
    pick = torch.linspace(0, len(chosen) - 1, min(RASTER_NEURONS, len(chosen))).round().to(torch.int64).unique()
    rows = [int(i) for i in chosen[pick]] if len(chosen) else []
    text = tuple("".join(".+-"[int(s)] for s in signs[:, i]) for i in rows)
    return Raster(layer=name, neurons=tuple(rows), of=signs.shape[1], rows=text)


def to_numpy(x: Tensor) -> Array:
    """A tensor as an array."""
    result: Array = x.detach().cpu().numpy()
    return result
