# SPDX-License-Identifier: Apache-2.0
"""Compiling generated C once: the system's compiler, a cache by content, loading through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Tried in turn: all that helps, then without what some processors lack, without threads, for any processor.
FLAGS = (
    ("-O3", "-march=native", "-mprefer-vector-width=512", "-fopenmp"),
    ("-O3", "-march=native", "-fopenmp"),
    ("-O3", "-march=native"),
    ("-O3",),
)
COMMON = ("-std=gnu11", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-w")
TIMEOUT = 600


class CompileError(Exception):
    """No compiler, or one that refused; the message is for a notice."""


def cache_folder() -> Path:
    """Where shared objects are kept: SNNCC_CACHE, else snncc/ in the user's cache folder."""
    if given := os.environ.get("SNNCC_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "snncc"


def compiler() -> str:
    """The system's C compiler: CC, else cc, gcc or clang; raises CompileError."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    raise CompileError("no C compiler (cc, gcc or clang) was found")


def host() -> str:
    """What makes an object of one machine useless on another: its processor's features."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.system()} {platform.machine()} {platform.processor()} {features}"


def compiled(text: str, extra: tuple[str, ...] = ()) -> Path:
    """The shared object of a source, from the cache or made now with some `extra` flags; raises CompileError."""
    command = compiler()
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    content = "\0".join([text, version, host(), repr(FLAGS), repr((*COMMON, *extra))])
    key = hashlib.sha256(content.encode()).hexdigest()[:32]
    folder = cache_folder()
    target = folder / f"{key}.so"
    if target.is_file():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source, made = Path(place, "network.c"), Path(place, "network.so")
            source.write_text(text, encoding="utf-8")
            errors = ""
            for flags in FLAGS:
                line = [command, *COMMON, *extra, *flags, str(source), "-o", str(made), "-lm"]
                result = subprocess.run(line, capture_output=True, text=True, check=False, timeout=TIMEOUT)
                if result.returncode == 0:
                    shutil.copyfile(source, target.with_suffix(".c"))
                    made.replace(target)  # whole or not at all, whoever else compiles the same
                    return target
                errors = result.stderr.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise CompileError(f"{command} could not be run: {error}") from None
    reason = next((line for line in errors.splitlines() if "error" in line), errors[:200])
    raise CompileError(f"{command} refused the generated C: {reason}")


class Run(ctypes.Structure):
    """`struct run` of the prelude."""

    _fields_ = (
        ("images", ctypes.c_int64),
        ("steps", ctypes.c_int64),
        ("gate", ctypes.c_void_p),
        ("rested", ctypes.c_void_p),
        ("buffer", ctypes.POINTER(ctypes.c_void_p)),
        ("seconds", ctypes.c_void_p),
        ("threads", ctypes.c_int64),
        ("scratch", ctypes.c_void_p),
        ("scratch_size", ctypes.c_int64),
        ("counting", ctypes.c_int64),
        ("fresh", ctypes.c_int64),
        ("tiles", ctypes.c_void_p),
        ("first", ctypes.c_int64),
        ("last", ctypes.c_int64),
    )


def load(path: Path) -> Callable[[Any], None]:
    """The function `run(const struct run *)` of a shared object; raises CompileError."""
    try:
        function: Callable[[Any], None] = ctypes.CDLL(str(path)).run
    except (OSError, AttributeError) as error:
        raise CompileError(f"{path.name} cannot be loaded: {error}") from None
    function.argtypes, function.restype = [ctypes.POINTER(Run)], None  # type: ignore[attr-defined]
    return function
