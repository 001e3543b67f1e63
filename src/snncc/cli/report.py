# SPDX-License-Identifier: Apache-2.0
"""The commands `report` and `compare`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from snncc.cli.options import (
    JSON,
    MODEL,
    QUIET,
    SHAPE,
    given_or_newest,
    parse_shapes,
    parse_steps,
    preprocessing_options,
)
from snncc.encoding import encode
from snncc.errors import UsageError


@click.command("report")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--timesteps", type=click.IntRange(1, 1 << 20), help="Measure at this T (default: the design T).")
@click.option("--data", type=click.Path(path_type=Path), help="Measure on other data than the bundle's samples.")
@click.option("--raster", "rasters", multiple=True, metavar="LAYER", help="Draw the spikes of this layer. Repeatable.")
@click.option("--diagnose", is_flag=True, help="Put the ANN's values back layer by layer: which one costs how much.")
@click.option(
    "--samples", type=click.IntRange(1), default=128, show_default=True, help="Samples of --diagnose at most."
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@QUIET
@JSON
def report_command(
    bundle: Path | None,
    timesteps: int | None,
    data: Path | None,
    rasters: tuple[str, ...],
    diagnose: bool,
    samples: int,
    show: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Show the report of BUNDLE (default: the newest *.snn here): what was lost, where and why."""
    from snncc import api
    from snncc.bundles.bundle import open_bundle
    from snncc.cli import console, console_report
    from snncc.reports.attribution import layers_of, runs_of
    from snncc.reports.text import short_names

    opened = open_bundle(given_or_newest(bundle))
    layers = layers_of(opened.network)
    named = {short: name for name, short in short_names(layers).items()} | {name: name for name in layers}
    if unknown := sorted(set(rasters) - set(named)):
        raise UsageError(f"there is no layer {unknown[0]!r}", cure="`snncc report` lists the layers of spiking neurons")
    wanted = [named[name] for name in rasters]
    steps = timesteps or opened.manifest.timesteps
    if diagnose and not quiet:
        console.notice(f"--diagnose: {runs_of(opened.network)} simulations of at most {samples} samples at T={steps}")
    began = time.perf_counter()
    with console.progress(quiet or as_json) as tell:
        result = api.report(
            opened, timesteps=timesteps, data=data, samples=samples, rasters=wanted, diagnose=diagnose, progress=tell
        )
    if diagnose and not quiet:
        console.notice(f"--diagnose took {time.perf_counter() - began:.0f} s")
    if as_json:
        console.plain(encode(result.report).decode().rstrip())
    else:
        console_report.show_report(result.report, result.folder, quiet=quiet)
    if show and result.folder is not None:
        click.launch((result.folder / "report.html").resolve().as_uri())


@click.command("compare")
@MODEL
@click.option("--methods", required=True, metavar="A,B,...", help="Methods from `snncc methods`, comma-separated.")
@click.option("--timesteps", default="2,4,8,16,32", show_default=True, metavar="T,T,...", help="The time steps.")
@click.option("--calib", type=click.Path(path_type=Path), help=".npz, .npy or image folder to calibrate on.")
@click.option("--data", type=click.Path(path_type=Path), help="Data to simulate (default: as `convert` keeps it).")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The folder to write (default: ./NAME.compare).")
@SHAPE
@preprocessing_options
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(1, 256), help="Methods at once (default: the number of cores).")
@click.option("--force", is_flag=True, help="Replace an existing folder.")
@QUIET
@JSON
def compare_command(
    model: Path,
    methods: str,
    timesteps: str,
    calib: Path | None,
    data: Path | None,
    out: Path | None,
    shapes: tuple[str, ...],
    preprocessing: Any,
    seed: int,
    jobs: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Convert MODEL by several methods and simulate each at several T: one table, one page."""
    from snncc import api
    from snncc.cli import console, console_report
    from snncc.conversion.sources import model_name

    with console.progress(quiet or as_json) as tell:
        result = api.compare(
            model,
            methods=[name.strip() for name in methods.split(",") if name.strip()],
            timesteps=parse_steps(timesteps),
            calib=calib,
            data=data,
            out=out or Path(f"{model_name(model)}.compare"),
            shapes=parse_shapes(shapes),
            preprocessing=preprocessing,
            seed=seed,
            jobs=jobs,
            force=force,
            progress=tell,
        )
    if as_json:
        console.plain(encode(result.comparison).decode().rstrip())
    else:
        console_report.show_comparison(result.comparison, result.folder)
