# SPDX-License-Identifier: Apache-2.0
"""Thresholds and resting counts chosen for the currents that arrive, against the step function of the definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from small_models import Case, dataset, lowered, normal, parsed
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.replay import AnnReplay, Replay, sources
from snncc.ir.nodes import CentredIF, SignedIF
from snncc.neurons.signed_if.step import centred_if_step
from snncc.transform.neuron_search import FACTORS, RESTS, best_arrays, searchable

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"
SAMPLES, TIMESTEPS = 40, 4


def layer(granularity: str) -> Case:
    """One layer of neurons with a steady current."""
    graph = "g (float[N,3,4,4] x) => (float[] y) { a = Conv<pads=[1,1,1,1]>(x, w) y = Relu(a) }"
    model = parsed(graph, w=normal(1, 5, 3, 3, 3))
    case = lowered(model, dataset(x=normal(2, SAMPLES, 3, 4, 4)), timesteps=TIMESTEPS)
    case.spiking(kind="signed_if", negative="early")
    case.apply("minimize_threshold_error", granularity=granularity, centre=2.0)
    case.apply("initialize_membrane")
    return case


def outputs(current: np.ndarray, threshold: np.ndarray, start: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The mean that centred neurons emit, by the definition."""
    rest, total = centre / TIMESTEPS, np.zeros_like(current)
    u, n = np.zeros_like(current) + start, np.zeros_like(current) + centre
    for _ in range(TIMESTEPS):
        z, u, n = centred_if_step(u, n, current, threshold=threshold, rest=rest, levels=1)
        total += (z + rest) * threshold
    return total / TIMESTEPS


@pytest.mark.parametrize("granularity", ["layer", "channel", "neuron"])
def test_the_nearest_candidate_is_taken(granularity: str) -> None:
    case = layer(granularity)
    neuron = next(n for n in case.network.nodes if isinstance(n, CentredIF))
    feeds = [{"x": normal(2, SAMPLES, 3, 4, 4)[part]} for part in (slice(0, 24), slice(24, None))]
    ann = AnnReplay(case.context.ann, feeds, sources(case.network))
    found = best_arrays(neuron, Replay(case.network, feeds, TIMESTEPS), ann, 1, 24)

    given = {name: case.network.arrays[name] for name in found}
    current = ann.value("a", 0).numpy()  # the first 24 samples alone
    a = np.maximum(current, 0)
    axes = tuple(i for i, extent in enumerate(given[neuron.threshold].shape) if extent == 1)
    errors, tried = [], []
    for factor in FACTORS:
        threshold = given[neuron.threshold] * np.float32(factor)
        start = given[neuron.v_init] * np.float32(factor)
        for steps in RESTS:
            rate = np.divide(a.mean(axes, keepdims=True), threshold, out=np.zeros_like(threshold), where=threshold > 0)
            centre = np.round(steps * rate)
            error = np.square(outputs(current, threshold, start, centre) - a).sum(axes, keepdims=True)
            others = tuple(i for i in range(error.ndim) if i != 1)
            errors.append(error + error.mean(others, keepdims=True))
            tried.append({neuron.threshold: threshold, neuron.v_init: start, neuron.centre: centre})
    best = np.stack(errors).argmin(0)
    for name, value in found.items():
        expected = np.take_along_axis(np.stack([choice[name] for choice in tried]), best[None], 0)[0]
        assert np.allclose(value.numpy(), expected, rtol=1e-6)
    assert len(np.unique(best)) > (granularity != "layer")  # not everywhere the same


def test_what_counts_depend_on_stays() -> None:
    neuron = next(n for n in layer("channel").network.nodes if isinstance(n, CentredIF))
    fields = {name: getattr(neuron, name) for name in ("name", "inputs", "shape", "batch", "dtype", *SignedIF.ARRAYS)}
    assert searchable(neuron)
    assert searchable(SignedIF(**fields, negative="early"))
    assert not searchable(SignedIF(**fields, negative="early", cap=3))
    assert not searchable(SignedIF(**{**fields, "amplitude": "other"}, negative="early"))


@torch.no_grad()
def test_it_pays_on_a_trained_network() -> None:
    data: Any = np.load(DIGITS.with_suffix(".npz"))
    errors = []
    for search in (0, 256):
        case = lowered(onnx.load(DIGITS), dataset(image=data["calib_x"]), timesteps=2)
        case.spiking(kind="signed_if", negative="early")
        case.apply("minimize_threshold_error", granularity="neuron", centre=2.0)
        case.apply("initialize_membrane")
        case.apply("match_currents", search=search)
        expected = case.truth.run({"image": data["x"]})["logits"]
        found = Engine(case.network).run({"image": data["x"]}, 2).outputs["logits"][0].numpy()
        errors.append(float(np.square(found - expected).mean() / np.square(expected).mean()))
    assert errors[1] < 0.9 * errors[0], errors
