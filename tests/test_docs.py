# SPDX-License-Identifier: Apache-2.0
"""The documentation tells the truth: generated parts are fresh, and what the README shows exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from snncc.conversion.recipe import methods

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


def test_every_method_and_page_is_linked() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in methods())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/{page.name}" in readme for page in (ROOT / "docs").glob("*.md"))


def test_the_files_that_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## IR nodes")[0]
    named = {name for name in re.findall(r"(?<![\w./])[a-z_]+/[\w./]*", text) if not name.startswith("docs/")}
    assert len(named) > 60
    folders = (ROOT, ROOT / "src" / "snncc")
    assert sorted(name for name in named if not any((folder / name).exists() for folder in folders)) == []


def test_the_project_speaks_of_itself_alone() -> None:
    for page in [*PAGES, *(ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING"))]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"/work/|/tmp/|/home/|/root/", text), page
