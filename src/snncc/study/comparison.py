# SPDX-License-Identifier: Apache-2.0
"""`compare`: one network by several methods at several T, converted anew where what a method does depends on T."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import msgspec
import onnx

from snncc.bundles.output import refuse_existing, write_folder
from snncc.conversion import pipeline, recipe
from snncc.conversion.recipe import Recipe
from snncc.conversion.request import Asked, Progress, Request, Subject, quiet, subject
from snncc.data.dataset import Dataset, Preprocessing, read
from snncc.data.description import described
from snncc.encoding import encode
from snncc.errors import RecipeError, SnnccError, UsageError
from snncc.execute.executors import TorchExecutor
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.synapses import fan_out
from snncc.execute.torch.synchronous import QuantisedReference
from snncc.frontend.normal.samples import Dims
from snncc.reports.compare_page import compare_page
from snncc.reports.comparison import Comparison, Entry, MethodRun, Refusal
from snncc.reports.curve import curves
from snncc.reports.document import rounded
from snncc.reports.energy import energy
from snncc.simulation.run import simulation
from snncc.transform.base import Statistics


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A comparison, and the folder that holds its page (None: nothing was written)."""

    comparison: Comparison
    folder: Path | None


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What all conversions of a comparison share; networks are simulated on the samples that the subject keeps."""

    subject: Subject
    timesteps: tuple[int, ...]
    seed: int
    progress: Progress


def ann_stage(chosen: Recipe) -> bytes:
    """The passes before neurons are put in: recipes that share them share calibration statistics."""
    kept = []
    for entry, step in zip(chosen.passes, recipe.steps(chosen), strict=True):
        if "neurons" in step.transform.gives:
            break
        kept.append(entry)
    return msgspec.json.encode(kept, order="deterministic")


def one_run(place: Workplace, chosen: Recipe, design: int, statistics: Statistics) -> MethodRun | Refusal:
    """Convert by one method for one design T and simulate."""
    label, given, steps = f"{chosen.name}, T={design}", place.subject, recipe.steps(chosen)

    def progress(text: str, done: int, total: int) -> None:
        place.progress(f"{label}: {text}", done, total)

    request = Request(
        subject=given, recipe=chosen, steps=steps, timesteps=design, seed=place.seed, statistics=statistics
    )
    try:
        outcome = pipeline.run(request, progress=progress)
    except SnnccError as error:
        return Refusal(method=chosen.name, reason=error.message)
    net = outcome.network
    batch, piece = plan(net, design, len(given.samples))
    about = described(given.samples)
    found = simulation(
        net,
        given.truth,
        given.samples,
        TorchExecutor(net, device="cpu", steps=piece),
        batch=batch,
        fan_out=fan_out(net),
        timesteps=design,
        progress=progress,
        points=tuple(t for t in place.timesteps if t <= design),
        reference=QuantisedReference(Engine(net), piece),
        name=given.name,
        method=chosen.name,
        design_timesteps=design,
        source=about.source,
        synthetic=about.synthetic,
        device="cpu",
        engine="torch",
    )
    models = energy(net, found).models[-2:]
    over = [rounded(m.snn / m.quantised) if m.quantised else None for m in models]
    return MethodRun(
        method=chosen.name,
        design=design,
        prefix=recipe.depends_on_timesteps(steps),
        curve=curves(found, net.outputs)[0],
        firing_rate=rounded(found.firing_rate) if found.firing_rate is not None else None,
        synaptic_operations=rounded(found.synaptic_operations) or 0.0,
        energy=(over[0] or 0.0, over[1] or 0.0),
    )


def all_runs(place: Workplace, recipes: Sequence[Recipe], jobs: int | None) -> list[MethodRun | Refusal]:
    """All methods at all T, in parallel threads (the work is done outside the interpreter's lock)."""
    shared = {ann_stage(chosen): Statistics() for chosen in recipes}
    last = place.timesteps[-1:]
    work = [
        (chosen, design)
        for chosen in recipes
        for design in (place.timesteps if recipe.depends_on_timesteps(recipe.steps(chosen)) else last)
    ]
    given = place.subject  # probes once, before the threads
    given.truth.run(next(given.samples.head(2).batches(2)), list(given.network.outputs))
    workers = jobs or max(1, min(len(work), os.cpu_count() or 1))
    results: list[MethodRun | Refusal] = joblib.Parallel(n_jobs=workers, prefer="threads")(
        joblib.delayed(one_run)(place, chosen, design, shared[ann_stage(chosen)]) for chosen, design in work
    )
    return results


def compared(place: Workplace, methods: Sequence[str], jobs: int | None) -> Comparison:
    """The comparison of the methods, from the runs of those that convert the network; RecipeError where none does."""
    given, results = place.subject, all_runs(place, [recipe.load_method(name) for name in dict.fromkeys(methods)], jobs)
    runs = [r for r in results if isinstance(r, MethodRun)]
    refused = {r.method: r for r in results if isinstance(r, Refusal)}
    if not runs:
        reasons = "; ".join(f"{r.method}: {r.reason}" for r in refused.values())
        raise RecipeError(f"no method converts this network: {reasons}", cure="see `snncc methods`")
    entries = [
        Entry(method=run.method, timesteps=p.t, value=p.value, low=p.low, high=p.high)
        for run in runs
        for p in run.curve.points
        if p.t == run.design or not run.prefix
    ]
    return Comparison(
        name=given.name,
        metric=runs[0].curve.metric,
        ann=runs[0].curve.ann,
        timesteps=place.timesteps,
        calibration=described(given.calibration),
        data=described(given.samples),
        entries=tuple(entries),
        runs=tuple(runs),
        refused=tuple(refused.values()),
    )


def compare(
    model: Path | str | onnx.ModelProto,
    *,
    methods: Sequence[str],
    timesteps: Sequence[int],
    calib: Path | str | Dataset | None = None,
    data: Path | str | Dataset | None = None,
    out: Path | str | None = None,
    shapes: Mapping[str, Dims] | None = None,
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
    jobs: int | None = None,
    force: bool = False,
    progress: Progress = quiet,
) -> Compared:
    """Convert a model by several methods, simulate each at several T, and write compare.json and compare.html to `out`.

    Data as for `convert`; `data` names other samples to simulate. Methods run at the same time, `jobs` at most.
    """
    source = model if isinstance(model, onnx.ModelProto) else Path(model)
    if not methods:
        raise UsageError("there is no method to compare", cure="name at least one: see `snncc methods`")
    if out is not None:
        refuse_existing(Path(out), force=force)
    asked = Asked(calib=calib, shapes=shapes, preprocessing=preprocessing, seed=seed, progress=progress)
    given = subject(source, asked)
    if isinstance(data, Dataset):
        given = replace(given, samples=data)
    elif data is not None:
        used = read(Path(data), given.truth.inputs, preprocessing=preprocessing or Preprocessing(), split="test")
        given = replace(given, samples=used)
    place = Workplace(subject=given, timesteps=tuple(timesteps), seed=seed, progress=progress)
    found = compared(place, methods, jobs)
    if out is not None:
        files = {"compare.json": encode(found), "compare.html": compare_page(found)}
        write_folder(Path(out), files, force=force)
    return Compared(comparison=found, folder=None if out is None else Path(out))
