# SPDX-License-Identifier: Apache-2.0
"""Where the processes of a batch are started: by threads of this one, or by the workers of a cluster."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import joblib

from snncc.errors import UsageError
from snncc.names import safe_name
from snncc.zoo.isolated import isolated, stop_all

Backend = Literal["local", "dask", "ray"]
#: The arguments of `isolated` for each model; what it returns comes in any order.
Calls = Sequence[tuple[bytes, str]]
Engine = Callable[[Calls], Iterator[bytes]]
#: Seconds to wait for a cluster to answer.
PATIENCE = 10.0
EXAMPLES = {"dask": "tcp://127.0.0.1:8786", "ray": "127.0.0.1:6379"}


def by_joblib(calls: Calls, **arguments: Any) -> Iterator[bytes]:
    """Run them on a backend of joblib's."""
    parallel = joblib.Parallel(**arguments, batch_size=1, pre_dispatch="all", return_as="generator_unordered")
    try:
        yield from parallel(joblib.delayed(isolated)(*call) for call in calls)
    finally:
        stop_all()


def by_ray(calls: Calls) -> Iterator[bytes]:
    """Run them as Ray's tasks, again elsewhere when a worker dies; joblib's backend for Ray can do neither that nor
    return one before all are done.
    """
    import ray

    task = ray.remote(max_retries=3, retry_exceptions=False)(isolated)
    waiting = [task.remote(*call) for call in calls]
    while waiting:
        done, waiting = ray.wait(waiting)
        try:
            yield from ray.get(done)
        except ray.exceptions.RayTaskError as error:  # raised by `isolated` itself
            raise error.cause from None


def without_address(backend: str) -> UsageError:
    """A cluster is to be used, and nobody says which."""
    return UsageError(f"--backend {backend} needs an address", cure=f"give --address, for example {EXAMPLES[backend]}")


@contextlib.contextmanager
def engine(backend: Backend, address: str, jobs: int) -> Iterator[Engine]:
    """What runs the models; raises UsageError where it is not installed, not reached, or gone."""
    if backend == "local":  # threads that wait for one process each
        yield lambda calls: by_joblib(calls, n_jobs=jobs, backend="threading")
        return
    try:
        with dask_client(address) if backend == "dask" else ray_client(address) as found:
            yield found
    except ImportError:
        raise UsageError(f"{backend} is not installed", cure=f'pip install "snncc[{backend}]"') from None


@contextlib.contextmanager
def dask_client(address: str) -> Iterator[Engine]:
    """A connection to Dask's scheduler."""
    from distributed import Client, KilledWorker

    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # refused, no answer in time; no address at all
        raise lost("dask", address, error) from None
    with client, joblib.parallel_config("dask", client=client):
        try:
            yield lambda calls: by_joblib(calls, n_jobs=-1)
        except (OSError, KilledWorker) as error:
            raise lost("dask", address, error) from None


@contextlib.contextmanager
def ray_client(address: str) -> Iterator[Engine]:
    """A connection to Ray's head node."""
    import ray

    try:
        place = urlsplit(address if "://" in address else f"//{address}")
        if place.hostname and place.port:  # refused at once: Ray itself tries for minutes, and logs each time
            socket.create_connection((place.hostname, place.port), timeout=PATIENCE).close()
    except (OSError, ValueError) as error:
        raise lost("ray", address, error) from None
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
        yield by_ray
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise lost("ray", address, error) from None
    finally:
        ray.shutdown()


def lost(backend: str, address: str, error: Exception) -> UsageError:
    """A cluster that cannot be reached, or no longer."""
    reason = safe_name(str(error).strip().partition("\n")[0]) or type(error).__name__
    return UsageError(
        f"{backend} at {safe_name(address)}: {reason}",
        cure="check that it runs and has workers; the same command goes on where it stopped",
    )
