# SPDX-License-Identifier: Apache-2.0
"""The example `nir` and the page on exchange: what they show runs, and gives the figures that they name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from code_blocks import blocks
from snncc import api
from snncc.backends.nir.interpreter import NirMachine, read
from snncc.bundles.bundle import open_bundle
from snncc.cli.commands import cli
from snncc.execute.torch.engine import Engine

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "nir"
POINTS = (4, 8, 16, 32, 64)


def run(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_the_readme_tells_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    shutil.copytree(EXAMPLE, tmp_path / "nir")
    monkeypatch.chdir(tmp_path / "nir")
    for block in blocks("examples/nir/README.md"):
        for words in block.commands():
            run(words)
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    with np.load(EXAMPLE / "digits_nir.npz") as archive:
        data = {name: archive[name] for name in ("x", "y")}
    bundle = open_bundle(Path("digits_nir.snn"))
    steps = Engine(bundle.network).run({"image": data["x"]}, POINTS[-1], checkpoints=POINTS, count=False)
    machine = NirMachine(read(Path("digits_nir.snn/nir/network.nir").read_bytes()), {"image": data["x"]})
    total: Any = 0.0
    by_nir = {}
    for t in range(1, POINTS[-1] + 1):
        total = total + machine.step()["logits_output"]
        by_nir[t] = total.argmax(1)
    rows = {
        "soft reset (the bundle)": [chosen.argmax(-1).numpy() for chosen in steps.outputs["logits"]],
        "NIR": [by_nir[t] for t in POINTS],
    }
    for name, chosen in rows.items():
        shown = re.search(rf"\| {re.escape(name)} \|(.*)\|", text)
        assert shown is not None
        for percent, choice in zip(shown[1].split("|"), chosen, strict=True):
            found = 100 * float((choice == data["y"]).mean())
            assert abs(found - float(percent.strip(" %"))) <= 100 * 2.5 / len(choice), name
    assert f"ANN: {api.simulate(bundle, timesteps=1).ann_accuracy:.2%}".replace("%", " %") in text


def test_what_the_page_shows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "docs" / "exchange.md"
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "nir")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("docs/exchange.md"):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)
        for words in block.commands() if block.language == "sh" else ():
            run(words)
    want = Engine(open_bundle(Path("digits_nir.snn")).network).run({"image": names["images"]}, 16, count=False)
    assert names["chosen"].tolist() == want.outputs["logits"][0].argmax(-1).tolist()
    for name in ("hard-reset", "strict-threshold", "single-spike", "unsigned", "zero-start"):
        assert f"`{name}`" in page.read_text(encoding="utf-8")
