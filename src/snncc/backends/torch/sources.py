# SPDX-License-Identifier: Apache-2.0
"""The sources of functions of snncc, with all that they use, for code that must run without snncc."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from snncc.errors import InvariantBroken


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """`from module import name`, or `import module as alias` where name is empty."""

    module: str
    name: str
    alias: str

    def __str__(self) -> str:
        return self.name if self.alias == self.name else f"{self.name} as {self.alias}"


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, class or assignment at the top of a module."""

    name: str
    source: str
    imports: tuple[Import, ...]
    uses: frozenset[str]


def names_used(tree: ast.AST) -> frozenset[str]:
    """The names that code reads and does not bind itself."""
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(read - bound - {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)})


def imports_of(tree: ast.Module) -> dict[str, Import]:
    """The imports at the top of a module, by the name that they bind."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name] = Import(alias.name, "", alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module != "__future__":
            for alias in node.names:
                found[alias.asname or alias.name] = Import(node.module, alias.name, alias.asname or alias.name)
    return found


def definitions(module: ModuleType) -> dict[str, Definition]:
    """Everything that a module defines at its top."""
    text = inspect.getsource(module)
    tree, lines = ast.parse(text), text.splitlines()
    imports, found = imports_of(tree), {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = node.name
            begin = min([node.lineno, *[d.lineno for d in node.decorator_list]])
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, begin = node.targets[0].id, node.lineno
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, begin = node.target.id, node.lineno
        else:
            continue
        uses = names_used(node)
        own = tuple(imports[n] for n in sorted(uses & imports.keys()) if not imports[n].module.startswith("snncc"))
        found[name] = Definition(name, "\n".join(lines[begin - 1 : node.end_lineno]), own, uses - {name})
    return found


def table(modules: Sequence[ModuleType]) -> dict[str, Definition]:
    """The definitions of several modules in order; a name may stand for one thing only."""
    found: dict[str, Definition] = {}
    for module in modules:
        own = definitions(module)
        if twice := found.keys() & own.keys():
            raise InvariantBroken(f"{module.__name__} defines {min(twice)}, which another module defines too")
        found |= own
    return found


def closure(names: Iterable[str], known: Mapping[str, Definition]) -> list[Definition]:
    """The definitions of names and of everything that these use, in the order of the table."""
    wanted, stack = set(), [n for n in names if n in known]
    while stack:
        name = stack.pop()
        if name not in wanted:
            wanted.add(name)
            stack.extend(known[name].uses & known.keys())
    return [d for name, d in known.items() if name in wanted]


def import_lines(imports: Iterable[Import]) -> str:
    """Sorted import statements, the standard library first."""
    plain: dict[bool, set[str]] = {False: set(), True: set()}
    members: dict[bool, dict[str, set[str]]] = {False: {}, True: {}}
    for item in set(imports):
        outside = item.module.split(".")[0] not in sys.stdlib_module_names
        if item.name:
            members[outside].setdefault(item.module, set()).add(str(item))
        else:
            renamed = "" if item.alias == item.module else f" as {item.alias}"
            plain[outside].add(f"import {item.module}{renamed}")
    blocks = ["from __future__ import annotations"]
    for outside in (False, True):
        lines = sorted(plain[outside])
        lines += [f"from {m} import {', '.join(sorted(names))}" for m, names in sorted(members[outside].items())]
        if lines:
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
