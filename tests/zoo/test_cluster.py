# SPDX-License-Identifier: Apache-2.0
"""A batch on a real Dask cluster of several processes, one of which is killed in the middle."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from zoos import perceptron

import snncc
from snncc.errors import UsageError

pytest.importorskip("distributed")
Process = subprocess.Popen[bytes]


def dask(folder: Path, *words: str) -> Process:
    """A part of the cluster; it says what it does in a log."""
    log = (folder / f"{words[0]}-{time.monotonic_ns()}.log").open("wb")
    program = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(folder / "scheduler.json")]
    with log:
        return subprocess.Popen([*program, "--host", "127.0.0.1", "--no-dashboard"], stdout=log, stderr=log)


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[Process]]]:
    """A scheduler and workers on the loopback interface."""
    processes = [dask(folder, "scheduler", "--port", "0")]
    try:
        worker = ("worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        processes.extend(dask(folder, *worker) for _ in range(workers))
        deadline = time.monotonic() + 60
        while not (folder / "scheduler.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads((folder / "scheduler.json").read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    for i in range(4):
        onnx.save(perceptron(i), zoo / f"net{i}.onnx")
    arguments = ["batch", str(zoo), "--method", "rate", "--timesteps", "4", "--quiet"]
    program = [sys.executable, "-c", "from snncc.cli import main; main()", *arguments]
    out = tmp_path / "cluster"
    with cluster(tmp_path, 2) as (address, (first, _)):
        batch = subprocess.Popen(
            [*program, "--out", str(out), "--backend", "dask", "--address", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 120
            while not list(out.glob("results/net*.log")) and batch.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)  # a model's log appears when its process starts
            first.send_signal(signal.SIGKILL)
            said, _ = batch.communicate(timeout=300)
        finally:
            batch.kill()
            batch.wait()
    assert batch.returncode == 0, said.decode()
    local = tmp_path / "local"
    snncc.batch(zoo, out=local, jobs=1, method="rate", timesteps=4)
    assert (out / "summary.json").read_bytes() == (local / "summary.json").read_bytes()


def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path) -> None:
    onnx.save(perceptron(1), tmp_path / "a.onnx")
    with pytest.raises(UsageError, match=r"dask at tcp://127\.0\.0\.1:9"):
        snncc.batch(tmp_path / "a.onnx", out=tmp_path / "out", backend="dask", address="tcp://127.0.0.1:9")
