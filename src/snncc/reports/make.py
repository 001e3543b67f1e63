# SPDX-License-Identifier: Apache-2.0
"""The reports of `convert`, `simulate` and `report`, as files.

`convert` measures the layers once, on at most 64 samples. `simulate` puts its own curve into that report and renders
it, which costs next to nothing beside the simulation. `report` measures anew when it is asked for another T, other
samples or the diagnosis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from snncc.ann.truth import Truth
from snncc.bundles.bundle import Bundle
from snncc.bundles.manifest import Manifest
from snncc.bundles.output import write_run
from snncc.data.dataset import Dataset
from snncc.data.description import Samples
from snncc.encoding import encode
from snncc.ir.network import Network
from snncc.reports.attribution import attribute
from snncc.reports.document import NoteLine, Report, report_of
from snncc.reports.measure import Progress, affordable, measure
from snncc.reports.page import page
from snncc.reports.summary import concluded, report, with_simulation
from snncc.simulation.run import Simulation


def report_files(made: Report) -> dict[str, bytes]:
    """A report as data and as a page."""
    return {"report.json": encode(made), "report.html": page(made)}


def first_report(
    network: Network,
    manifest: Manifest,
    truth: Truth,
    samples: Dataset,
    about: Samples,
    hashes: Mapping[str, str],
    progress: Progress,
    *,
    timesteps: int | None = None,
    wanted: Sequence[str] = (),
) -> Report:
    """The report that `convert` writes, measured on the first of the samples that `about` describes."""
    steps = timesteps or manifest.timesteps
    used = samples.head(affordable(network, steps, len(samples)))
    findings = measure(
        network,
        truth,
        used,
        name=manifest.name,
        method=manifest.method,
        design=manifest.timesteps,
        timesteps=steps,
        synthetic=about.synthetic,
        source=about.source,
        wanted=wanted,
        progress=progress,
    )
    return report(network, manifest, findings, hashes)


def simulation_report(opened: Bundle, simulation: Simulation) -> Report:
    """The report of a simulation: its curve and energy, and the layers as `convert` measured them."""
    return with_simulation(report_of(opened), opened.network, opened.manifest, simulation)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a report is measured with: T, samples of the attribution (0: none), layers whose spikes are drawn."""

    timesteps: int
    attributed: int = 0
    rasters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A report, and the folder that holds its page (None: it could not be written)."""

    report: Report
    folder: Path | None


def later_report(
    opened: Bundle, truth: Truth, data: Dataset, about: Samples, options: Options, progress: Progress
) -> Reported:
    """A report of a bundle measured anew, kept under runs/."""
    net, manifest, steps = opened.network, opened.manifest, options.timesteps
    made = first_report(
        net, manifest, truth, data, about, manifest.files, progress, timesteps=steps, wanted=options.rasters
    )
    if options.attributed:
        used = data.head(options.attributed)
        found = attribute(net, truth, used, timesteps=steps, progress=progress)
        made = concluded(msgspec.structs.replace(made, attribution=found), manifest)
    key = run_key(opened, data, **asdict(options))
    return Reported(report=made, folder=write_run(opened.path, key, report_files(made)))


def run_key(opened: Bundle, data: Dataset, **options: object) -> str:
    """The name of a run: a hash of the bundle's files, the options and the data."""
    digest = hashlib.sha256(encode([opened.manifest.files, {k: str(v) for k, v in options.items()}]))
    for name, array in sorted(data.inputs.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    if data.labels is not None:
        digest.update(data.labels.tobytes())
    return digest.hexdigest()[:16]


def with_notes(report: Report, target: str, notes: Sequence[str]) -> Report:
    """A bundle's report with what a target changed or left out, in place of what it said before."""
    by = f"emit {target}"
    lines = tuple(NoteLine(kind="approximation", node="", text=note, by=by) for note in notes)
    return msgspec.structs.replace(report, notes=(*(line for line in report.notes if line.by != by), *lines))
