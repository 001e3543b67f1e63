# SPDX-License-Identifier: Apache-2.0
"""Building and running emitted C packages."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from snncc.backends.c.package import package
from snncc.integer import IntegerNetwork

#: Compiler, flags and what runs the program, by name.
TARGETS: dict[str, tuple[str, str, str]] = {
    "gcc-O0": ("gcc", "-O0", ""),
    "gcc-O2": ("gcc", "-O2", ""),
    "clang-O0": ("clang", "-O0", ""),
    "clang-O2": ("clang", "-O2", ""),
    "gcc-sanitizers": ("gcc", "-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=all", ""),
    "clang-sanitizers": ("clang", "-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=all", ""),
    "arm-O2": ("arm-linux-gnueabihf-gcc", "-O2 -mthumb -static", "qemu-arm-static"),
}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A package as a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def made(integer: IntegerNetwork, folder: Path, *, steps: int, samples: int = 3, seed: int = 0) -> Path:
    """The package of a network, golden vectors on random bytes."""
    rng = np.random.default_rng(seed)
    feeds = {
        node.name: np.concatenate(
            [rng.integers(0, 256, (samples, *node.shape[1:])), np.full((1, *node.shape[1:]), 255)]
        )
        for node in integer.network.inputs
    }
    return write(folder, package(integer, feeds, name="test", method="by hand", timesteps=steps))


@functools.cache
def links(compiler: str, flags: str) -> bool:
    """Whether a compiler has the libraries that its flags need (those of the sanitizers come separately)."""
    command = [compiler, *flags.split(), "-x", "c", "-", "-o", os.devnull]
    return (
        subprocess.run(command, input=b"int main(void) { return 0; }", capture_output=True, check=False).returncode == 0
    )


def built(folder: Path, target: str = "gcc-O2") -> str:
    """`make test` on a target: its output; skips where the target is not installed."""
    compiler, flags, runner = TARGETS[target]
    for program in (compiler, runner, "make"):
        if program and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not links(compiler, flags):
        pytest.skip(f"{compiler} cannot build with {flags}")
    command = ["make", "-s", "test", f"CC={compiler}", f"CFLAGS={flags}", f"RUN={runner}"]
    # The leak detector of the address sanitizer needs ptrace, which containers may refuse; nothing is allocated.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
