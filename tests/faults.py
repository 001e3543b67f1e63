# SPDX-License-Identifier: Apache-2.0
"""python tests/faults.py SCENE FOLDER: processes that are killed, or whose disk is full, at every step of writing.

Each attempt is a fork of this process, which has imported snncc and has one thread. A fork is killed just before its
k-th event that changes a file, k = 1, 2, ... until one lives through it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from small_models import normal, parsed
from snncc import api
from snncc.bundles import manifest as manifests
from snncc.bundles.bundle import open_bundle
from snncc.bundles.output import write_folder
from snncc.data.dataset import Dataset, Preprocessing
from snncc.errors import SnnccError
from snncc.training import checkpoint
from snncc.training.run import finetune
from snncc.training.settings import Settings
from snncc.zoo.plan import Choices, plan
from snncc.zoo.results import finished, key_of
from snncc.zoo.worker import work

Action = Callable[[], object]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
TEXT = "agraph (float[N, 4] x) => (float[N, 3] y) { h = Gemm(x, w, b)  r = Relu(h)  y = MatMul(r, v) }"


def model(seed: int = 1) -> onnx.ModelProto:
    return parsed(TEXT, w=normal(seed, 4, 8), b=normal(seed + 1, 8), v=normal(seed + 2, 8, 3))


def forked(action: Action, *, kill_at: int = 0, file_size: int | None = None) -> int:
    """Run an action in a fork: its exit status, or minus the signal that ended it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        if kill_at:
            count = 0

            def hook(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal count
                changes = event in CHANGES or (
                    event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
                )
                count += bool(changes)
                if changes and count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        action()
        status = 0
    except SnnccError as error:
        status = error.exit_code
    except BaseException:  # noqa: BLE001  (whatever it is, the fork must not go on as this process)
        traceback.print_exc()
    finally:
        os._exit(status)


def killed_everywhere(action: Action, prepare: Action, check: Action, least: int, *, stride: int = 1) -> None:
    """Kill an action at each of its steps (every `stride`-th); `check` after each."""
    for k in range(1, 400, stride):
        prepare()
        status = forked(action, kill_at=k)
        assert status in (0, -signal.SIGKILL), f"killed at {k}: exit status {status}"
        check()
        if status == 0:
            assert k > least, f"only {k - 1} steps: the hook sees too little"
            assert forked(action) == 0, "what was left stands in the way of the next run"
            check()
            return
    raise AssertionError("it never ends")


def contents(folder: Path) -> dict[str, bytes]:
    kept = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "timings.json")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in kept}


def whole(folder: Path, allowed: list[dict[str, bytes]]) -> None:
    """The bundle is one of those that may be there."""
    opened = open_bundle(folder)
    manifests.verify_hashes(opened.manifest, {n: (folder / n).read_bytes() for n in opened.manifest.files})
    assert contents(folder) in allowed


def convert_to(out: Path, seed: int) -> None:
    api.convert(model(seed), method="rate", timesteps=2, out=out, force=True)


def convert(folder: Path) -> None:
    """`convert --force` over an old bundle, and where there was none."""
    old, new, out = folder / "old.snn", folder / "new.snn", folder / "work" / "net.snn"
    forked(lambda: convert_to(old, 1))
    forked(lambda: convert_to(new, 9))
    allowed = [contents(old), contents(new)]

    def prepare() -> None:
        if not out.exists() or contents(out) != allowed[0]:
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(old, out)

    files = {p.name: p.read_bytes() for p in new.iterdir()}
    killed_everywhere(lambda: write_folder(out, files, force=True), prepare, lambda: whole(out, allowed), 10)
    killed_everywhere(lambda: convert_to(out, 9), prepare, lambda: whole(out, allowed), 10, stride=5)
    assert [p.name for p in out.parent.iterdir()] == ["net.snn"], "a later run leaves nothing of the killed ones"
    killed_everywhere(
        lambda: convert_to(out, 9),
        lambda: shutil.rmtree(out, ignore_errors=True),
        lambda: whole(out, allowed) if out.exists() else None,
        10,
        stride=5,
    )


def full_disk(folder: Path) -> None:
    """No file may grow beyond so many bytes: what a full disk does, by the kernel's own doing."""
    old, out = folder / "old.snn", folder / "net.snn"
    forked(lambda: convert_to(old, 1))
    shutil.copytree(old, out)
    allowed = [contents(old)]
    for size in (0, 1, 500, 4096):
        assert (status := forked(lambda: convert_to(out, 9), file_size=size)) == 7, f"{status} at {size} bytes"
        whole(out, allowed)
        assert sorted(p.name for p in folder.iterdir()) == ["net.snn", "old.snn"]
    job = job_of(folder)
    assert forked(lambda: work(job, folder / "zoo", lambda: (api.convert, api.simulate)), file_size=500) == 7
    assert finished(folder / "zoo", job, key_of(job)) is None
    assert forked(lambda: train(folder / "q.onnx"), file_size=100) == 7
    assert not (folder / "q.onnx").exists()


def read_only(folder: Path) -> None:
    """A folder that cannot be written, by a process that may not more than its user."""
    folder.chmod(0o755)
    target = folder / "locked"
    target.mkdir(mode=0o555)

    job_of(folder)

    def attempt(action: Action) -> int:
        def unprivileged() -> None:
            header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
            if ctypes.CDLL(None).capset(header, nothing):  # capset(2): root, too, may then write only what it may
                raise OSError("capset")
            action()

        return forked(unprivileged)

    assert attempt(lambda: convert_to(target / "net.snn", 1)) == 7
    assert attempt(lambda: train(target / "q.onnx")) == 7
    assert attempt(lambda: api.batch(folder / "models", out=target / "zoo", method="rate", jobs=1)) == 7
    assert not list(target.iterdir())


def at_once(folder: Path) -> None:
    """Several conversions into one output: at least one succeeds, and none harms another."""
    out, allowed = folder / "net.snn", []
    for seed in (1, 9, 17):
        forked(lambda seed=seed: convert_to(folder / f"{seed}.snn", seed))
        allowed.append(contents(folder / f"{seed}.snn"))
    for _ in range(2):
        children = {}
        for seed in (1, 9, 17):
            child = os.fork()
            if not child:
                os._exit(forked(lambda seed=seed: convert_to(out, seed)))
            children[child] = seed
        statuses = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
        assert 0 in statuses, statuses
        assert statuses <= {0, 7}, statuses
        whole(out, allowed)


def training_data() -> Dataset:
    return Dataset(
        inputs={"x": normal(3, 32, 4)},
        labels=np.arange(32) % 3,
        source="blobs",
        preprocessing=Preprocessing(),
        continuous=frozenset({"x"}),
    )


def train(out: Path, *, resume: bool = False) -> None:
    settings = Settings(method="qffs", epochs=3, lr=0.01, optimizer="sgd", weight_decay=0.0, batch_size=16)
    finetune(model(), settings, train=training_data(), out=out, resume=resume)


def finetuning(folder: Path) -> None:
    """A killed training is resumed from its last checkpoint and ends in the same bytes."""
    forked(lambda: train(folder / "whole.onnx"))
    expected, out = (folder / "whole.onnx").read_bytes(), folder / "work" / "q.onnx"
    checkpoints = out.with_name("q.onnx.checkpoints")

    def prepare() -> None:
        shutil.rmtree(out.parent, ignore_errors=True)

    def check() -> None:
        assert not out.exists() or out.read_bytes() == expected
        if (checkpoints / checkpoint.LAST).exists():
            checkpoint.load(checkpoints)
            if not out.exists():
                assert forked(lambda: train(out, resume=True)) == 0
                assert out.read_bytes() == expected

    killed_everywhere(lambda: train(out), prepare, check, 6, stride=2)


def job_of(folder: Path) -> Any:
    (folder / "models").mkdir(exist_ok=True)
    onnx.save(model(), folder / "models" / "net.onnx")
    return plan([folder / "models"], Choices(method="rate", timesteps=2), folder / "zoo")[0]


def batch(folder: Path) -> None:
    """The process of one model of a batch: it is finished, or it is as if it had not begun."""
    job, out = job_of(folder), folder / "zoo"
    forked(lambda: work(job, folder / "whole", lambda: (api.convert, api.simulate)))
    expected = contents(folder / "whole" / "net.snn")

    def check() -> None:
        state = finished(out, job, key_of(job))
        if state is not None:
            assert state.result.status == "converted"
            assert contents(out / "net.snn") == expected
        if (out / "net.snn").exists():
            open_bundle(out / "net.snn")

    killed_everywhere(
        lambda: work(job, out, lambda: (api.convert, api.simulate)),
        lambda: shutil.rmtree(out, ignore_errors=True),
        check,
        10,
        stride=4,
    )
    assert sorted(p.name for p in out.iterdir()) == ["net.snn", "results"]
    assert [p.name for p in (out / "results").iterdir()] == ["net.json"]


def summary(folder: Path) -> None:
    """The process of the batch itself, all of whose models are finished: the old pages or the new ones, each whole."""
    job_of(folder)
    out = folder / "zoo"

    def run() -> None:
        api.batch(folder / "models", out=out, method="rate", timesteps=2, jobs=1)

    assert forked(run) == 0
    expected = contents(out)
    pages = [name for name in expected if "/" not in name]
    assert "summary.json" in pages

    def prepare() -> None:
        for name in pages:
            (out / name).unlink(missing_ok=True)

    def check() -> None:
        found = contents(out)
        assert all(found.get(name, data) == data for name, data in expected.items())
        assert all(name in found for name in expected if "/" in name), "what was finished is there"

    killed_everywhere(run, prepare, check, 10)
    assert contents(out) == expected, "nothing of the killed ones is left"


def emitting(folder: Path) -> None:
    """`emit` puts a target into a bundle that exists: the bundle without it or with it."""
    bundle, plain, done = (folder / part / "net.snn" for part in ("work", "plain", "done"))
    forked(lambda: convert_to(plain, 1))
    shutil.copytree(plain, done)
    forked(lambda: api.emit(done, to="onnx"))
    allowed = [contents(plain), contents(done)]
    assert len(allowed[1]) > len(allowed[0])

    def prepare() -> None:
        if not bundle.exists() or contents(bundle) != allowed[0]:
            shutil.rmtree(bundle, ignore_errors=True)
            shutil.copytree(plain, bundle)

    killed_everywhere(lambda: api.emit(bundle, to="onnx"), prepare, lambda: whole(bundle, allowed), 10, stride=4)


SCENES = {f.__name__: f for f in (convert, full_disk, read_only, at_once, finetuning, batch, summary, emitting)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    tempfile.gettempdir()  # found by writing into it, which a fork with a full disk could not
    SCENES[sys.argv[1]](Path(sys.argv[2]))
