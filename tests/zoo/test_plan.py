# SPDX-License-Identifier: Apache-2.0
"""What a batch is asked to do is understood, or refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoos import make_zoo

from snncc.conversion.recipe import DEFAULT_METHOD
from snncc.conversion.request import Target
from snncc.errors import RecipeError, UsageError
from snncc.zoo.plan import Choices, Gates, given_choices, plan
from snncc.zoo.results import key_of

MANIFEST = """
[defaults]
method = "rate"
timesteps = 16
max_drop = 0.5

[[models]]
path = "zoo/alpha.onnx"
timesteps = 4
min_accuracy = 0.9
preprocessing = { scale = 2.0 }
options = { balance_thresholds = { percentile = 99 } }

[[models]]
path = "zoo/**/*.onnx"
"""


def test_a_folder_gives_every_model_below_it_with_its_data(tmp_path: Path) -> None:
    zoo = make_zoo(tmp_path / "zoo")
    (zoo / "out" / "x.snn").mkdir(parents=True)
    for stray in ("out/other.onnx", ".hidden.snn/ann.onnx", "x.snn/ann.onnx", "notes.txt"):
        (zoo / stray).parent.mkdir(exist_ok=True)
        (zoo / stray).write_bytes(b"")
    jobs = plan([zoo], Choices(), zoo / "out")
    assert [job.name for job in jobs] == ["alpha", "broken", "deep__beta", "random"]
    assert [job.calib for job in jobs] == [str(zoo / "alpha.npz"), None, None, None]
    assert {job.recipe.name for job in jobs} == {DEFAULT_METHOD}


def test_an_entry_goes_before_the_command_line_and_that_before_the_defaults(tmp_path: Path) -> None:
    make_zoo(tmp_path / "zoo")
    text = MANIFEST.replace("zoo/**/*.onnx", "zoo/deep/*.onnx")
    (tmp_path / "zoo.toml").write_text(text)
    first, second = plan([tmp_path / "zoo.toml"], given_choices({"max_drop": 0.25, "timesteps": 8}), tmp_path / "out")
    assert (first.timesteps, second.timesteps) == (4, 8)
    assert first.gates == Gates(max_drop=0.25, min_accuracy=0.9)
    assert second.gates == Gates(max_drop=0.25)
    assert first.preprocessing.scale == 2.0
    assert first.recipe.name == second.recipe.name == "rate"
    percentiles = [e.options.get("percentile") for j in (first, second) for e in j.recipe.passes]
    assert 99 in percentiles[: len(first.recipe.passes)]
    assert 99 not in percentiles[len(first.recipe.passes) :]


def test_auto_has_its_target_from_the_gates_and_takes_no_options(tmp_path: Path) -> None:
    zoo = make_zoo(tmp_path / "zoo")
    first = plan([zoo], given_choices({"method": "auto", "max_drop": 0.02, "timesteps": 16}), tmp_path / "out")[0]
    assert (first.method, first.search, first.timesteps) == ("auto", Target(max_drop=2.0), 16)
    other = plan([zoo], given_choices({"method": "auto", "granularity": "channel"}), tmp_path / "out")[0]
    assert (other.search, other.granularity) == (Target(max_drop=1.0), "channel")
    assert len({key_of(job) for job in (first, other, *plan([zoo], Choices(), tmp_path / "out")[:1])}) == 3
    with pytest.raises(UsageError, match="auto chooses the options"):
        plan([zoo], given_choices({"method": "auto", "options": {"x": {"y": 1}}}), tmp_path / "out")


def test_globs_and_files(tmp_path: Path) -> None:
    zoo = make_zoo(tmp_path / "zoo")
    jobs = plan([str(zoo / "*.onnx"), zoo / "deep" / "beta.onnx"], Choices(), tmp_path / "out")
    assert [job.name for job in jobs] == ["alpha", "broken", "random", "beta"]
    missing = plan([zoo / "gone.onnx"], Choices(), tmp_path / "out")  # reported as a model that failed
    assert [job.name for job in missing] == ["gone"]
    with pytest.raises(UsageError, match="no model"):
        plan([str(zoo / "*.tflite")], Choices(), tmp_path / "out")
    with pytest.raises(UsageError, match="called 'alpha'"):
        plan([zoo / "alpha.onnx", str(zoo / "a*.onnx")], Choices(), tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("models = 3", UsageError, "models"),
        ("[[models]]\npath='a.onnx'\ntimestep=3", UsageError, "timestep"),
        ("[[models]]\npath='a.onnx'\nmax_drop=nan", UsageError, "max_drop"),
        ("[[models]]\npath='a.onnx'\nmax_drop=1.5", UsageError, "max_drop"),
        ("[[models]]\npath='a.onnx'\nname='../a'", UsageError, "name"),
        ("[[models]]\npath='a.onnx'\ntimesteps=99999999999999999999", UsageError, "timesteps"),
        ("[[models]]\npath='a.onnx'\npreprocessing={scale=inf}", UsageError, "finite"),
        ("[[models]]\npath='a.onnx'\nmethod='x'\nrecipe='y'", UsageError, "a method and a recipe"),
        ("[[models]]\npath='a.onnx'\nmethod='dnisn'", RecipeError, "dnisn"),
        ("[[models]]\npath='a.onnx'\noptions={nothing={a=1}}", RecipeError, "no pass 'nothing'"),
        ("[[models]]\npath='*.onnx'\n", UsageError, "no model"),
        ("x = " + "[" * 5000 + "]" * 5000, UsageError, "zoo.toml"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "zoo.toml").write_text(text)
    with pytest.raises(error, match=message):
        plan([tmp_path / "zoo.toml"], Choices(), tmp_path / "out")


def test_the_example_for_ci_is_a_manifest(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "ci" / "zoo.toml"
    jobs = plan([example], Choices(), tmp_path)
    assert [(job.name, job.recipe.name) for job in jobs] == [("digits", "dnisnm"), ("vit", "transformer")]
    assert all(Path(job.model).is_file() and job.calib is not None for job in jobs)
