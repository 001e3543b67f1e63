# SPDX-License-Identifier: Apache-2.0
"""What the process of one model does: convert, measure, and keep the result in the model's state file."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import onnx
from onnx.external_data_helper import uses_external_data

from snncc.bundles.bundle import open_bundle
from snncc.bundles.output import locked
from snncc.conversion.request import AUTO
from snncc.errors import BundleError, SnnccError
from snncc.reports.document import report_of
from snncc.zoo.plan import Job
from snncc.zoo.results import Failure, Result, State, failed, file_sha256, finished, key_of, measured, write_state

GIB = 1 << 30
#: Gives `snncc.convert` and `snncc.simulate`, imported within the limits of the job by the program that runs this.
Verbs = Callable[[], tuple[Callable[..., Any], Callable[..., Any]]]
OUT_OF_MEMORY = ("allocate memory", "bad_alloc", "bad allocation", "out of memory")


def limit_memory(gib: float) -> None:
    """Let allocations beyond the limit fail (Linux: private writable memory; mapped libraries do not count)."""
    limit = int(gib * GIB)
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
        resource.setrlimit(kind, (limit, limit))


def external_files(model: Path) -> dict[str, str]:
    """The external data of a model, by name relative to it, with hashes. The model has been read safely before."""
    if model.suffix.lower() != ".onnx":
        return {}
    found = onnx.load(model, load_external_data=False)
    tensors = [*found.graph.initializer]
    for node in found.graph.node:
        tensors += [a.t for a in node.attribute if a.HasField("t")]
    places = {e.value for t in tensors if uses_external_data(t) for e in t.external_data if e.key == "location"}
    return {place: file_sha256(model.parent / place) for place in sorted(places)}


def converted(job: Job, out: Path, verbs: Verbs) -> Result:
    """Convert and measure one model; raises SnnccError."""
    convert, simulate = verbs()
    bundle = out / f"{job.name}.snn"
    convert(
        Path(job.model),
        recipe=job.recipe if job.search is None else None,
        method=None if job.search is None else AUTO,
        target=job.search,
        granularity=job.granularity,
        timesteps=job.timesteps,
        calib=job.calib,
        out=bundle,
        shapes=job.shapes,
        preprocessing=job.preprocessing,
        seed=job.seed,
        force=True,
    )
    opened = open_bundle(bundle)
    report = report_of(opened)
    found = report.simulation
    if job.data is not None or opened.manifest.samples.labelled:  # else the report has measured all there is to know
        found = simulate(opened, data=job.data)
    return measured(job, opened, report, found)


def outcome(job: Job, out: Path, verbs: Verbs) -> Result:
    """The result of one model, whatever happens short of the death of this process."""
    try:
        return converted(job, out, verbs)
    except SnnccError as error:
        short = any(text in str(error).lower() for text in OUT_OF_MEMORY)  # said by onnxruntime, for one
        return failed(job, memory_failure(job) if short else error)
    except MemoryError:
        return failed(job, memory_failure(job))
    except Exception as error:  # noqa: BLE001  (a bug in snncc must not stop the batch; it is reported as one)
        traceback.print_exc()
        if any(text in str(error) for text in OUT_OF_MEMORY):
            return failed(job, memory_failure(job))
        what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        return failed(
            job, Failure(kind="Crash", message=what, cure="this is a bug in snncc; please report it", exit_code=70)
        )


def memory_failure(job: Job) -> Failure:
    """The failure of a model that needs more memory than it may have."""
    return Failure(
        kind="MemoryLimit", message=f"needs more than {job.memory_limit:g} GiB of memory", cure="raise --memory-limit"
    )


def work(job: Job, out: Path, verbs: Verbs) -> None:
    """Run a job unless it is finished, and keep its state. Raises BundleError when that cannot be written."""
    with locked(out / "results" / job.name, wait=job.time_limit):  # another process may be at it: see what it makes
        key, began = key_of(job), time.perf_counter()
        if finished(out, job, key) is not None:
            return
        result = outcome(job, out, verbs)
        state = State(
            key=key,
            external=external_files(Path(job.model)) if result.status == "converted" else {},
            result=result,
            seconds=round(time.perf_counter() - began, 3),
            peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
        try:
            write_state(out, state)
        except OSError as error:
            raise BundleError(
                f"cannot write {job.name}: {error.strerror}", cure="check space and permissions"
            ) from None


def run(line: bytes, out: str, verbs: Verbs) -> int:
    """Run the job in a line of JSON with the verbs of `snncc`; the exit status."""
    job = msgspec.json.decode(line, type=Job)
    limit_memory(job.memory_limit)
    try:
        work(job, Path(out), verbs)
    except SnnccError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0
