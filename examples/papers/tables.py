# SPDX-License-Identifier: Apache-2.0
"""What the papers' scripts share: conversions, accuracy after every step, firing rates and the rows of tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import Tensor

from snncc.ann.truth import Truth
from snncc.conversion import pipeline, recipe
from snncc.conversion.certify import Certificate
from snncc.conversion.pipeline import Outcome
from snncc.conversion.recipe import Recipe
from snncc.conversion.request import Asked, resolved, subject
from snncc.data.dataset import Dataset
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.ir.network import Network
from snncc.ir.nodes import Neuron, Node
from snncc.simulation.metrics import firing_rate

Option = tuple[str, str, Any]


def convert(
    model: Path,
    method: str | Recipe,
    data: Dataset,
    options: Sequence[Option] = (),
    *,
    timesteps: int = 8,
    observe: pipeline.Observer | None = None,
) -> Outcome:
    """A conversion without a bundle: the network and the records of its passes; `observe` is told of each pass."""
    chosen = recipe.with_options(recipe.load_method(method) if isinstance(method, str) else method, options)
    asked = Asked(calib=data, timesteps=timesteps)
    return pipeline.run(resolved(subject(model, asked), chosen, asked), observe=observe)


def simulate(network: Network, data: Dataset, timesteps: int, device: str = "cpu") -> tuple[list[float], float]:
    """The accuracy after each of T steps, in percent, and the spikes per neuron and step."""
    engine, name, labels = Engine(network, device=device), network.outputs[0], np.asarray(data.labels)
    batch, piece = plan(network, timesteps, len(data))
    neurons = {node.name for node in network.nodes if isinstance(node, Neuron)}
    hits, events, done = np.zeros(timesteps), dict[str, np.ndarray](), 0
    for feeds in data.batches(batch):
        every = range(1, timesteps + 1)
        run = engine.run(feeds, timesteps, checkpoints=every, steps_at_once=piece, first_sample=done)
        outputs = run.outputs[name]
        truth = labels[done : done + outputs.shape[1]]
        hits += (outputs.argmax(2).cpu().numpy() == truth).sum(1)
        for node in neurons:
            events[node] = events.get(node, 0) + run.activity[node].events.cpu().numpy()
        done += len(truth)
    return (100 * hits / done).tolist(), firing_rate(events, timesteps, done)


def spikes(network: Network, data: Dataset, timesteps: int, layer: int) -> np.ndarray:
    """What each neuron of a layer emits for the first sample, (neurons, T); layers in order, -1 the last."""
    name = [node.name for node in network.nodes if isinstance(node, Neuron)][layer]
    found: list[np.ndarray] = []

    def see(node: Node, series: Tensor) -> None:
        if node.name == name:
            found.append(series.flatten(1).numpy().copy())

    Engine(network).run(next(data.batches(1)), timesteps, observe=see, count=False)
    return np.concatenate(found).T


def ann_accuracy(path: Path, data: Dataset) -> float:
    """The accuracy of an ONNX file in onnxruntime, in percent."""
    model = onnx.load(path)
    truth, output = Truth(model), model.graph.output[0].name
    logits = np.concatenate([truth.run(feeds, [output])[output] for feeds in data.batches(500)])
    return 100 * float((logits.argmax(1) == data.labels).mean())


def row(*cells: object) -> None:
    """A line of a table."""
    print("| " + " | ".join(f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)


def header(*cells: object) -> None:
    """The first two lines of a table."""
    row(*cells)
    row(*["---"] * len(cells))


def shown(found: Certificate | None) -> str:
    """A certificate in one cell."""
    if found is None:
        return "none"
    return f"{found.mismatches} of {found.neurons * found.samples:,}, settled at T={found.settled}"


def stable(curve: Sequence[float]) -> int:
    """The first step after which the accuracy no longer changes."""
    return 1 + max((t for t, accuracy in enumerate(curve, 1) if accuracy != curve[-1]), default=0)
