# SPDX-License-Identifier: Apache-2.0
"""The request is checked before anything runs, and its T is the one that records, manifest and neurons have."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from quantized_models import quantized_net, ternary_net
from small_models import Case, dataset, normal, parsed
from snncc import api
from snncc.conversion.request import AUTO, Asked, Target, chosen_recipe
from snncc.errors import UsageError
from snncc.ir.nodes import Neuron


def case_of(method: str) -> Case:
    case: Case = (ternary_net(1) if method == "zou" else quantized_net([3, 2, 3, 4]))[0]
    return case


@pytest.mark.parametrize("method", ["qffs", "zou"])
def test_the_settled_step_is_found_first_and_everything_reads_it(method: str) -> None:
    case = case_of(method)
    given: dict[str, Any] = {"method": method, "calib": case.context.calibration, "write": False}
    found = api.convert(case.model, **given)
    settled = found.manifest.certificate.settled  # type: ignore[union-attr]
    assert found.manifest.timesteps == settled != 8
    asked = api.convert(case.model, timesteps=settled, **given)
    assert asked.files == found.files, "as if the step had been asked for: records and certificate too"
    other = api.convert(case.model, timesteps=1, **given)
    assert [r.error for r in other.manifest.records] != [r.error for r in found.manifest.records]


def test_neurons_read_the_t_of_the_manifest() -> None:
    text = "g (float[N,6] x) => (float[N,3] y) { h = Gemm(x, w) r = Relu(h) y = Gemm(r, v) }"
    model = parsed(text, w=normal(1, 6, 8), v=normal(2, 8, 3))
    made = api.convert(model, method="matched", timesteps=5, calib=dataset(x=normal(0, 64, 6)), write=False)
    assert [node.until for node in made.network.nodes if isinstance(node, Neuron)] == [5]  # type: ignore[attr-defined]
    assert made.manifest.timesteps == 5


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"timesteps": 0}, "at least 1"),
        ({"method": "rate", "recipe": "r.toml"}, "a method and a recipe"),
        ({"method": "rate", "target": Target(max_drop=1.0)}, "targets of a search"),
        ({"method": AUTO, "levels": 2}, "chooses options and levels"),
        ({"method": AUTO, "options": [("a", "b", 1)]}, "chooses options and levels"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_model_is_read(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        api.convert("no such file.onnx", **asked)


def test_targets_of_whole_spikes_change_the_recipe_and_say_so() -> None:
    plain, _ = chosen_recipe(Asked(method="matched"))
    whole, notes = chosen_recipe(Asked(method="matched"), whole="nir")
    assert whole != plain
    assert all(note.startswith("--emit nir") for note in notes)
    assert len(notes) == 2


def test_the_keywords_of_convert_are_seen() -> None:
    parameters = inspect.signature(api.convert).parameters
    assert next(iter(parameters)) == "model"
    assert {"method", "timesteps", "out", "emit"} <= set(parameters)
    assert parameters["seed"].default == 0
    with pytest.raises(TypeError, match="metod"):
        api.convert("m.onnx", metod="rate")  # type: ignore[call-arg]
