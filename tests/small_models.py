# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models from text, and what the pipeline needs to run on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import parser

from snncc.ann.truth import Truth
from snncc.conversion import pipeline
from snncc.conversion.recipe import BY_NAME, PassEntry, Recipe, Step
from snncc.conversion.request import Request, Subject
from snncc.data.dataset import Dataset, Preprocessing
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.network import Network
from snncc.transform.base import Context, Statistics
from snncc.transform.values import AnnValues


def parsed(graph: str, *, opset: int = 17, **weights: Any) -> onnx.ModelProto:
    """A model from the text of its graph; arrays become initializers of that name (floats: float32)."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{graph}')
    for name, value in weights.items():
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(array, order="C"), name))
    return model


def dataset(**inputs: np.ndarray) -> Dataset:
    """Arrays as calibration data, without preprocessing."""
    floats = frozenset(name for name, array in inputs.items() if array.dtype.kind == "f")
    return Dataset(inputs=inputs, source="test", preprocessing=Preprocessing(), continuous=floats)


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal float32 numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@dataclass(slots=True)
class Case:
    """A lowered model, the truth about it and a context for passes."""

    model: onnx.ModelProto
    truth: Truth
    network: Network
    context: Context

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Kind and node of each note that the passes wrote."""
        return [(note.kind, note.node) for note in self.context.notes]

    def apply(self, name: str, network: Network | None = None, **options: Any) -> Network:
        """Run one pass; in the ANN stage later statistics see the new network, as in the pipeline."""
        step = BY_NAME[name]
        before = network if network is not None else self.network
        after = step.apply(before, self.context, step.decode("test", options))
        if after.stage == "ann":
            self.context.values.network = after
        self.network = after
        return after

    def spiking(self, **options: Any) -> Network:
        """The passes up to `select_neuron`, which gets the options."""
        for name in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
            self.apply(name)
        return self.apply("select_neuron", **options)


def lowered(model: onnx.ModelProto, data: Dataset, *, timesteps: int = 8, **shapes: tuple[int | str, ...]) -> Case:
    """A model with its samples first, lowered, and a context with `data` for calibration."""
    source = samples_first(model, shapes)
    truth, network = Truth(source, threads=1), lowered_network(normalize(source))
    context = Context(values=AnnValues(truth, network), calibration=data, timesteps=timesteps, seed=0)
    return Case(source, truth, network, context)


def ran(
    network: Network,
    steps: Sequence[Step],
    *,
    truth: Truth,
    calibration: Dataset,
    timesteps: int,
    seed: int = 0,
    batch_size: int = 64,
    statistics: Statistics | None = None,
    **told: Any,
) -> pipeline.Outcome:
    """What the pipeline makes of a lowered network by passes that are ready to run."""
    subject = Subject(
        name="test",
        model=onnx.ModelProto(),
        shapes={},
        network=network,
        truth=truth,
        calibration=calibration,
        samples=calibration,
    )
    request = Request(
        subject=subject,
        recipe=Recipe(name="test", source="", summary="", passes=(PassEntry(use="test"),)),
        steps=tuple(steps),
        timesteps=timesteps,
        seed=seed,
        batch_size=batch_size,
        statistics=Statistics() if statistics is None else statistics,
    )
    return pipeline.run(request, **told)
