# SPDX-License-Identifier: Apache-2.0
"""Starting the process of one model, on this machine or on a worker of a cluster, and what its end means."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from snncc.errors import BundleError
from snncc.names import safe_name
from snncc.zoo.plan import Job
from snncc.zoo.results import FOLDER, Failure, State, failed, key_of, read_state, write_state
from snncc.zoo.worker import OUT_OF_MEMORY, memory_failure

#: One thread per model: the numbers then depend neither on --jobs nor on the machine's cores.
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
TAIL = 1 << 14
#: What one process runs: a program above this room, started by its name.
PROGRAM = "snncc.cli.job"
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def stop_all() -> None:
    """End the processes that this one has started."""
    with _lock:
        for process in _running:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def log_path(out: Path, name: str) -> Path:
    """What the process of a model said."""
    return out / FOLDER / f"{name}.log"


def run_process(job: Job, out: Path) -> int | None:
    """Run the process of a job to its end: its exit status, negative for a signal, None when the time was up."""
    command = [sys.executable, "-m", PROGRAM, str(out)]
    with log_path(out, job.name).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **THREADS},
            start_new_session=True,  # Ctrl-C reaches the parent, which ends its children
        )
    with _lock:
        _running.add(process)
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it died at once; the exit status tells
                process.stdin.write(msgspec.json.encode(job) + b"\n")
                process.stdin.flush()
        return process.wait(timeout=job.time_limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        kill(process)
        process.wait()
        with _lock:
            _running.discard(process)
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def ended(job: Job, status: int | None, log: Path) -> Failure:
    """Why a process ended without a result."""
    if status is None:
        limit = f"took longer than {job.time_limit:g} s"
        return Failure(kind="TimeLimit", message=limit, cure="raise --time-limit, or convert it alone")
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL))
        said = stream.read().decode(errors="replace")
    if "MemoryError" in said or any(text in said.lower() for text in OUT_OF_MEMORY):
        return memory_failure(job)
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    last = said.strip().splitlines()[-1:] if status > 0 else []
    words = "; ".join([f"its process ended by {how}", *map(safe_name, last)])
    return Failure(kind="Crash", message=words, cure=f"see {FOLDER}/{log.name}; raise --memory-limit if it was killed")


def isolated(job_bytes: bytes, out_folder: str) -> bytes:
    """Convert one model in a process of its own: the state that is then on disk. Picklable, for clusters."""
    job, out = msgspec.json.decode(job_bytes, type=Job), Path(out_folder)
    began = time.perf_counter()
    log = log_path(out, job.name)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        status = run_process(job, out)
        state = read_state(out, job.name) if status == 0 else None
        if state is None:
            result, seconds = failed(job, ended(job, status, log)), round(time.perf_counter() - began, 3)
            state = State(key=key_of(job), result=result, seconds=seconds)
            write_state(out, state)
        if not log.stat().st_size:
            log.unlink()
    except OSError as error:
        raise BundleError(f"cannot write {out.name}: {error.strerror}", cure="check space and permissions") from None
    return msgspec.json.encode(state)
