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
from snncc.execute.executors import counts_of
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
    unknown = [name for name in names if name not in truth.names]
    shifts = {name: reader for name in unknown if (reader := shift_of(net, truth, name)) is not None}
    relays = relayed(net, truth, names)
    known = {*names} - {*unknown}
    asked = sorted({*known, *(reader.name for reader in shifts.values()), *relays.values()})
    axes = {name: axis for name in asked if (axis := net[name].batch) is not None}
    found = truth.run(feeds, asked, batch_axes=axes) if asked else {}
    if net.sampled.batch is None:  # the truth stacks what has no axis for samples
        found = {name: np.reshape(a, net[name].shape) for name, a in found.items()}
    values = {name: np.asarray(found[name]) for name in names if name in found}
    values |= {name: np.asarray(found[source]) for name, source in relays.items()}
    return values | {name: unshifted(net, reader, found[reader.name]) for name, reader in shifts.items()}


def shift_of(net: Network, truth: Truth, name: str) -> Affine | None:
    """The scale and shift by which the ANN's value is made of one that it does not have."""
    readers = [r for r in net.consumers[name] if isinstance(r, Affine) and r.name in truth.names]
    return readers[-1] if readers else None


def unshifted(net: Network, reader: Affine, value: Array) -> Array:
    """What a scale and shift have made a value of."""
    scale = net.arrays[reader.scale] if reader.scale else 1.0
    shift = net.arrays[reader.shift] if reader.shift else 0.0
    return np.asarray((np.asarray(value) - shift) / scale)


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
        read = [net[n].inputs[0] for n in names if isinstance(net[n], Neuron)]
        expected = ann_values(net, self.truth, list(dict.fromkeys([*names, *read])), feeds)
        forced = {name: a for name, a in expected.items() if name in self.engine.emits}
        alone, currents = Synchronous(self.engine, timesteps, self.piece).run(feeds, forced)
        for name in self.sums:
            mean = self.mean(name, watcher, result, alone)
            if name in expected and mean is not None and mean.numel() == expected[name].size:
                a = expected[name].astype(np.float64).reshape(tuple(mean.shape))
                self.sums[name].add_values(a, to_numpy(mean), to_numpy(alone[name]) if name in alone else None)
                if name in self.engine.emits:
                    current = currents.get(name)
                    known = expected.get(net[name].inputs[0], None if current is None else to_numpy(current))
                    self.emitted(name, a, None if current is None else known, watcher, session)
        self.note(session, watcher, result)
        return counts_of(result)

    def emitted(self, name: str, a: Array, current: Array | None, watcher: Watcher, session: Session) -> None:
        """What one batch shows of a source: histogram and limits, wrong spikes and the charge that is left."""
        sums = self.sums[name]
        sums.add_histogram(a)
        sums.add_limits(a)
        if current is None or name not in watcher.fired:
            return
        fired = to_numpy(watcher.fired[name])
        sums.add_spikes(fired, current.reshape(a.shape), a, session.samples)
        if (potential := potential_of(session.states.get(name), a.shape)) is not None:
            sums.add_residual(potential, fired, a)

    def mean(self, name: str, watcher: Watcher, result: Run, alone: Mapping[str, Tensor]) -> Tensor | None:
        """The running mean of a value at the last T, as far as it is known."""
        if name in self.network.outputs:
            return result.outputs[name][-1]
        total = watcher.totals.get(name)
        return alone.get(name) if total is None else total / self.network.schedule.divisor(self.timesteps)

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


def potential_of(state: Any, shape: tuple[int, ...]) -> Array | None:
    """The membrane potentials in a neuron's state, where there is one for each entry."""
    if not isinstance(state, tuple) or not isinstance(state[0], Tensor) or state[0].shape != shape:
        return None
    return to_numpy(state[0])


def to_numpy(x: Tensor) -> Array:
    """A tensor as an array."""
    result: Array = x.detach().cpu().numpy()
    return result
