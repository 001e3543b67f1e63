# SPDX-License-Identifier: Apache-2.0
"""The files of the target NIR: the graph, and a report of what its lowerings changed, measured on samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np
import torch

from snncc.backends.nir.graph import nir_bytes, nir_graph
from snncc.backends.nir.interpreter import NirMachine, read
from snncc.backends.nir.lowering import LOWERINGS, applied, neuron_needs, sayable, with_unit_thresholds
from snncc.data.dataset import Dataset
from snncc.encoding import encode
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Neuron, Node
from snncc.ir.readout import choices

SCHEMA = "snncc/nir/1"
#: At most so many samples are measured, and so many multiply-accumulates.
SAMPLES, BUDGET = 64, 2e10
UNIT_THRESHOLDS = "unit-thresholds"


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one change did to the network as it was before: entries (neuron, step) that differ, and spikes before and
    after; `agreement`: the share of samples that still choose the same class."""

    change: str
    meaning: str
    spikes_before: int
    spikes_after: int
    changed: int
    agreement: float


class NirReport(msgspec.Struct, frozen=True, kw_only=True):
    """`nir/report.json`. `nodes`: the value of the network that each node of the graph computes; `effects`: every
    change on its own, in order; `total`: the graph as it is read back against the network without any of them."""

    schema: str = SCHEMA
    version: str
    timesteps: int
    samples: int
    nodes: dict[str, str]
    effects: tuple[Effect, ...]
    total: Effect


class Behaviour(msgspec.Struct, frozen=True):
    """Spikes of every neuron, (T, N, ...), and what the first output chose."""

    spikes: Mapping[str, Array]
    chosen: Array

    def effect(self, after: Behaviour, change: str, meaning: str) -> Effect:
        """What differs afterwards."""
        pairs = [(self.spikes[name] != 0, after.spikes[name] != 0) for name in self.spikes]
        differ = [np.count_nonzero(self.spikes[name] != after.spikes[name]) for name in self.spikes]
        return Effect(
            change=change,
            meaning=meaning,
            spikes_before=int(sum(np.count_nonzero(a) for a, _ in pairs)),
            spikes_after=int(sum(np.count_nonzero(b) for _, b in pairs)),
            changed=int(sum(differ)),
            agreement=float(np.mean(self.chosen == after.chosen)),
        )


def behaviour(net: Network, feeds: Mapping[str, Array], timesteps: int) -> Behaviour:
    """A network with unit spikes in the torch engine."""
    seen: dict[str, list[Array]] = {}

    def observe(node: Node, series: torch.Tensor) -> None:
        if isinstance(node, Neuron):
            seen.setdefault(node.name, []).append(series.numpy().copy())

    _, piece = plan(net, timesteps, len(next(iter(feeds.values()))))
    run = Engine(net).run(feeds, timesteps, observe=observe, count=False, steps_at_once=piece)
    chosen = choices(run.outputs[net.outputs[0]][-1].numpy())
    return Behaviour({name: np.concatenate(parts) for name, parts in seen.items()}, chosen)


def behaviour_of_graph(
    graph: Any, values: Mapping[str, str], net: Network, feeds: Mapping[str, Array], timesteps: int
) -> Behaviour:
    """A graph by NIR's rules."""
    names = {value: name for name, value in values.items()}
    machine = NirMachine(graph, {names[name]: x for name, x in feeds.items()})
    neurons = [node.name for node in net.nodes if isinstance(node, Neuron)]
    spikes: dict[str, list[Array]] = {name: [] for name in neurons}
    total: Any = 0.0
    for _ in range(timesteps):
        step = machine.step()
        for name in neurons:
            spikes[name].append(step[names[name]])
        total = total + step[names[f"{net.outputs[0]}.output"]].astype(np.float64)
    return Behaviour({name: np.stack(steps) for name, steps in spikes.items()}, choices(total))


def measured_samples(net: Network, samples: Dataset, timesteps: int) -> dict[str, Array]:
    """As many samples as the budget allows."""
    work = timesteps * max(1, sum(multiply_accumulates(net, node) for node in net.nodes))
    return next(samples.batches(max(1, min(SAMPLES, len(samples), int(BUDGET // work)))))


def nir_files(
    network: Network, samples: Dataset, timesteps: int, *, allow: Sequence[str], unit_thresholds: bool
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """nir/network.nir and nir/report.json, and a line on every change.

    Raises EmitError with all the reasons why NIR cannot say the network; what `allow` names is no reason.
    """
    net = sayable(network, allow)
    feeds = measured_samples(net, samples, timesteps)
    needed = {lowering for node in net.nodes for lowering in neuron_needs(net, node)}
    first = before = behaviour(net, feeds, timesteps)
    effects = []

    def changed(after: Behaviour, change: str, meaning: str) -> None:
        nonlocal before
        effects.append(before.effect(after, change, meaning))
        before = after

    for lowering, meaning in LOWERINGS.items():
        if lowering in needed and lowering != "strict-threshold":
            net = applied(net, lowering)
            changed(behaviour(net, feeds, timesteps), lowering, meaning)
    if unit_thresholds:
        net = with_unit_thresholds(net)
        changed(behaviour(net, feeds, timesteps), UNIT_THRESHOLDS, "weights divided by thresholds, rounded")
    graph, values = nir_graph(net)
    data = nir_bytes(graph)
    last = behaviour_of_graph(read(data), values, net, feeds, timesteps)
    if "strict-threshold" in needed:
        changed(last, "strict-threshold", LOWERINGS["strict-threshold"])
    report = NirReport(
        version=version("nir"),
        timesteps=timesteps,
        samples=len(first.chosen),
        nodes=values,
        effects=tuple(effects),
        total=first.effect(last, "all", "the graph as it is read back, by NIR's rules"),
    )
    files = {"nir/network.nir": data, "nir/report.json": encode(report)}
    return files, tuple(line(effect, report) for effect in (*effects, report.total))


def line(effect: Effect, report: NirReport) -> str:
    """An effect in words."""
    share = effect.changed / max(1, effect.spikes_before)
    return (
        f"nir, {effect.change}: {effect.meaning}; {effect.changed} entries change beside {effect.spikes_before} spikes "
        f"({share:.1%}), {effect.spikes_after} spikes after; {effect.agreement:.1%} of {report.samples} samples choose "
        f"the same at T={report.timesteps}"
    )
