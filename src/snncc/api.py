# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline on one screen: check, convert, load, simulate, report. The command line only renders it."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import msgspec
import onnx
import torch

from snncc.bundles.assemble import contents, first_manifest, hashes, timings
from snncc.bundles.bundle import Bundle, open_bundle, opened_bundle
from snncc.bundles.manifest import Manifest, with_files
from snncc.bundles.output import refuse_existing, write_folder, write_run
from snncc.bundles.targets import UNIT_SPIKES, EmitOptions, Emitter, Source, emit_all, refuse_target
from snncc.conversion import pipeline
from snncc.conversion import recipe as recipes
from snncc.conversion.request import AUTO, Asked, Progress, Request, chosen_recipe, quiet, resolved, subject
from snncc.conversion.sources import model_name
from snncc.data.dataset import Dataset
from snncc.data.description import described
from snncc.encoding import encode
from snncc.errors import UsageError
from snncc.execute.native.executor import NativeExecutor
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.module import SpikingModule
from snncc.execute.torch.synapses import fan_out
from snncc.execute.torch.synchronous import QuantisedReference
from snncc.frontend import inspect as inspection
from snncc.frontend.files import from_torch
from snncc.frontend.normal.samples import Dims
from snncc.ir.network import Network
from snncc.reports import make
from snncc.reports.attribution import SAMPLES as ATTRIBUTED
from snncc.reports.document import report_of
from snncc.reports.emit import emit as emit
from snncc.reports.trials import Search
from snncc.simulation.early_exit import early_tally, margin_rule
from snncc.simulation.engines import EngineName, executor
from snncc.simulation.paired import PairedExecutor
from snncc.simulation.run import Simulation, simulation
from snncc.study.comparison import compare as compare
from snncc.study.search import search
from snncc.training.run import finetune as finetune
from snncc.zoo.run import batch as batch

DEFAULT_METHOD = recipes.DEFAULT_METHOD
Model = Path | str | onnx.ModelProto
P = ParamSpec("P")


def check(model: Model, *, shapes: Mapping[str, Dims] | None = None) -> inspection.Inspection:
    """Everything that stands in the way of a conversion, at once. Raises UnreadableModel."""
    source = model if isinstance(model, onnx.ModelProto) else Path(model)
    return inspection.inspect(source, shapes, name=model_name(source))


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
        return SpikingModule(self.network, self.manifest.timesteps)


@dataclass(frozen=True, kw_only=True)
class Options(Asked):
    """The keywords of `convert`: those of `Asked`, what is emitted, and where the bundle goes.

    out: the bundle to write, by default NAME.snn here; force: one that exists is replaced. write=False: nothing is
    written. emit: what is emitted besides the torch module; targets: a user's own, by name.
    observe(index, pass, network, record) sees every pass.
    """

    out: Path | str | None = None
    emit: str = "torch"
    emit_options: EmitOptions | None = None
    force: bool = False
    write: bool = True
    observe: pipeline.Observer | None = None
    targets: Mapping[str, Emitter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a target that does not exist, too."""
        super().__post_init__()
        refuse_target(self.emit, self.targets)

    @property
    def whole(self) -> str | None:
        """The target that asks for whole spikes."""
        unit = self.emit in UNIT_SPIKES or (self.emit_options is not None and self.emit_options.integer)
        return self.emit if unit else None


def taking(
    options: Callable[P, Options],
) -> Callable[[Callable[[Model, Options], Converted]], Callable[Concatenate[Model, P], Converted]]:
    """A verb whose keywords are the fields of `options`."""

    def declare(verb: Callable[[Model, Options], Converted]) -> Callable[Concatenate[Model, P], Converted]:
        def called(model: Model, *args: P.args, **keywords: P.kwargs) -> Converted:
            return verb(model, options(*args, **keywords))

        own, fields = inspect.signature(verb), inspect.signature(options)
        parameters = [own.parameters["model"], *fields.parameters.values()]
        functools.update_wrapper(called, verb)
        called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return called  # type: ignore[return-value]  # `model` may be given by name too

    return declare


@taking(Options)
def convert(model: Model, asked: Options) -> Converted:
    """Convert an ONNX model into a spiking network and write the bundle NAME.snn/.

    method or recipe says how, with options (pass, option, value), granularity and levels (spikes that a neuron may emit
    at once); method "auto" searches all that and T for the `target`, `timesteps` being the longest T. calib: data
    (.npz, .npy, image folder or a `Dataset`); by default the .npz beside the model that has its name, else synthetic
    inputs, which manifest and report say. timesteps: the design T; by default 8, and for a method whose spikes end
    (qffs, zou) the step after which none fires any more. emit: what is emitted besides the torch module.
    write=False returns the files without writing them. passes, lowerings and targets of your own: docs/extend.md.
    See `Options` for the rest.

    Raises ModelError, RecipeError, DataError, FidelityError, EmitError or BundleError; nothing is then written.
    """
    recipe, notes = chosen_recipe(asked, whole=asked.whole)
    source = model if isinstance(model, onnx.ModelProto) else Path(model)
    path = Path(asked.out or f"{model_name(source)}.snn") if asked.write else None
    if path is not None:
        refuse_existing(path, force=asked.force)
    given, began = subject(source, asked), time.perf_counter()
    timesteps, tried = asked.timesteps, None
    if asked.method == AUTO:
        recipe, timesteps, tried = search(given, asked, whole=asked.whole is not None)
    request = resolved(given, recipe, asked, timesteps)
    outcome = pipeline.run(request, observe=asked.observe, progress=asked.progress)
    manifest, files, told = bundle_files(request, outcome, asked, tried)
    seconds = {**outcome.seconds, "total": time.perf_counter() - began}
    if path is not None:
        written = {**files, "timings.json": encode(timings(seconds))}
        write_folder(path, written, force=asked.force)
    return Converted(
        network=outcome.network, manifest=manifest, files=files, seconds=seconds, path=path, notes=notes + told
    )


def bundle_files(
    request: Request, outcome: pipeline.Outcome, asked: Options, tried: Search | None
) -> tuple[Manifest, dict[str, bytes], tuple[str, ...]]:
    """The manifest of a finished conversion, the bytes of every hashed file of its bundle, and the target's notes."""
    given, network = request.subject, outcome.network
    source = Source(
        network=network,
        name=given.name,
        method=request.recipe.name,
        timesteps=request.timesteps,
        samples=given.samples,
        truth=given.truth,
        calibration=given.calibration,
    )
    made = emit_all(("torch", asked.emit), source, asked.emit_options or EmitOptions(), asked.targets)
    files, manifest = {**contents(given, network), **made.files}, first_manifest(request, outcome)
    about = manifest.samples
    report = make.first_report(network, manifest, given.truth, given.samples, about, hashes(files), asked.progress)
    report = make.with_notes(report, asked.emit, made.notes)
    files |= make.report_files(msgspec.structs.replace(report, search=tried, integer=made.integer))
    manifest = with_files(manifest, hashes(files))
    return manifest, {**files, "manifest.json": encode(manifest)}, made.notes


def convert_torch(module: torch.nn.Module, example_input: Any, **options: Any) -> Converted:
    """Convert a torch module: it is exported to ONNX in evaluation mode with a free batch axis, then `convert`."""
    return convert(from_torch.export(module, example_input), **options)


def load(bundle: Path | str) -> SpikingModule:
    """The network of a bundle as a torch module, built from the network and never by running `model.py`."""
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
    if profile and engine != "native":
        raise UsageError(f"--profile measures the native engine, not {engine}", cure="add --engine native")
    opened = opened_bundle(bundle)
    manifest, network, truth = opened.manifest, opened.network, opened.truth()
    steps = manifest.timesteps if timesteps is None else timesteps
    used = opened.data(data, truth)
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
    used = opened.data(data, truth)
    about = opened.manifest.samples if data is None else described(used)
    options = make.Options(timesteps=steps, attributed=samples if diagnose else 0, rasters=tuple(rasters))
    return make.later_report(opened, truth, used, about, options, progress)
