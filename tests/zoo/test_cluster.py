# SPDX-License-Identifier: Apache-2.0
"""A batch on real clusters of several processes, Dask's and Ray's, with a worker killed in the middle."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from zoos import perceptron, processes_of

import snncc
from snncc.errors import UsageError

Process = subprocess.Popen[bytes]
BACKENDS = ("dask", "ray")


def require(backend: str) -> None:
    if importlib.util.find_spec("distributed" if backend == "dask" else "ray") is None:
        pytest.skip(f'{backend} is not installed: pip install "snncc[{backend}]"')


def started(folder: Path, *program: str, **variables: str) -> Process:
    """A part of a cluster; it says what it does in a log."""
    with (folder / f"{time.monotonic_ns()}.log").open("wb") as log:
        environment = {**os.environ, **variables}
        return subprocess.Popen([sys.executable, *program], stdout=log, stderr=log, env=environment)


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 90
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"no {path.name}: the cluster does not start"
        time.sleep(0.1)
    return path.read_text()


@contextlib.contextmanager
def cluster(backend: str, folder: Path) -> Iterator[str]:
    """A scheduler and two workers on this machine."""
    processes, sockets = [], Path(tempfile.mkdtemp(prefix="ray-"))  # the paths of sockets must be short
    try:
        if backend == "dask":
            common = ("--scheduler-file", str(folder / "scheduler.json"), "--host", "127.0.0.1", "--no-dashboard")
            processes.append(started(folder, "-m", "dask", "scheduler", "--port", "0", *common))
            worker = ("worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
            processes.extend(started(folder, "-m", "dask", *worker, *common) for _ in range(2))
            yield json.loads(wait_for(folder / "scheduler.json"))["address"]
        else:
            head = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
            options = ("--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats", "--port", "0")
            options = ("--node-ip-address", "127.0.0.1", "--temp-dir", str(sockets), *options)
            processes.append(
                started(folder, "-c", head, "start", "--head", "--block", *options, RAY_worker_niceness="0")
            )
            yield wait_for(sockets / "ray_current_cluster")
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM if backend == "ray" else signal.SIGKILL)  # Ray ends its own parts
            process.wait(30)
        shutil.rmtree(sockets, ignore_errors=True)


def worker_of(process: int) -> int:
    """The process that started another."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_worker_changes_nothing(tmp_path: Path, backend: str) -> None:
    require(backend)
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    for i in range(4):
        onnx.save(perceptron(i), zoo / f"net{i}.onnx")
    arguments = ["batch", str(zoo), "--method", "rate", "--timesteps", "4", "--quiet"]
    program = [sys.executable, "-c", "from snncc.cli import main; main()", *arguments]
    out = tmp_path / "cluster"
    with cluster(backend, tmp_path) as address:
        batch = subprocess.Popen(
            [*program, "--out", str(out), "--backend", backend, "--address", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline, killed = time.monotonic() + 120, 0
            while not killed and batch.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(IndexError, FileNotFoundError):  # not yet, or no longer
                    killed = worker_of(processes_of(out)[0])
                time.sleep(0.02)
            assert killed, batch.communicate(timeout=10)
            os.kill(killed, signal.SIGKILL)
            said, _ = batch.communicate(timeout=300)
        finally:
            batch.kill()
            batch.wait()
    assert batch.returncode == 0, said.decode()
    local = tmp_path / "local"
    snncc.batch(zoo, out=local, jobs=1, method="rate", timesteps=4)
    assert (out / "summary.json").read_bytes() == (local / "summary.json").read_bytes()


@pytest.mark.parametrize(("backend", "address"), [("dask", "tcp://127.0.0.1:9"), ("ray", "127.0.0.1:9")])
def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path, backend: str, address: str) -> None:
    require(backend)
    onnx.save(perceptron(1), tmp_path / "a.onnx")
    with pytest.raises(UsageError, match=rf"{backend} at {address}: "):
        snncc.batch(tmp_path / "a.onnx", out=tmp_path / "out", backend=backend, address=address)
