# SPDX-License-Identifier: Apache-2.0
"""The examples `vit` and `lstm`: their READMEs run, what must be on events is, and the accuracies are those shown."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from code_blocks import ROOT, blocks
from snncc.bundles.bundle import open_bundle
from snncc.cli.commands import cli
from snncc.ir.classes import operations, shares
from snncc.ir.nodes import Linear

#: Share of multiply-accumulates on spikes.
EXPECTED = {"vit": 1.0, "lstm": 0.206}
PAGES = {"vit": blocks("examples/vit/README.md"), "lstm": blocks("examples/lstm/README.md")}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    shutil.copytree(ROOT / "examples" / name, tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    (commands,) = (block.commands() for block in PAGES[name])
    for words in commands:
        result = CliRunner().invoke(cli, [*words[1:], "--json", "--quiet"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    network = open_bundle(Path(f"{name}.snn")).network
    counts = operations(network)
    assert counts["input"] == counts["graded"] == 0
    assert shares(counts)["spikes"] >= EXPECTED[name] - 0.001
    assert sum(isinstance(node, Linear) for node in network.nodes) >= 2
    found = json.loads(result.stdout)
    table = re.search(r"^\| T \|(.*)\n.*\n\| accuracy \|(.*)$", Path("README.md").read_text(encoding="utf-8"), re.M)
    assert table is not None
    shown = dict(zip(*([c.strip(" %") for c in row.split("|")[:-1]] for row in table.groups()), strict=True))
    for t in ("4", "8", "32"):
        assert abs(100 * found["accuracy"][t] - float(shown[t])) <= 100 * 2.5 / found["samples"]
    assert f"ANN: {100 * found['ann_accuracy']:.2f} %" in Path("README.md").read_text(encoding="utf-8")


def test_scripts_import_what_there_is() -> None:
    """Examples and benchmarks that no other test runs break at a renamed module too."""
    missing = []
    for script in [*(ROOT / "examples").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for line in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            if isinstance(line, ast.ImportFrom) and (line.module or "").split(".")[0] == "snncc":
                module = importlib.import_module(line.module or "")
                package = getattr(module, "__path__", None)
                missing += [
                    f"{script.relative_to(ROOT)}: {line.module}.{name.name}"
                    for name in line.names
                    if not hasattr(module, name.name) and PathFinder.find_spec(name.name, package or []) is None
                ]
    assert missing == []
