# SPDX-License-Identifier: Apache-2.0
"""What README, documentation and examples show runs as it stands; what is not run says why, and its options exist."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

from code_blocks import ELSEWHERE, MARKER, PAGES, ROOT, SHELL, Block, blocks
from snncc import api
from snncc.cli.commands import cli
from snncc.zoo.plan import Choices, plan

DIGITS = ROOT / "examples" / "digits"
BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [
    page for page in PAGES if page not in ELSEWHERE and any(b.language != "text" and not b.reason for b in blocks(page))
]
#: Reads the arguments of scripts and goes no further: words of (script, arguments ...) separated by newlines.
PARSE = """
import argparse, runpy, sys
from pathlib import Path

class Parsed(Exception): pass

original = argparse.ArgumentParser.parse_args
def parse(self, *given):
    original(self, *given)
    raise Parsed
argparse.ArgumentParser.parse_args = parse
known = set(sys.modules)
for line in sys.stdin.read().splitlines():
    sys.argv = line.split(chr(9))
    script = Path(sys.argv[0])
    sys.path.insert(0, str(script.parent))
    try:
        runpy.run_path(str(script / "__main__.py" if script.is_dir() else script), run_name="__main__")
        sys.exit(f"{script} reads no arguments")
    except Parsed:
        sys.path.remove(str(script.parent))
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(Path.cwd() / "examples")):
            del sys.modules[name]
"""


def made(name: str) -> Callable[[Path], object] | None:
    """How a file of the reader's own comes to be, by the name that the pages give it."""
    match name:
        case "model.onnx" | "lenet.onnx" | "digits.onnx":
            return lambda path: shutil.copy(DIGITS / "digits.onnx", path)
        case "calibration.npz" | "train.npz" | "test.npz" | "digits.npz":
            return lambda path: shutil.copy(DIGITS / "digits.npz", path)
        case "model.snn":
            return lambda path: api.convert(DIGITS / "digits.onnx", method="dnisnm", timesteps=4, out=path)
        case "models/":
            return lambda path: shutil.copytree(DIGITS, path, ignore=shutil.ignore_patterns("*.py"))
        case "zoo/*.onnx":
            return lambda path: (path.mkdir(), shutil.copy(DIGITS / "digits.onnx", path / "net.onnx"))
    return None


def given(text: str) -> None:
    """Make the files of the reader's own that a text names and that are not there."""
    for name in re.findall(r"[\w./*-]+", text):
        path = Path(name.removesuffix("*.onnx"))
        if not path.exists() and (make := made(name)):
            make(path)


def shell(block: Block) -> None:
    for words in block.commands():
        assert words[0] == "snncc", f"{block}: {words[0]} is run by no test: see ELSEWHERE"
        given(" ".join(w for w, before in zip(words[1:], words, strict=False) if before not in ("-o", "--out")))
        result = CliRunner().invoke(cli, words[1:])
        assert result.exception is None, f"{block}: {' '.join(words)}: {result.exception!r}\n{result.output}"


def python(block: Block) -> None:
    """As a reader runs it: from a file."""
    given(block.text)
    path = Path(f"block_{block.line}.py").resolve()
    path.write_text(block.text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[path.stem], module


def toml(block: Block) -> None:
    given(block.text)
    Path("zoo.toml").write_text(block.text, encoding="utf-8")
    assert plan(["zoo.toml"], Choices(), Path("out")), block


RUNNERS: dict[str, Callable[[Block], None]] = {**dict.fromkeys(SHELL, shell), "python": python, "toml": toml}


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_what_a_page_shows_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    (tmp_path / "examples").mkdir()
    for example in ("digits", "vit"):
        shutil.copytree(ROOT / "examples" / example, tmp_path / "examples" / example)
    here = tmp_path / Path(page).parent
    if page.startswith("examples/"):
        shutil.copytree(ROOT / Path(page).parent, here, dirs_exist_ok=True)
    monkeypatch.chdir(here if page.startswith("examples/") else tmp_path)
    for block in blocks(page):
        if block.language != "text" and not block.reason:
            RUNNERS[block.language](block)


def test_every_block_is_run_or_says_why_not() -> None:
    for block in BLOCKS:
        assert block.language in (*RUNNERS, "text"), (
            f"{block}: no test runs {block.language or 'a block without a name'}"
        )
        assert block.reason is None or len(block.reason.split()) >= 4, f"{block}: why is it not run?"
        assert block.reason is None or block.language != "text", f"{block}: text is not run anyway"
        for path in re.findall(r"[\w./]+\.py\b|\.ci/run", block.reason or ""):
            assert (ROOT / path).is_file(), f"{block}: {path} is not there"
    for page, test in ELSEWHERE.items():
        source = (ROOT / test).read_text(encoding="utf-8")
        assert f'blocks("{page}")' in source, f"{test} does not run {page}"
    markers = sum(len(MARKER.findall(path.read_text(encoding="utf-8"))) for path in PAGES.values())
    assert markers == sum(block.reason is not None for block in BLOCKS), "a marker does not stand before a block"


def test_code_is_fenced() -> None:
    """A block that is only indented has no language: nobody knows whether it is to be run."""
    for page, path in PAGES.items():
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
        assert not re.search(r"\n\n {4,}\S", text), f"{page}: fence the indented block"


@pytest.mark.slow
def test_what_is_not_run_parses() -> None:
    scripts = []
    for block in BLOCKS:
        for words in block.commands() if block.language in SHELL else ():
            if words[0] == "snncc":
                command = cli.commands[words[1]]
                try:
                    command.make_context(words[1], words[2:])
                except click.ClickException as error:
                    raise AssertionError(f"{block}: {' '.join(words)}: {error.format_message()}") from None
            elif words[0] == "python" and words[1] != "-m" and block.reason:
                scripts.append([str(ROOT / words[1]), *words[2:]])
    assert len(scripts) > 10
    lines = "\n".join("\t".join(words) for words in scripts)
    result = subprocess.run(
        [sys.executable, "-c", PARSE], input=lines, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_ci_runs_what_the_readme_begins_with() -> None:
    """The first block of README.md installs snncc: .ci/run takes it from there, in a new environment."""
    first = blocks("README.md")[0]
    assert first.commands()[0][:2] == ["pip", "install"]
    sed = """sed -n '/^```bash/,/^```/{/^```/d;p}' README.md | head -n 1"""
    assert f"command=$({sed})" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    printed = subprocess.run(["bash", "-c", sed], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == first.text


def test_files_for_ci_name_commands_that_exist() -> None:
    for path in (ROOT / "examples" / "ci").glob("*.y*ml"):
        found = re.findall(r"^.*(?:run: |do )snncc (\w+)", path.read_text(encoding="utf-8"), re.M)
        assert found, path
        assert set(found) <= set(cli.commands), path
