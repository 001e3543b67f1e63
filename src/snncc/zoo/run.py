# SPDX-License-Identifier: Apache-2.0
"""`batch`: run the jobs on an engine, skip what is done, and write what all of them gave."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from snncc import __version__
from snncc.bundles.output import locked, replace_file
from snncc.conversion.request import Progress, quiet
from snncc.encoding import encode
from snncc.errors import BundleError
from snncc.zoo.engines import PATIENCE, Backend, engine, without_address
from snncc.zoo.pages import csv_table, index_page, junit
from snncc.zoo.plan import Job, given_choices, plan
from snncc.zoo.results import FOLDER, SCHEMA, ModelEntry, Result, State, Summary, finished, key_of, verdicts

MARKER = ".batch.json"
Finished = Callable[[Result, int, int, bool], None]


def silent(result: Result, done: int, total: int, skipped: bool) -> None:
    """Say nothing about a model that is finished."""


def summary(jobs: Sequence[Job], states: Mapping[str, State], *, allow_failures: bool) -> Summary:
    """What all of them gave, in the order of the jobs."""
    entries = []
    for job in jobs:
        result = states[job.name].result
        gates = verdicts(result, job.gates, allow_failures=allow_failures)
        entries.append(ModelEntry(result=result, gates=gates))
    converted = sum(e.result.status == "converted" for e in entries)
    missed = sum(not gate.passed for e in entries for gate in e.gates)
    return Summary(
        version=__version__,
        models=len(entries),
        converted=converted,
        failed=len(entries) - converted,
        gates_failed=missed,
        passed=missed == 0,
        entries=tuple(entries),
    )


def document(found: Summary) -> dict[str, Any]:
    """`summary.json`: the counts, and each model with its gates."""
    plain: dict[str, Any] = msgspec.to_builtins(found)
    models = [{**entry["result"], "gates": entry["gates"]} for entry in plain.pop("entries")]
    return {**plain, "total": plain["models"], "models": models}


def timings(jobs: Sequence[Job], states: Mapping[str, State]) -> dict[str, Any]:
    """Seconds and memory, which no summary holds."""
    found = [states[job.name] for job in jobs]
    models = {s.result.name: {"seconds": s.seconds, "peak_bytes": s.peak_bytes} for s in found}
    return {"models": models, "seconds": sum(s.seconds for s in found)}


def claim(out: Path, *, force: bool) -> None:
    """Make sure that `out` is new or a batch's folder. Raises BundleError; call it with the lock held."""
    marker = out / FOLDER / MARKER
    if not force and not marker.is_file() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(
            f"{out.name} exists and is not the output of a batch", cure="choose another --out, or --force"
        )
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        replace_file(marker, encode({"schema": SCHEMA}))
    except OSError as error:
        raise BundleError(f"cannot write {out.name}: {error.strerror}", cure="choose another --out") from None


def batch(
    sources: Sequence[Path | str] | Path | str,
    *,
    out: Path | str,
    jobs: int | None = None,
    backend: Backend = "local",
    address: str | None = None,
    allow_failures: bool = False,
    force: bool = False,
    progress: Progress = quiet,
    told: Finished = silent,
    **choices: Any,
) -> Summary:
    """Convert and measure every model of a folder, glob or TOML manifest, each in a process of its own.

    choices: method, recipe, options, granularity, timesteps, calib, data, seed, time_limit (s), memory_limit (GiB),
    max_drop, min_accuracy, max_t; an entry of a manifest goes before them. What is done already, by the contents of
    model, data and recipe, is skipped unless `force`. backend "dask" or "ray": on the cluster at `address`, whose
    machines see the same files. Writes the bundles, summary.json, summary.csv, junit.xml, index.html, timings.json.

    Raises UsageError, RecipeError or BundleError for the request; a model that fails is a result.
    """
    if backend != "local" and address is None:
        raise without_address(backend)
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    folder = Path(out).absolute()
    todo = plan(given, given_choices(choices), folder)
    workers = jobs or os.cpu_count() or 1
    with locked(folder, wait=PATIENCE):
        claim(folder, force=force)
        states: dict[str, State] = {}
        for job in todo:
            if force:
                (folder / FOLDER / f"{job.name}.json").unlink(missing_ok=True)
            elif (state := finished(folder, job, key_of(job))) is not None:
                states[job.name] = state
                told(state.result, len(states), len(todo), True)
        waiting = [job for job in todo if job.name not in states]
        progress("models", len(states), len(todo))
        if waiting:
            with engine(backend, address or "", workers) as states_of:
                for data in states_of([(msgspec.json.encode(job), str(folder)) for job in waiting]):
                    state = msgspec.json.decode(data, type=State)
                    states[state.result.name] = state
                    progress("models", len(states), len(todo))
                    told(state.result, len(states), len(todo), False)
        found = summary(todo, states, allow_failures=allow_failures)
        write_results(folder, found, timings(todo, states))
    return found


def write_results(folder: Path, found: Summary, seconds: dict[str, Any]) -> None:
    """The files of a batch beside its bundles. Raises BundleError."""
    files = {
        "timings.json": encode(seconds),
        "summary.csv": csv_table(found),
        "junit.xml": junit(found),
        "index.html": index_page(found),
        "summary.json": encode(document(found)),  # last: it says that the batch is complete
    }
    try:
        for name, data in files.items():
            replace_file(folder / name, data)
    except OSError as error:
        raise BundleError(f"cannot write {folder.name}: {error.strerror}", cure="check space") from None
