# SPDX-License-Identifier: Apache-2.0
"""Writing folders that are either the old one or the new one, whole, whatever happens in between."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from snncc.errors import BundleError

#: How the names of unfinished files and folders end; a kill may leave one, and the next run removes it.
PARTIAL = ".partial"
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


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is either the old one or the new one, whole. Raises OSError; the old one is then intact."""
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        write_synced(partial, data)
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(target: Path, *, wait: float = 0) -> Iterator[None]:
    """Hold the lock of an output; raises BundleError when another process still holds it after `wait` seconds."""
    lock, deadline = target.parent / f".{target.name}.lock", time.monotonic() + wait
    with contextlib.ExitStack() as stack:
        while True:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                handle = stack.enter_context(lock.open("w"))
            except OSError as error:
                blocked = isinstance(error, FileExistsError | NotADirectoryError)
                reason = "a folder of its path is a file" if blocked else error.strerror
                raise BundleError(
                    f"cannot write {target.name}: {reason}", cure="choose another folder with -o"
                ) from None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held the lock before has deleted its file: a lock on a file without a name excludes nobody.
                if os.fstat(handle.fileno()).st_ino == lock.stat().st_ino:
                    break
            except FileNotFoundError:
                pass
            except OSError:
                if time.monotonic() >= deadline:
                    raise BundleError(
                        f"another process is writing {target.name}", cure="wait for it, or use another -o"
                    ) from None
                time.sleep(0.05)
            handle.close()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def remove_partial(target: Path) -> None:
    """Remove what an interrupted process left of an output; call it with the lock held."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*{PARTIAL}"):
        shutil.rmtree(left, ignore_errors=True)


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
        remove_partial(target)
        work = None
        try:
            work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent))
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
