# SPDX-License-Identifier: Apache-2.0
"""What a batch found out: the state of each model on disk, and whether what was done still holds."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec

from snncc.bundles import manifest as manifests
from snncc.bundles.bundle import Bundle
from snncc.bundles.output import replace_file
from snncc.encoding import encode, sha256
from snncc.errors import SnnccError
from snncc.reports.document import Report
from snncc.simulation.run import Simulation
from snncc.zoo.plan import Gates, Job

SCHEMA = "snncc/batch/1"
FOLDER = "results"
#: Refusals that another run on the same files could only repeat. What could not be read may lack a second file.
LASTING = frozenset({"UnsupportedModel", "RecipeError", "DataError", "CalibrationError", "FidelityError"})


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a model was not converted: an error of snncc by its class, or TimeLimit, MemoryLimit or Crash."""

    kind: str
    message: str
    cure: str | None = None
    exit_code: int = 1


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One model. Fractions 0 ... 1; None: not measured.

    metric: "accuracy" with labels, else "agreement" with the ANN (whose own value is then 1). drop: the ANN's value
    minus the SNN's at the design T. within_one_point: the first T measured from which on the drop is at most 0.01.
    spiking: the share of multiply-accumulates that spikes feed. levels: the spikes per step that a search chose.
    """

    name: str
    model: str
    method: str
    status: Literal["converted", "failed"]
    failure: Failure | None = None
    timesteps: int | None = None
    levels: int | None = None
    metric: Literal["accuracy", "agreement"] | None = None
    ann: float | None = None
    value: float | None = None
    drop: float | None = None
    error: float | None = None
    within_one_point: int | None = None
    samples: int | None = None
    synthetic: bool | None = None
    spiking: float | None = None
    firing_rate: float | None = None
    synaptic_operations: float | None = None
    approximations: int | None = None
    bundle: str | None = None
    bundle_sha256: str | None = None


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`results/NAME.json`: a result, the hash of everything it came from, and what belongs in no summary."""

    schema: str = SCHEMA
    key: str
    external: dict[str, str] = {}
    result: Result
    seconds: float
    peak_bytes: int | None = None


def file_sha256(path: Path) -> str:
    """The hash of a file, or of a folder's files by name; "absent" where there is none."""
    digest = hashlib.sha256()
    if path.is_dir():
        for part in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{part.relative_to(path).as_posix()} {file_sha256(part)}\n".encode(errors="surrogatepass"))
        return digest.hexdigest()
    try:
        status = path.stat()
        return _content_sha256(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return "absent"


@functools.lru_cache(maxsize=1 << 14)
def _content_sha256(path: Path, changed: int, size: int) -> str:
    """The hash of a file; one that many models share is read once."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def key_of(job: Job) -> str:
    """The hash of all that a result depends on: the contents of the files, the recipe, the options, the versions."""
    data = {
        kind: None if place is None else (Path(place).name, file_sha256(Path(place)))
        for kind, place in (("model", job.model), ("calib", job.calib), ("data", job.data))
    }
    chosen = [job.name, job.recipe, job.search, job.granularity]
    chosen += [job.timesteps, job.shapes, job.preprocessing, job.seed]
    return sha256(encode([SCHEMA, manifests.versions(), data, chosen]))


def state_path(out: Path, name: str) -> Path:
    """Where the state of a model lies."""
    return out / FOLDER / f"{name}.json"


def write_state(out: Path, state: State) -> None:
    """Keep a state; raises OSError."""
    path = state_path(out, state.result.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, encode(state))


def read_state(out: Path, name: str) -> State | None:
    """The state of a model, if there is one that can be read."""
    try:
        return msgspec.json.decode(state_path(out, name).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None


def finished(out: Path, job: Job, key: str) -> State | None:
    """The state of a job that need not run again: same content, and its bundle is the one that was written."""
    state = read_state(out, job.name)
    if state is None or state.key != key:
        return None
    if any(file_sha256(Path(job.model).parent / name) != sha for name, sha in state.external.items()):
        return None
    result = state.result
    if result.failure is not None:
        return state if result.failure.kind in LASTING else None
    return state if intact(out, result) else None


def intact(out: Path, result: Result) -> bool:
    """Whether the bundle of a result is there as it was written."""
    if result.bundle is None or file_sha256(out / result.bundle / "manifest.json") != result.bundle_sha256:
        return False
    files = manifests.decode((out / result.bundle / "manifest.json").read_bytes()).files
    return all(file_sha256(out / result.bundle / name) == sha for name, sha in files.items())


def failed(job: Job, error: SnnccError | Failure) -> Result:
    """The result of a model that was not converted. Messages name files without their folders."""
    if isinstance(error, Failure):
        failure = error
    else:
        message = error.message
        for place in (job.model, job.calib, job.data):
            message = message if place is None else message.replace(place, Path(place).name)
        failure = Failure(kind=type(error).__name__, message=message, cure=error.cure, exit_code=error.exit_code)
    return Result(name=job.name, model=job.title, method=job.method, status="failed", failure=failure)


def of_first_output(value: Any, output: str) -> Any:
    """A measured quantity of the first output, whether there is one output or several."""
    return value[output] if isinstance(value, dict) and output in value else value


def measured(job: Job, opened: Bundle, report: Report, found: Simulation) -> Result:
    """The result of a converted model."""
    trials = report.search.trials if report.search is not None else ()
    manifest, output = opened.manifest, opened.network.outputs[0]
    accuracy, last = of_first_output(found.accuracy, output), str(found.timesteps)
    agreement, error = of_first_output(found.agreement, output), of_first_output(found.error, output)
    curve = agreement if accuracy is None else accuracy
    ann = 1.0 if accuracy is None else float(of_first_output(found.ann_accuracy, output))
    return Result(
        name=job.name,
        model=job.title,
        method=manifest.method,
        status="converted",
        timesteps=found.timesteps,
        levels=next((trial.levels for trial in trials if trial.chosen), None),
        metric="agreement" if accuracy is None else "accuracy",
        ann=ann,
        value=curve[last],
        drop=ann - curve[last],
        error=error[last],
        within_one_point=found.within_one_point,
        samples=found.samples,
        synthetic=found.synthetic,
        spiking=report.operations.get("spikes"),
        firing_rate=found.firing_rate,
        synaptic_operations=found.synaptic_operations,
        approximations=sum(n.kind == "approximation" for r in manifest.records for n in r.notes),
        bundle=f"{job.name}.snn",
        bundle_sha256=file_sha256(opened.path / "manifest.json"),
    )


Gate = Literal["converts", "max_drop", "min_accuracy", "max_t"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A gate: what was asked, what was measured, and whether it holds."""

    gate: Gate
    limit: float | None
    value: float | None
    passed: bool
    reason: str | None = None


def verdicts(result: Result, gates: Gates, *, allow_failures: bool) -> tuple[Verdict, ...]:
    """The gates of a model. What was not measured does not pass."""
    converted = result.status == "converted"
    reason = None if result.failure is None else result.failure.message
    found = [Verdict(gate="converts", limit=None, value=None, passed=converted, reason=reason)] * (not allow_failures)

    def gate(name: Gate, limit: float | None, value: float | None, sign: int, words: str) -> None:
        """A gate that is asked for: `value` at most `limit` (sign 1) or at least (sign -1)."""
        if limit is not None:
            passed = value is not None and sign * value <= sign * limit + 1e-12
            said = None if passed else words if converted else "not converted"
            found.append(Verdict(gate=name, limit=limit, value=value, passed=passed, reason=said))

    drop, first = result.drop, result.within_one_point
    accuracy = result.value if result.metric == "accuracy" else None
    lost = "not converted" if drop is None else f"loses {drop:.4f} of {result.metric}"
    reached = "no labels to measure accuracy on" if accuracy is None else f"accuracy {accuracy:.4f}"
    since = "not within one point of the ANN" if first is None else f"only from T={first} on"
    gate("max_drop", gates.max_drop, drop, 1, lost)
    gate("min_accuracy", gates.min_accuracy, accuracy, -1, reached)
    gate("max_t", gates.max_t, first, 1, since)
    return tuple(found)


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a summary."""

    result: Result
    gates: tuple[Verdict, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch gave: the same for the same models, data, recipes and versions; seconds lie in timings.json."""

    schema: str = SCHEMA
    version: str
    models: int
    converted: int
    failed: int
    gates_failed: int
    passed: bool
    entries: tuple[ModelEntry, ...]
