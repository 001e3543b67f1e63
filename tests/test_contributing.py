# SPDX-License-Identifier: Apache-2.0
"""The worked examples of CONTRIBUTING.md run, one after the other; its commands and folders exist."""

from __future__ import annotations

import os
import re
import sys
import types
from pathlib import Path

import pytest
import torch

from code_blocks import ROOT, blocks
from thorough import THOROUGH

BLOCKS = [block for block in blocks("CONTRIBUTING.md") if block.language == "python"]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one module, as a reader would put them into one file; nothing of them changes a file of ours."""
    torch.set_num_threads(1)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("contributed")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert BLOCKS
    for block in BLOCKS:
        exec(compile(block.text, str(block), "exec"), module.__dict__)


def test_what_is_named_exists() -> None:
    for name in re.findall(r"`((?:src|tests|scripts|passes|docs|\.ci)/[\w./]*)[^`]*`", TEXT):
        assert "FOLDER" in name or (ROOT / name).exists(), name
    for script in (ROOT / "scripts").iterdir():
        assert f"scripts/{script.name}" in TEXT
        assert os.access(script, os.X_OK), script


def test_what_is_left_out_of_the_fast_tests_exists() -> None:
    assert sorted(name for name in THOROUGH if not (ROOT / "tests" / name).is_file()) == []


def test_ci_is_what_everybody_runs() -> None:
    """The hosted CI and the scripts call what .ci/run calls, so that none of them judges by rules of its own."""
    assert "- run: .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert {"scripts/lint", "scripts/test"} <= set((ROOT / ".ci" / "run").read_text(encoding="utf-8").split())
    lint = (ROOT / "scripts" / "lint").read_text(encoding="utf-8")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    for command in ("ruff check", "ruff format --check", "mypy"):
        assert f"\n{command}" in lint
        assert f"entry: {command}" in hooks
    assert "http" not in hooks
