# SPDX-License-Identifier: Apache-2.0
"""python benchmarks/fuzz [TARGET...] [--count N] [--seed S]: mutated inputs against every entry point.

TARGET: onnx, npz, recipe, manifest, bundle (these by default), or the slow ones convert and pt2.

Each input must give success or an error of snncc's with a message. The inputs of a target run in a process with a
limit on memory; it names an input before it starts on it, so that a crash or a hang is that input's.
"""

from __future__ import annotations

import json
import os
import random
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SECONDS = 10.0
#: A conversion computes, on inputs of up to 2^20 entries along an axis.
LONGER = {"convert": 120.0}
START = 120.0
MEMORY = 4 << 30
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")


@dataclass
class Tally:
    """What the inputs of a target gave. findings: (seed, what happened), none of which may be."""

    target: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)


class Watch:
    """An audit hook that notes what reading a file must never do: run or unpickle something, write, connect."""

    def __init__(self) -> None:
        self.on, self.seen = False, set[str]()
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in FORBIDDEN:
            self.seen.add(f"{event} {arguments[:2]}"[:200])
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            self.seen.add(f"writes {arguments[0]}"[:200])
        elif event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "shutil.rmtree"):
            self.seen.add(f"{event} {arguments[:2]}"[:200])


def child(name: str, first: int, count: int) -> None:
    """Run inputs one by one, telling the parent before and after each."""
    import torch

    from fuzz.targets import TARGETS
    from snncc.errors import InvariantBroken, SnnccError

    torch.set_num_threads(1)
    target, tell, watch = TARGETS[name], os.fdopen(os.dup(1), "w", buffering=1), Watch()
    os.dup2(2, 1)  # whatever libraries print is not for the parent
    warm_up(target)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            path = target.make(random.Random(f"{name} {seed}"), Path(folder))
            tell.write(json.dumps([seed, None, ""]) + "\n")
            watch.seen.clear()
            watch.on = True
            result, detail = "success", ""
            try:
                target.read(path)
            except InvariantBroken as error:
                result, detail = "bug", str(error)
            except SnnccError as error:
                result = type(error).__name__ if error.message.strip() else "bug"
            except (Exception, MemoryError) as error:  # noqa: BLE001  (these are what is looked for)
                where = traceback.extract_tb(error.__traceback__)[-1]
                result, detail = (
                    "traceback",
                    f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}",
                )
            watch.on = False
            if watch.seen:
                result, detail = "forbidden", "; ".join(sorted(watch.seen))
            tell.write(json.dumps([seed, result, detail[:400]]) + "\n")


def warm_up(target: Any) -> None:
    """Import and cache everything before anything is counted."""
    from snncc.errors import SnnccError

    for seed in range(5):
        with tempfile.TemporaryDirectory() as folder:
            try:
                target.read(target.make(random.Random(seed), Path(folder)))
            except (SnnccError, Exception):  # noqa: BLE001  (the same inputs are counted elsewhere)
                continue


def campaign(name: str, count: int, first: int = 0) -> Tally:
    """Run inputs `first` ... `first + count - 1` of a target, going on after crashes and hangs."""
    tally, at, end = Tally(name), first, first + count
    while at < end:
        command = [sys.executable, str(HERE), "--child", name, str(at), str(end - at)]
        with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": folder}
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=folder) as process:
                at, why = follow(process, tally, at, LONGER.get(name, SECONDS))
                process.kill()
            said = (Path(folder) / "log").read_text(errors="replace").strip().splitlines()[-3:]
            shutil.rmtree(folder, ignore_errors=True)
            Path(folder).mkdir()
        if why == "no start":
            raise RuntimeError(f"input {at} of {name} cannot be made: {' | '.join(said)}")
        if why and at < end:
            tally.counts[why] += 1
            tally.findings.append((at, f"{why} (exit status {process.returncode}): {' | '.join(said)[-300:]}"))
            at += 1
    return tally


def follow(process: subprocess.Popen[bytes], tally: Tally, at: int, seconds: float) -> tuple[int, str]:
    """Read what a child tells until it ends or takes too long over one input: the next input, and what went wrong."""
    if process.stdout is None:
        return at, "crash"
    begun, started, rest = False, at - 1, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(seconds if begun else START):
                return at, "hang"
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                process.wait()
                return at, "" if process.returncode == 0 else "crash" if started == at else "no start"
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                seed, result, detail = json.loads(line)
                begun, started = True, seed
                if result is not None:
                    tally.counts[result] += 1
                    at = seed + 1
                    if result in ("traceback", "bug", "forbidden"):
                        tally.findings.append((seed, f"{result}: {detail}"))
