# SPDX-License-Identifier: Apache-2.0
"""Kinds of neurons are known to their own folders: elsewhere code asks the node."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import snncc
from snncc.neurons.node import Neuron
from snncc.neurons.table import TABLE

SOURCE = Path(snncc.__file__).parent
KINDS = {kind.__name__ for kind in TABLE} | {"Encoder"}
#: Each has a reason: an encoder reads an input and not a current; passes of one paper know that paper's neuron.
MOST = 40


def named(tree: ast.AST | None) -> set[str]:
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} if tree else set()
    return names & KINDS


def places(source: str) -> Iterator[int]:
    """The lines that test for one kind: isinstance, match, `type(x) is`, keys of a dict."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            yield from [node.lineno] * bool(named(node.args[1]))
        elif isinstance(node, ast.MatchClass):
            yield from [node.cls.lineno] * bool(named(node.cls))
        elif isinstance(node, ast.Compare):
            yield from [node.lineno] * any(named(c) for c in node.comparators)
        elif isinstance(node, ast.Dict):
            yield from (key.lineno for key in node.keys if key is not None and isinstance(key, ast.Name) and named(key))


def test_few_places_test_a_kind() -> None:
    files = [path for path in SOURCE.rglob("*.py") if "neurons" not in path.relative_to(SOURCE).parts[:-1]]
    found = [
        f"{path.relative_to(SOURCE)}:{line}" for path in files for line in places(path.read_text(encoding="utf-8"))
    ]
    assert len(found) <= MOST, found


@pytest.mark.parametrize(
    "text",
    ["isinstance(x, IF | int)", "type(x) is MsatIF", "{SignedIF: 1}", "match x:\n    case LeakyIF(): pass"],
)
def test_places_are_found(text: str) -> None:
    assert len([*places(text)]) == 1


def test_every_neuron_has_its_folder() -> None:
    assert all(issubclass(kind, Neuron) for kind in TABLE)
    for kind, definition in TABLE.items():
        folder = kind.__module__.rpartition(".")[0]
        texts = (definition.step, definition.scan, definition.cell)
        assert {text.__module__.rpartition(".")[0] for text in texts if text is not None} == {folder}
