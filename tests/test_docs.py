# SPDX-License-Identifier: Apache-2.0
"""The documentation tells the truth: generated parts are fresh, and what the README shows exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from snncc.cli import cli
from snncc.recipe import methods

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("**/README.md"))]


def test_generated_parts_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    stale = [p.name for p, text in generate.pages().items() if p.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python docs/generate.py`"


def commands(page: Path) -> list[list[str]]:
    blocks = re.findall(r"```(?:bash|console|sh)\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    lines = [part.strip() for block in blocks for line in block.splitlines() for part in line.split("&&")]
    return [line.lstrip("$ ").split() for line in lines if line.lstrip("$ ").startswith("snncc ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_on_pages_exist(page: Path) -> None:
    for words in commands(page):
        assert words[1] in cli.commands, f"{page.name}: {' '.join(words)}"
        known = {opt for p in cli.commands[words[1]].params for opt in (*p.opts, *p.secondary_opts)}
        options = [w.split("=")[0] for w in words[2:] if w.startswith("-")]
        assert set(options) <= known, f"{page.name}: {' '.join(words)}"


def test_every_method_and_page_is_linked() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in methods())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/{page.name}" in readme for page in (ROOT / "docs").glob("*.md"))


def test_the_project_speaks_of_itself_alone() -> None:
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"/work/|/tmp/|/home/|/root/", text), page
