# SPDX-License-Identifier: Apache-2.0
"""Folders are written whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from snncc.bundles import output
from snncc.bundles.output import write_folder
from snncc.errors import BundleError


def test_a_folder_is_written_and_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out.snn"
    write_folder(target, {"a": b"1", "sub/b": b"2"}, force=False)
    assert (target / "sub" / "b").read_bytes() == b"2"
    with pytest.raises(BundleError, match="exists already"):
        write_folder(target, {"a": b"3"}, force=False)
    write_folder(target, {"a": b"3"}, force=True)
    assert {p.name: p.read_bytes() for p in target.iterdir()} == {"a": b"3"}
    assert [p.name for p in target.parent.iterdir()] == ["out.snn"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_failure_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool) -> None:
    target = tmp_path / "out.snn"
    write_folder(target, {"a": b"old"}, force=False)
    if not exchanges:
        monkeypatch.setattr(output, "exchange", lambda one, other: False)

    def full(path: Path, data: bytes) -> None:
        if path.name == "b":
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(output, "write_synced", full)
        with pytest.raises(BundleError, match="No space left"):
            write_folder(target, {"a": b"new", "b": b"x"}, force=True)
    assert {p.name: p.read_bytes() for p in target.iterdir()} == {"a": b"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["out.snn"]
    write_folder(target, {"a": b"new"}, force=True)
    assert (target / "a").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.snn"]


def hold(target: Path, ready: object, done: object) -> None:
    with output.locked(target):
        ready.set()  # type: ignore[attr-defined]
        done.wait(30)  # type: ignore[attr-defined]


def test_two_writers_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path / "out.snn", ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(BundleError, match="another process is writing"):
            write_folder(tmp_path / "out.snn", {"a": b"1"}, force=True)
    finally:
        done.set()
        other.join()
    write_folder(tmp_path / "out.snn", {"a": b"1"}, force=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BundleError, match="cannot write"):
        write_folder(tmp_path / "out.snn", {"a": b"1"}, force=False)
    tmp_path.chmod(0o700)
