# SPDX-License-Identifier: Apache-2.0
"""`simulate --engine onnx`: the network's ONNX step graph in onnxruntime, step by step, in float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.errors import EmitError
from snncc.execute.executors import tallied
from snncc.execute.onnx.step import step_model
from snncc.execute.protocol import Counted
from snncc.functions.onnx.runtime import ORT_ERRORS, session
from snncc.ir.network import Network

Array = npt.NDArray[Any]


def started(data: bytes) -> Any:
    """onnxruntime on a graph as it is written: a rewritten graph rounds differently.

    Raises EmitError where onnxruntime has no kernel for an operator in one of its types.
    """
    try:  # waiting without spinning: others work beside it
        return session(data, optimized=False, entries={"session.intra_op.allow_spinning": "0"})
    except ORT_ERRORS as error:
        raise EmitError(f"onnxruntime cannot run the step graph: {error}", cure="use --engine torch") from error


class OnnxExecutor:
    """A network's step graph; `float_type` float64 works where onnxruntime has every operator in it."""

    def __init__(self, network: Network, float_type: Any = np.float32) -> None:
        self.network, self.float_type = network, np.dtype(float_type)
        self.step = step_model(network, float_type=float_type)
        self.session = started(self.step.model.SerializeToString())
        self.given = {i.name for i in self.session.get_inputs()}

    def feeds(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The inputs in the graph's types."""
        kinds = {n.name: self.float_type if n.dtype == "float32" else n.dtype for n in self.network.inputs}
        return {name: np.asarray(feeds[name]).astype(kind) for name, kind in kinds.items() if name in self.given}

    def steps(
        self, feeds: Mapping[str, Array], timesteps: int, clamped: dict[str, int]
    ) -> Iterator[tuple[Mapping[str, Array], Mapping[str, Array]]]:
        """The values of the outputs and the events of the sources at each step, in float64."""
        first, given = self.network.sampled, self.feeds(feeds)
        samples = 1 if first.batch is None else np.shape(feeds[first.name])[first.batch]
        shapes = {s: [d * samples if i == s.batch else d for i, d in enumerate(s.shape)] for s in self.step.states}
        states = {s.before: np.zeros(shape, s.kind) for s, shape in shapes.items()}
        names = [output.name for output in self.session.get_outputs()]
        for _ in range(timesteps):
            values = dict(zip(names, self.session.run(names, given | states), strict=True))
            states = {s.before: values[s.after] for s in self.step.states}
            for name, output in self.step.clamped.items():
                clamped[name] = clamped.get(name, 0) + int(values[output])
            outputs = {name: widened(values[output]) for name, output in self.step.outputs.items()}
            yield outputs, {name: widened(values[output]) for name, output in self.step.spikes.items()}

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch; nothing is drawn at random."""
        clamped: dict[str, int] = {}
        counted = tallied(self.network, self.steps(feeds, timesteps, clamped), checkpoints)
        counted.clamped = clamped
        return counted


def widened(array: Array) -> Array:
    """Floats in float64, so that their sums over steps do not round."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array
