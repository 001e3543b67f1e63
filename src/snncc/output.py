# SPDX-License-Identifier: Apache-2.0
"""Writing folders that are either the old one or the new one, whole, whatever happens in between."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from snncc.errors import BundleError

_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step, where the system can."""
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return bool(swap(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on disk."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of an output folder; raises BundleError when another process writes it."""
    lock = target.parent / f".{target.name}.lock"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
    except OSError as error:
        raise BundleError(
            f"cannot write {target.name}: {error.strerror}", cure="choose another folder with -o"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BundleError(
                f"another process is writing {target.name}", cure="wait for it, or use another -o"
            ) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def refuse_existing(target: Path, *, force: bool) -> None:
    """Raise BundleError when an output exists and is not to be replaced."""
    if target.exists() and not force:
        raise BundleError(f"{target.name} exists already", cure="give --force to replace it, or another -o")


def write_folder(target: Path, files: Mapping[str, bytes], *, force: bool) -> None:
    """Write `files` as the folder `target`, in one step.

    Raises BundleError when the folder exists and `force` is not given, or when it cannot be written; the old folder
    is then intact.
    """
    with locked(target):
        refuse_existing(target, force=force)
        work = None
        try:
            work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            work.chmod(0o755)
            for name, data in files.items():
                path = work / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_synced(path, data)
            put_in_place(work, target)
        except OSError as error:
            raise BundleError(
                f"cannot write {target.name}: {error.strerror}", cure="check space and permissions"
            ) from None
        finally:
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)


def put_in_place(work: Path, target: Path) -> None:
    """Give the finished folder its name; what was there is then in `work`."""
    if not target.exists():
        work.rename(target)
    elif not exchange(work, target):
        aside = work.with_name(f"{work.name}.old")
        target.rename(aside)
        work.rename(target)
        aside.rename(work)


def write_run(bundle: Path, key: str, files: Mapping[str, bytes]) -> Path | None:
    """Keep the report of a run under runs/ of its bundle; a bundle that cannot be written is left as it is."""
    folder = bundle / "runs" / key
    try:
        folder.parent.mkdir(exist_ok=True)
        write_folder(folder, files, force=True)
    except (OSError, BundleError):
        return None
    return folder
