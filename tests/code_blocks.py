# SPDX-License-Identifier: Apache-2.0
"""The fenced code blocks of Markdown pages. A block that is not run says why in a comment on the line before it:

<!-- not run: REASON -->
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (
        *(ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"),
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "examples").glob("**/README.md")),
    )
}
#: Pages whose blocks another test runs and whose results it looks at.
ELSEWHERE = {
    "CONTRIBUTING.md": "tests/test_contributing.py",
    "docs/exchange.md": "tests/examples/test_nir.py",
    "examples/deploy/README.md": "tests/examples/test_deploy.py",
    "examples/lstm/README.md": "tests/test_examples.py",
    "examples/nir/README.md": "tests/examples/test_nir.py",
    "examples/vit/README.md": "tests/test_examples.py",
}
SHELL = ("bash", "sh")
MARKER = re.compile(r"<!-- not run\b[^:]*: (.*) -->")


@dataclass(frozen=True)
class Block:
    """A block: its page, the line of its fence, its language, its text, and why it is not run (None: it is)."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of its commands, for a shell block of plain commands."""
        lines = self.text.replace("\\\n", " ").splitlines()
        parts = [part for line in lines for part in line.split("&&")]
        return [words for part in parts if (words := shlex.split(part, comments=True))]


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    found, fence, text = [], None, list[str]()
    lines = PAGES[page].read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            text.append(line)
        elif fence is None:
            marker = MARKER.fullmatch(lines[number - 2]) if number > 1 else None
            fence, text = (number, line[3:].strip(), marker and marker[1].strip()), []
        else:
            at, language, reason = fence
            found.append(Block(page, at, language, "\n".join(text), reason))
            fence = None
    if fence is not None:
        raise ValueError(f"{page}: the block in line {fence[0]} does not end")
    return found
