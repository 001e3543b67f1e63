# SPDX-License-Identifier: Apache-2.0
"""`compare`: one network by several methods at several T, converted anew where what a method does depends on T."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import msgspec
import onnx

from snncc.ann.truth import Truth
from snncc.bundles.output import refuse_existing, write_folder
from snncc.conversion import pipeline, recipe
from snncc.conversion.pipeline import Progress, quiet
from snncc.conversion.recipe import Recipe
from snncc.conversion.sources import model_name, sources
from snncc.data.dataset import Dataset, Preprocessing, read
from snncc.data.description import Samples, described
from snncc.encoding import encode
from snncc.errors import RecipeError, SnnccError, UsageError
from snncc.execute.executors import TorchExecutor
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.synapses import fan_out
from snncc.execute.torch.synchronous import QuantisedReference
from snncc.frontend.files.load import load as load_model
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import Dims, samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.network import Network
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
    """What all conversions of a comparison share."""

    name: str
    network: Network
    truth: Truth
    calibration: Dataset
    data: Dataset
    about: Samples
    timesteps: tuple[int, ...]
    seed: int
    progress: Progress


def depends_on_timesteps(chosen: Recipe) -> bool:
    """Whether a recipe has a pass that depends on the design T."""
    return any(step.transform.uses_timesteps for step in recipe.steps(chosen))


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
    label = f"{chosen.name}, T={design}"
    try:
        outcome = pipeline.run(
            place.network,
            recipe.steps(chosen),
            truth=place.truth,
            calibration=place.calibration,
            timesteps=design,
            seed=place.seed,
            statistics=statistics,
            progress=lambda text, done, total: place.progress(f"{label}: {text}", done, total),
        )
    except SnnccError as error:
        return Refusal(method=chosen.name, reason=error.message)
    net = outcome.network
    batch, piece = plan(net, design, len(place.data))
    found = simulation(
        net,
        place.truth,
        place.data,
        TorchExecutor(net, device="cpu", steps=piece),
        batch=batch,
        fan_out=fan_out(net),
        timesteps=design,
        progress=lambda text, done, total: place.progress(f"{label}: {text}", done, total),
        points=tuple(t for t in place.timesteps if t <= design),
        reference=QuantisedReference(Engine(net), piece),
        name=place.name,
        method=chosen.name,
        design_timesteps=design,
        source=place.about.source,
        synthetic=place.about.synthetic,
        device="cpu",
        engine="torch",
    )
    models = energy(net, found).models[-2:]
    over = [rounded(m.snn / m.quantised) if m.quantised else None for m in models]
    return MethodRun(
        method=chosen.name,
        design=design,
        prefix=depends_on_timesteps(chosen),
        curve=curves(found, net.outputs)[0],
        firing_rate=rounded(found.firing_rate) if found.firing_rate is not None else None,
        synaptic_operations=rounded(found.synaptic_operations) or 0.0,
        energy=(over[0] or 0.0, over[1] or 0.0),
    )


def compared(place: Workplace, methods: Sequence[str], calibration: Samples, jobs: int | None) -> Comparison:
    """All methods at all T, in parallel threads (the work is done outside the interpreter's lock)."""
    recipes = [recipe.load_method(name) for name in dict.fromkeys(methods)]
    shared = {ann_stage(chosen): Statistics() for chosen in recipes}
    last = place.timesteps[-1]
    work = [
        (chosen, design)
        for chosen in recipes
        for design in (place.timesteps if depends_on_timesteps(chosen) else (last,))
    ]
    place.truth.run(next(place.data.head(2).batches(2)), list(place.network.outputs))  # probes once, before the threads
    workers = jobs or max(1, min(len(work), os.cpu_count() or 1))
    results = joblib.Parallel(n_jobs=workers, prefer="threads")(
        joblib.delayed(one_run)(place, chosen, design, shared[ann_stage(chosen)]) for chosen, design in work
    )
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
        name=place.name,
        metric=runs[0].curve.metric,
        ann=runs[0].curve.ann,
        timesteps=place.timesteps,
        calibration=calibration,
        data=place.about,
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
    prepared = samples_first(load_model(source), shapes)
    truth, given = Truth(prepared), preprocessing or Preprocessing()
    beside = source.with_suffix(".npz") if isinstance(source, Path) else None
    calibration, used = sources(calib, beside, truth, given, seed)
    if data is not None:
        used = data if isinstance(data, Dataset) else read(Path(data), truth.inputs, preprocessing=given, split="test")
    place = Workplace(
        name=model_name(source),
        network=lowered_network(normalize(prepared)),
        truth=truth,
        calibration=calibration,
        data=used,
        about=described(used),
        timesteps=tuple(timesteps),
        seed=seed,
        progress=progress,
    )
    found = compared(place, methods, described(calibration), jobs)
    if out is not None:
        files = {"compare.json": encode(found), "compare.html": compare_page(found)}
        write_folder(Path(out), files, force=force)
    return Compared(comparison=found, folder=None if out is None else Path(out))
