# SPDX-License-Identifier: Apache-2.0
"""Where the loss arises, by substitution: the ANN's values are put back and the rest is simulated again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.ann.truth import Truth
from snncc.data.dataset import Dataset
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.ir.network import Network
from snncc.ir.nodes import Input, Neuron
from snncc.ir.readout import choices, output_first
from snncc.reports.document import Attribution, Substitution, rounded
from snncc.reports.layers import ann_values, to_numpy
from snncc.simulation.run import batches

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]
#: Samples of an attribution by default.
SAMPLES = 128


def layers_of(net: Network) -> tuple[str, ...]:
    """The layers that can be put back: the neurons, from the input to the output."""
    return tuple(node.name for node in net.nodes if isinstance(node, Neuron) and node.name in net.varying)


def substituted(net: Network, names: Iterable[str]) -> Network:
    """The network with some nodes as inputs, without what only they needed."""
    given, needed = set(names), set(net.outputs)
    for node in reversed(net.nodes):
        if node.name in needed and node.name not in given:
            needed.update(node.inputs)
    nodes = [
        Input(name=n.name, shape=n.shape, batch=n.batch, dtype=n.dtype) if n.name in given else n
        for n in net.nodes
        if n.name in needed or isinstance(n, Input)
    ]
    used = {name for node in nodes for name in node.array_names()}
    return replace(net, nodes=tuple(nodes), arrays={name: net.arrays[name] for name in sorted(used)})


@dataclass(slots=True)
class Tried:
    """One network with values put back, and what it got right."""

    engine: Engine
    right: int = 0
    squared: float = 0.0


def experiments(net: Network) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]], dict[Any, Network]]:
    """Per layer the inputs of the network with that layer put back, and with all up to it; the distinct networks."""
    alone: dict[str, frozenset[str]] = {}
    front: dict[str, frozenset[str]] = {}
    networks: dict[Any, Network] = {}
    layers = layers_of(net)
    for i, name in enumerate(layers):
        for found, given in ((alone, {name}), (front, set(layers[: i + 1]))):
            network = substituted(net, given)
            found[name] = frozenset(n.name for n in network.inputs)
            networks.setdefault(found[name], network)
    return alone, front, networks


def runs_of(net: Network) -> int:
    """How many simulations an attribution needs, the plain one included."""
    return len(experiments(net)[2]) + 1


def attribute(
    net: Network, truth: Truth, data: Dataset, *, timesteps: int, progress: Progress = lambda text, done, total: None
) -> Attribution:
    """Simulate with the ANN's values put back at each layer, and at all layers up to each."""
    alone, front, networks = experiments(net)
    networks = {frozenset[str](): net, **networks}
    tried = {key: Tried(Engine(network)) for key, network in networks.items()}
    layers, first = layers_of(net), net.outputs[0]
    entries = sum(int(np.prod(net[name].shape)) for name in layers)
    batch, piece = plan(net, timesteps, len(data))
    batch = max(1, min(batch, (1 << 26) // max(1, entries)))
    total, done, ann_right, power = len(networks) * len(data), 0, 0, 0.0
    labelled = data.labels is not None and np.prod(net[first].shape) > int(data.labels.max(initial=0))
    for feeds, given in batches(data, batch):
        expected = ann_values(net, truth, [*layers, first], feeds)
        values = {**feeds, **{name: expected[name] for name in layers if name in expected}}
        a = output_first(expected[first], net[first])
        wanted = given if labelled and given is not None else choices(a)
        ann_right += int((choices(a) == wanted).sum())
        power += float(np.square(a.astype(np.float64)).sum())
        for one in tried.values():
            inputs: Mapping[str, Any] = {n.name: values[n.name] for n in one.engine.network.inputs}
            run = one.engine.run(inputs, timesteps, steps_at_once=piece, count=False)
            y = output_first(to_numpy(run.outputs[first][-1]), net[first])
            one.right += int((choices(y) == wanted).sum())
            one.squared += float(np.square(y.astype(np.float64) - a.reshape(y.shape)).sum())
            done += len(a)
            progress("putting values back", done, total)
    samples = max(1, len(data))
    found = {key: (one.right / samples, one.squared / max(power, 1e-30)) for key, one in tried.items()}
    return Attribution(
        metric="accuracy" if labelled else "agreement",
        samples=len(data),
        timesteps=timesteps,
        runs=len(networks),
        snn=rounded(found[frozenset()][0]) or 0.0,
        ann=rounded(ann_right / samples) or 0.0,
        layers=substitutions(layers, alone, front, found),
    )


def substitutions(
    layers: Sequence[str],
    alone: Mapping[str, frozenset[str]],
    front: Mapping[str, frozenset[str]],
    found: Mapping[frozenset[str], tuple[float, float]],
) -> tuple[Substitution, ...]:
    """Of each layer: what the ANN's values regain there alone, and what they cost behind those of all before.

    found: the share of right choices and the error with the ANN's values at these layers.
    """
    start, _ = found[frozenset()]
    reached = [start, *(found[front[name]][0] for name in layers)]
    return tuple(
        Substitution(
            layer=name,
            regained=rounded(found[alone[name]][0] - start) or 0.0,
            cost=rounded(now - before) or 0.0,
            error=rounded(found[alone[name]][1]) or 0.0,
        )
        for name, before, now in zip(layers, reached, reached[1:], strict=False)
    )
