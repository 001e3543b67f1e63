# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline on one screen: check, convert, load, simulate, report. The command line only renders it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import onnx

from snncc.ann.truth import Truth
from snncc.bundles.assemble import bundle_files, timings
from snncc.bundles.bundle import Bundle, open_bundle, opened_bundle
from snncc.bundles.manifest import Manifest
from snncc.bundles.output import refuse_existing, write_folder, write_run
from snncc.bundles.targets import EmitOptions, Target
from snncc.conversion import pipeline
from snncc.conversion import recipe as recipes
from snncc.conversion.pipeline import Progress, Record, quiet
from snncc.conversion.recipe import Recipe
from snncc.conversion.sources import model_name, sources
from snncc.data.dataset import Dataset, Preprocessing
from snncc.data.description import described
from snncc.encoding import encode
from snncc.errors import UsageError
from snncc.execute.plan import plan
from snncc.frontend.files.load import load as load_model
from snncc.frontend.inspect import Inspection, inspect
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import Dims, samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.network import Network
from snncc.reports import make
from snncc.reports.attribution import SAMPLES as ATTRIBUTED
from snncc.reports.document import report_of
from snncc.reports.emit import emit as emit
from snncc.simulation.run import Simulation, simulation
from snncc.study import search as auto
from snncc.study.comparison import compare as compare
from snncc.zoo.run import batch as batch

if TYPE_CHECKING:
    import torch

    from snncc.execute.torch.module import SpikingModule
    from snncc.simulation.engines import EngineName

DEFAULT_METHOD = recipes.DEFAULT_METHOD
DEFAULT_TIMESTEPS = 8
#: The targets with unit spikes: a threshold per neuron can't be absorbed through a convolution.
PER_CHANNEL = ("integer", "nir")


def check(model: Path | str | onnx.ModelProto, *, shapes: Mapping[str, Dims] | None = None) -> Inspection:
    """Everything that stands in the way of a conversion, at once. Raises UnreadableModel."""
    source = model if isinstance(model, onnx.ModelProto) else Path(model)
    return inspect(source, shapes, name=model_name(source))


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A finished conversion: the network, its manifest and files, where it was written (None: nowhere), and notes."""

    network: Network
    manifest: Manifest
    files: Mapping[str, bytes]
    seconds: Mapping[str, float]
    path: Path | None
    notes: tuple[str, ...] = ()

    def module(self) -> SpikingModule:
        """The network as a torch module."""
        from snncc.execute.torch.module import SpikingModule

        return SpikingModule(self.network, self.manifest.timesteps)


def convert(
    model: Path | str | onnx.ModelProto,
    *,
    method: str | None = None,
    recipe: Path | str | Recipe | None = None,
    timesteps: int | None = None,
    target: auto.Target | None = None,
    calib: Path | str | Dataset | None = None,
    out: Path | str | None = None,
    granularity: str | None = None,
    levels: int | None = None,
    options: Sequence[tuple[str, str, Any]] = (),
    shapes: Mapping[str, Dims] | None = None,
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
    batch_size: int = 64,
    emit: Target = "torch",
    emit_options: EmitOptions | None = None,
    force: bool = False,
    write: bool = True,
    observe: Callable[[int, str, Network, Record], None] | None = None,
    progress: Progress = quiet,
) -> Converted:
    """Convert an ONNX model into a spiking network and write the bundle NAME.snn/.

    method "auto": T, granularity, levels and method are searched on held-back calibration samples for the `target`,
    `timesteps` being the longest T; the trials stand in report.json. levels: spikes that a neuron may emit at once.
    calib: data (.npz, .npy, image folder or a `Dataset`); by default the .npz beside the model that has its name, else
    synthetic inputs, which the manifest and the report say. timesteps: the design T; by default 8, and for a method
    whose spikes end (qffs, zou) the step after which none fires any more. options: (pass, option, value).
    emit: what is emitted besides the torch module. write=False returns the files without writing them.

    Raises ModelError, RecipeError, DataError, FidelityError, EmitError or BundleError; nothing is then written.
    """
    if timesteps is not None and timesteps < 1:
        raise UsageError(f"the design T must be at least 1, not {timesteps}", cure="give --timesteps 1 or more")
    if method and recipe:
        raise UsageError("a method and a recipe file are given", cure="give one of them")
    searching = method == auto.NAME
    notes: tuple[str, ...] = ()
    if target is not None and not searching:
        raise UsageError("--max-drop and --max-operations are targets of a search", cure="add --method auto")
    if searching and (options or levels):
        raise UsageError("--method auto chooses options and levels", cure="leave --set and --levels out")
    if isinstance(recipe, Recipe):
        chosen = recipe
    elif recipe is not None:
        chosen = recipes.load_recipe(Path(recipe))
    else:
        chosen = recipes.load_method(DEFAULT_METHOD if searching or method is None else method)
    chosen = recipes.with_options(chosen, options)
    whole = emit in PER_CHANNEL or (emit_options is not None and emit_options.integer)
    if whole and not recipe:
        if granularity is None and recipes.granular_passes(chosen):
            granularity, notes = "channel", (f"--emit {emit} without --granularity: one threshold per channel",)
        if (centred := recipes.centred(chosen)) and centred not in [(name, option) for name, option, _ in options]:
            chosen = recipes.without_centres(chosen)
            notes += (f"--emit {emit}: whole spikes only, so {'.'.join(centred)} = 0",)
    if granularity:
        chosen = recipes.with_granularity(chosen, granularity)
    if levels is not None:
        chosen = recipes.with_levels(chosen, levels)

    source = model if isinstance(model, onnx.ModelProto) else Path(model)
    name = model_name(source)
    path = (Path(out) if out else Path(f"{name}.snn")) if write else None
    if path is not None:
        refuse_existing(path, force=force)
    proto = load_model(source)
    prepared = samples_first(proto, shapes)
    network = lowered_network(normalize(prepared))
    truth = Truth(prepared)
    beside = source.with_suffix(".npz") if isinstance(source, Path) else None
    calibration, samples = sources(calib, beside, truth, preprocessing or Preprocessing(), seed)

    began, tried = time.perf_counter(), None
    if searching:
        goal = msgspec.structs.replace(target or auto.Target(), timesteps=timesteps)
        chosen, timesteps, tried = auto.search(
            network,
            truth,
            calibration,
            goal,
            name=name,
            granularity=granularity,
            whole=whole,
            seed=seed,
            progress=progress,
        )
    outcome = pipeline.run(
        network,
        recipes.steps(chosen),
        truth=truth,
        calibration=calibration,
        timesteps=timesteps or DEFAULT_TIMESTEPS,
        seed=seed,
        batch_size=batch_size,
        observe=observe,
        progress=progress,
    )
    if timesteps is None:
        timesteps = (outcome.certificate and outcome.certificate.settled) or DEFAULT_TIMESTEPS
    files, manifest, told = bundle_files(
        outcome,
        proto,
        chosen,
        calibration,
        samples,
        truth,
        name=name,
        timesteps=timesteps,
        seed=seed,
        shapes=shapes or {},
        emit=emit,
        emit_options=emit_options or EmitOptions(),
        search=tried,
        progress=progress,
    )
    seconds = {**outcome.seconds, "total": time.perf_counter() - began}
    if path is not None:
        write_folder(path, {**files, "timings.json": encode(timings(seconds))}, force=force)
    return Converted(
        network=outcome.network, manifest=manifest, files=files, seconds=seconds, path=path, notes=notes + told
    )


def convert_torch(module: torch.nn.Module, example_input: Any, **options: Any) -> Converted:
    """Convert a torch module: it is exported to ONNX in evaluation mode with a free batch axis, then `convert`."""
    from snncc.frontend.files.from_torch import export

    return convert(export(module, example_input), **options)


def load(bundle: Path | str) -> SpikingModule:
    """The network of a bundle as a torch module, built from the network and never by running `model.py`."""
    from snncc.execute.torch.module import SpikingModule

    opened = open_bundle(Path(bundle))
    return SpikingModule(opened.network, opened.manifest.timesteps)


def simulate(
    bundle: Path | str | Bundle | None = None,
    *,
    timesteps: int | None = None,
    data: Path | str | Dataset | None = None,
    engine: EngineName = "torch",
    device: str = "cpu",
    keep: bool = False,
    profile: bool = False,
    early_exit: float | None = None,
    progress: Progress = quiet,
) -> Simulation:
    """Simulate a bundle (the newest *.snn here by default) on data (by default its own samples) beside its ANN.

    keep: write the run's report under runs/ of the bundle, where that can be written. profile: what each layer cost
    (engine="native"). early_exit: the margin by which the first class must lead for a sample to end before T, measured
    beside the run of all steps (see `snncc.simulation.early_exit`).
    """
    from snncc.execute.native.executor import NativeExecutor
    from snncc.execute.torch.engine import Engine
    from snncc.execute.torch.synapses import fan_out
    from snncc.execute.torch.synchronous import QuantisedReference
    from snncc.simulation.early_exit import early_tally, margin_rule
    from snncc.simulation.engines import executor
    from snncc.simulation.paired import PairedExecutor

    if profile and engine != "native":
        raise UsageError(f"--profile measures the native engine, not {engine}", cure="add --engine native")
    opened = opened_bundle(bundle)
    manifest, network, truth = opened.manifest, opened.network, opened.truth()
    steps = manifest.timesteps if timesteps is None else timesteps
    used = data if isinstance(data, Dataset) else opened.data(Path(data), truth) if data else opened.samples(truth)
    batch, piece = plan(network, max(1, steps), len(used))
    rule = None
    if early_exit is not None:
        rule = margin_rule(network, used, margin=early_exit, timesteps=steps, certificate=manifest.certificate)
    runs, connections = executor(engine, opened, device=device, steps=piece), fan_out(network)
    result = simulation(
        network,
        truth,
        used,
        runs,
        batch=batch,
        fan_out=connections,
        timesteps=steps,
        early=None if rule is None else early_tally(rule, runs, connections),
        progress=progress,
        reference=QuantisedReference(Engine(network, device=device if engine == "torch" else "cpu"), piece),
        name=manifest.name,
        method=manifest.method,
        design_timesteps=manifest.timesteps,
        source=used.source if data else manifest.samples.source,
        synthetic=manifest.samples.synthetic and not data,
        device="cpu" if engine == "reference" else device,
        engine=engine,
    )
    if isinstance(runs, PairedExecutor):
        result = msgspec.structs.replace(result, float_snn=runs.summary(result.accuracy, used.labels))
    if keep:
        key = make.run_key(opened, used, timesteps=steps, engine=engine, device=device, early_exit=early_exit)
        write_run(opened.path, key, make.report_files(make.simulation_report(opened, result)))
    if profile and isinstance(runs, NativeExecutor):  # after the report, which holds nothing that a clock has measured
        result = msgspec.structs.replace(result, profile=runs.costs())
    return result


def report(
    bundle: Path | str | Bundle | None = None,
    *,
    timesteps: int | None = None,
    data: Path | str | Dataset | None = None,
    samples: int = ATTRIBUTED,
    rasters: Sequence[str] = (),
    diagnose: bool = False,
    progress: Progress = quiet,
) -> make.Reported:
    """The report of a bundle (the newest *.snn here by default): as `convert` wrote it, or measured anew.

    Another T, other data, rasters or `diagnose` (the loss by layer, on `samples`) are measured and kept under runs/.
    """
    opened = opened_bundle(bundle)
    steps = opened.manifest.timesteps if timesteps is None else timesteps
    if steps == opened.manifest.timesteps and data is None and not rasters and not diagnose:
        return make.Reported(report=report_of(opened), folder=opened.path)
    truth = opened.truth()
    used = data if isinstance(data, Dataset) else opened.data(Path(data), truth) if data else opened.samples(truth)
    about = opened.manifest.samples if data is None else described(used)
    options = make.Options(timesteps=steps, attributed=samples if diagnose else 0, rasters=tuple(rasters))
    return make.later_report(opened, truth, used, about, options, progress)
