# SPDX-License-Identifier: Apache-2.0
"""The request of a conversion: what is asked, what it is asked of, and both resolved, before the first pass runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import onnx

from snncc.ann.truth import Truth
from snncc.conversion import recipe as recipes
from snncc.conversion.apply import applied
from snncc.conversion.certify import Certificate, certified
from snncc.conversion.recipe import Recipe, Step
from snncc.conversion.sources import model_name, sources
from snncc.data.dataset import Dataset, Preprocessing
from snncc.errors import UsageError
from snncc.frontend.files.load import load as load_model
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import Dims, samples_first
from snncc.frontend.operators.lower import Own, lowered_network, refuse_known
from snncc.ir.network import Network
from snncc.transform.base import Context, Statistics, Transform
from snncc.transform.values import AnnValues

#: The method that is none: `study.search` finds one.
AUTO = "auto"
#: The design T where none is asked for and spikes do not end.
DEFAULT_TIMESTEPS = 8

Progress = Callable[[str, int, int], None]


def quiet(text: str, done: int, total: int) -> None:
    """No progress display."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a network that is searched for must meet: points lost at most, the longest T, synaptic operations per sample
    at most.

    With a `max_drop` the cheapest network that meets everything is chosen, else the most accurate one.
    """

    max_drop: float | None = None
    timesteps: int | None = None
    operations: float | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a caller may ask of a conversion; refused with UsageError where parts of it exclude each other.

    method or recipe: how to convert; method "auto" searches options and T for the `target`, `timesteps` being the
    longest. options: (pass, option, value). levels: spikes that a neuron may emit at once. calib: data (.npz, .npy,
    image folder or a `Dataset`); by default the .npz beside the model that has its name, else synthetic inputs.
    timesteps: the design T; by default 8, and for a method whose spikes end the step after which none fires any more.
    passes: a user's own, which a `Recipe` may name (a recipe file may not). lowerings: of operators that have none, by
    operator or (domain, operator); onnxruntime must run such an operator, for the truth about the model is its.
    """

    method: str | None = None
    recipe: Path | str | Recipe | None = None
    timesteps: int | None = None
    target: Target | None = None
    calib: Path | str | Dataset | None = None
    granularity: str | None = None
    levels: int | None = None
    options: Sequence[tuple[str, str, Any]] = ()
    shapes: Mapping[str, Dims] | None = None
    preprocessing: Preprocessing | None = None
    seed: int = 0
    batch_size: int = 64
    progress: Progress = quiet
    passes: Sequence[Transform] = ()
    lowerings: Own = field(default_factory=dict)

    @property
    def known(self) -> Mapping[str, Transform]:
        """The passes that a `Recipe` may name; a recipe file names ours only."""
        return recipes.with_own(self.passes)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        searching, steps = self.method == AUTO, self.timesteps
        if steps is not None and steps < 1:
            raise UsageError(f"the design T must be at least 1, not {steps}", cure="give --timesteps 1 or more")
        if self.method and self.recipe:
            raise UsageError("a method and a recipe file are given", cure="give one of them")
        if self.target is not None and not searching:
            raise UsageError("--max-drop and --max-operations are targets of a search", cure="add --method auto")
        if searching and (self.options or self.levels):
            raise UsageError("--method auto chooses options and levels", cure="leave --set and --levels out")
        recipes.with_own(self.passes)
        refuse_known(self.lowerings)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is converted: a model, lowered, beside the truth about it; the samples to calibrate on and to keep."""

    name: str
    model: onnx.ModelProto
    shapes: Mapping[str, Dims]
    network: Network
    truth: Truth
    calibration: Dataset
    samples: Dataset


@dataclass(frozen=True, kw_only=True)
class Request:
    """A conversion, resolved: nothing behind it decides anew. `timesteps` is T for passes, records and manifest.

    certificate: what was found of a network whose spikes end, if that decided T. Conversions of one network on the same
    samples may share `statistics`.
    """

    subject: Subject
    recipe: Recipe
    steps: tuple[Step, ...]
    timesteps: int
    seed: int = 0
    batch_size: int = 64
    statistics: Statistics = field(default_factory=Statistics)
    certificate: Certificate | None = None

    def context(self, progress: Progress) -> Context:
        """What the passes get."""
        return Context(
            values=AnnValues(self.subject.truth, self.subject.network),
            calibration=self.subject.calibration,
            timesteps=self.timesteps,
            seed=self.seed,
            batch_size=self.batch_size,
            progress=progress,
            cache=self.statistics,
        )


def chosen_recipe(asked: Asked, *, whole: str | None = None) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with its options, and what the user must be told. `whole`: a target that knows whole spikes only.

    Raises RecipeError.
    """
    notes: tuple[str, ...] = ()
    known = asked.known
    if isinstance(asked.recipe, Recipe):
        chosen = asked.recipe
    elif asked.recipe is not None:
        chosen = recipes.load_recipe(Path(asked.recipe))
    else:
        chosen = recipes.load_method(recipes.DEFAULT_METHOD if asked.method in (None, AUTO) else str(asked.method))
    chosen, granularity = recipes.with_options(chosen, asked.options, known), asked.granularity
    if whole and not asked.recipe:
        if granularity is None and recipes.takers(chosen, "granularity"):
            granularity, notes = "channel", (f"--emit {whole} without --granularity: one threshold per channel",)
        centred = recipes.centred(chosen)
        if centred and centred not in [(name, option) for name, option, _ in asked.options]:
            chosen = recipes.without_centres(chosen)
            notes += (f"--emit {whole}: whole spikes only, so {'.'.join(centred)} = 0",)
    if granularity:
        chosen = recipes.with_granularity(chosen, granularity, known)
    if asked.levels is not None:
        chosen = recipes.with_levels(chosen, asked.levels, known)
    return chosen, notes


def subject(model: Path | onnx.ModelProto, asked: Asked) -> Subject:
    """Read and lower a model and find its data. Raises ModelError or DataError."""
    proto = load_model(model)
    prepared = samples_first(proto, asked.shapes)
    network, truth = lowered_network(normalize(prepared), asked.lowerings), Truth(prepared)
    beside = model.with_suffix(".npz") if isinstance(model, Path) else None
    calibration, samples = sources(asked.calib, beside, truth, asked.preprocessing or Preprocessing(), asked.seed)
    return Subject(
        name=model_name(model),
        model=proto,
        shapes=asked.shapes or {},
        network=network,
        truth=truth,
        calibration=calibration,
        samples=samples,
    )


def resolved(given: Subject, recipe: Recipe, asked: Asked, timesteps: int | None = None) -> Request:
    """The request whole, with its T: as asked; else, where spikes end, the step after which none fires; else 8.

    To find that step the passes run once on the calibration samples, without being measured.
    """
    steps, known = recipes.steps(recipe, asked.known), timesteps or asked.timesteps
    request = Request(
        subject=given,
        recipe=recipe,
        steps=steps,
        timesteps=known or DEFAULT_TIMESTEPS,
        seed=asked.seed,
        batch_size=asked.batch_size,
    )
    if known is not None or not any(step.transform.settles for step in steps):
        return request
    context, network = request.context(asked.progress), given.network
    for done in applied(network, steps, context):
        network = done.after
    certificate = certified(network, context)
    settled = (certificate and certificate.settled) or DEFAULT_TIMESTEPS
    return replace(
        request,
        timesteps=settled,
        certificate=None if recipes.depends_on_timesteps(steps) else certificate,
    )
