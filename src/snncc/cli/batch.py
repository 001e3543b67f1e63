# SPDX-License-Identifier: Apache-2.0
"""The command `batch`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snncc.cli.options import JSON, QUIET, parse_setting
from snncc.encoding import encode

if TYPE_CHECKING:
    from snncc.zoo.results import Result

PATH = click.Path(path_type=Path)


@click.command("batch")
@click.argument("sources", metavar="ZOO_OR_MANIFEST...", nargs=-1, required=True)
@click.option("-o", "--out", type=PATH, required=True, help="The folder to write; one that exists is resumed.")
@click.option("--method", help="A method from `snncc methods`, or auto (default: that of `convert`).")
@click.option("--recipe", type=PATH, help="A recipe file of your own (TOML).")
@click.option("--timesteps", type=click.IntRange(1, 1 << 20), help="The design T; with --method auto the longest.")
@click.option("--granularity", type=click.Choice(["layer", "channel", "neuron"]), help="What shares one threshold.")
@click.option("--set", "settings", multiple=True, metavar="PASS.OPTION=VALUE", help="Set a pass option. Repeatable.")
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), help="Default: 0.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Models at once (default: the number of cores).")
@click.option("--max-drop", type=click.FloatRange(0, 1), help="Gate: what a model may lose, e.g. 0.01 for a point.")
@click.option("--min-accuracy", type=click.FloatRange(0, 1), help="Gate: the least accuracy, a fraction.")
@click.option("--max-t", type=click.IntRange(1), help="Gate: T at which a model must be within 1 point of its ANN.")
@click.option("--allow-failures", is_flag=True, help="A model that does not convert is no failed gate.")
@click.option("--time-limit", type=click.FloatRange(0, 1e7, min_open=True), help="Seconds per model (default: 3600).")
@click.option("--memory-limit", type=click.FloatRange(0, 1e6, min_open=True), help="GiB per model (default: 8).")
@click.option("--backend", type=click.Choice(["local", "dask", "ray"]), default="local", show_default=True)
@click.option("--address", help="The scheduler of a running cluster, e.g. tcp://127.0.0.1:8786.")
@click.option("--force", is_flag=True, help="Convert everything anew, also into a folder that is not a batch's.")
@QUIET
@JSON
def batch_command(
    sources: tuple[str, ...],
    out: Path,
    settings: tuple[str, ...],
    recipe: Path | None,
    quiet: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Convert and measure many models: a folder, files, globs, or a TOML manifest.

    Each model runs in a process of its own; a failure never stops the rest. Run it again to resume: what is done is
    skipped. Exit code 1 if a gate is not met.
    """
    from snncc.cli import console
    from snncc.zoo import pages, run

    options: dict[str, dict[str, Any]] = {}
    for use, option, value in map(parse_setting, settings):
        options.setdefault(use, {})[option] = value
    began, first = time.monotonic(), [0]

    def told(result: Result, done: int, total: int, skipped: bool) -> None:
        if skipped:
            first[0] = done
        if not quiet and not as_json:
            rate = (time.monotonic() - began) / max(1, done - first[0])
            left = "" if skipped or done == total else f", about {rate * (total - done):.0f} s left"
            words = "done before" if skipped else result.failure.kind if result.failure else "converted"
            console.say(f"[{done}/{total}] {result.name}: {words}{left}")

    with console.progress(quiet or as_json) as tell:
        found = run.batch(
            sources,
            out=out,
            progress=tell,
            told=told,
            recipe=None if recipe is None else str(recipe.absolute()),
            options=options,
            **choices,
        )
    if as_json:
        console.plain(encode(run.document(found)).decode().rstrip())
    else:
        console.show_cells(
            "Models", pages.table(found), ("model", "T", "ANN", "SNN", "drop", "within 1 from", "result")
        )
        for remark in pages.remarks(found):
            console.notice(remark)
        console.say(pages.verdict(found))
        console.say(f"wrote {out}, the page is {out / 'index.html'}")
    if not found.passed:
        sys.exit(1)
