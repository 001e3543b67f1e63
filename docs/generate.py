# SPDX-License-Identifier: Apache-2.0
"""Write the generated parts of the documentation. `python docs/generate.py` updates them, a test checks them."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import get_args

import msgspec

from snncc.conversion.recipe import PassEntry, Recipe, load_recipe, methods
from snncc.execute.protocol import Counted, Executor
from snncc.frontend.operators.coverage import coverage
from snncc.frontend.operators.lower import LOWERINGS
from snncc.ir.nodes import AnyNode
from snncc.ir.operators import OPERATORS
from snncc.transform.base import Context
from snncc.transform.passes import TRANSFORMS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- generated: {} -->", "<!-- end of {} -->"


def first_line(thing: object) -> str:
    """The first sentence of a docstring, on one line, safe in a table."""
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return text.replace("|", "\\|")


def floors() -> str:
    """The rooms from the ground up, each with the first sentence of its docstring."""
    test = ast.parse((ROOT / "tests" / "test_floors.py").read_text(encoding="utf-8"))
    (order,) = (
        ast.literal_eval(node.value)
        for node in test.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS"
    )
    lines = ["| floor | what |", "|---|---|"]
    for name in dict.fromkeys(name.split(".")[0] for name in order):
        room = ROOT / "src" / "snncc" / name
        path, shown = (room / "__init__.py", f"{name}/") if room.is_dir() else (room.with_suffix(".py"), f"{name}.py")
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines.append(f"| `{shown}` | {' '.join(text.split(chr(10) * 2)[0].split())} |")
    return "\n".join(lines)


def nodes() -> str:
    """Every IR node with its fields."""
    lines = ["| node | fields beside name, inputs, shape, batch, dtype | equation |", "|---|---|---|"]
    shared = {"name", "inputs", "shape", "batch", "dtype"}
    for kind in sorted(get_args(AnyNode), key=lambda k: str(k.__name__)):
        fields = ", ".join(f"`{f}`" for f in kind.__struct_fields__ if f not in shared)
        lines.append(f"| `{kind.__name__}` | {fields} | {first_line(kind)} |")
    return "\n".join(lines)


def recipe_schema() -> str:
    """The keys of a recipe."""
    lines = ["| key | type |", "|---|---|"]
    lines += [f"| `{f.encode_name}` | `{f.type}` |".replace("typing.", "") for f in msgspec.structs.fields(Recipe)]
    lines += [f"| `passes[].{f.encode_name}` | `{f.type}` |" for f in msgspec.structs.fields(PassEntry)]
    return "\n".join(lines).replace("<class '", "").replace("'>", "")


def context() -> str:
    """What a pass gets."""
    lines = [f"`Context`: {first_line(Context)}", "", "| member | what it is |", "|---|---|"]
    for name, hint in Context.__annotations__.items():
        lines.append(f"| `{name}` | `{hint}` |".replace("|'", "'"))
    for name, member in vars(Context).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            lines.append(f"| `{name}{inspect.signature(member)}` | {first_line(member)} |")
    return "\n".join(lines)


def executor() -> str:
    """The protocol that executors implement."""
    run = inspect.signature(Executor.run)
    fields = ", ".join(f"`{name}`" for name in Counted.__struct_fields__)
    return f"`Executor.run{run}`: {first_line(Executor)}\n\n`Counted` ({fields}): {first_line(Counted)}"


def passes() -> str:
    """Every pass, as `snncc explain` prints it."""
    parts = []
    for t in TRANSFORMS:
        needs = ", ".join(sorted(t.needs)) or "nothing"
        gives = ", ".join(sorted(t.gives)) or "nothing"
        parts.append(f"## {t.name}\n\n{t.fidelity}; needs {needs}; gives {gives}\n\n```text\n{t.doc}\n```")
    return "\n\n".join(parts)


def recipes() -> str:
    """Every method that ships."""
    lines = ["| method | what it does | source |", "|---|---|---|"]
    for path in methods().values():
        recipe = load_recipe(path)
        lines.append(f"| `{recipe.name}` | {recipe.summary} | {recipe.source} |")
    return "\n".join(lines)


def operators() -> str:
    """Every ONNX operator: the opsets that changed it, its class, and its lowering or the reason for having none."""
    rows = coverage()
    counts = {kind: sum(row.kind == kind for row in rows) for kind in sorted({row.kind for row in rows})}
    lines = [f"Of {len(rows)} operators: {', '.join(f'{n} {kind}' for kind, n in counts.items())}.", ""]
    lines += ["| operator | opsets | class | condition or reason | lowering |", "|---|---|---|---|---|"]
    for row in rows:
        how = first_line(LOWERINGS[row.operator]) if row.operator in LOWERINGS else ""
        opsets = ", ".join(map(str, row.opsets))
        lines.append(f"| {row.operator} | {opsets} | {row.kind} | {row.remark} | {how} |")
    lines += ["", "| function | linear in inputs | continuous |", "|---|---|---|"]
    for name, info in sorted(OPERATORS.items()):
        linear = "; ".join(", ".join(map(str, group)) for group in info.linear) or "none"
        lines.append(f"| `{name}` | {linear} | {'yes' if info.continuous else 'no'} |")
    return "\n".join(lines)


#: (file, name of the part, what writes it)
PARTS = (
    ("ARCHITECTURE.md", "floors", floors),
    ("ARCHITECTURE.md", "nodes", nodes),
    ("ARCHITECTURE.md", "recipe", recipe_schema),
    ("ARCHITECTURE.md", "context", context),
    ("ARCHITECTURE.md", "executor", executor),
    ("docs/passes.md", "passes", passes),
    ("docs/methods.md", "recipes", recipes),
    ("docs/operators.md", "operators", operators),
)


def updated(text: str, name: str, body: str) -> str:
    """A page with one generated part replaced."""
    begin, end = BEGIN.format(name), END.format(name)
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    return f"{head}{begin}\n{body}\n{end}{tail}"


def pages() -> dict[Path, str]:
    """Every page with generated parts, as it should be."""
    found: dict[Path, str] = {}
    for file, name, write in PARTS:
        path = ROOT / file
        found[path] = updated(found.get(path, path.read_text(encoding="utf-8")), name, write())
    return found


def main() -> int:
    """Update the pages; with --check only say which are stale."""
    stale = [path for path, text in pages().items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{'stale' if '--check' in sys.argv else 'updated'}: {path.relative_to(ROOT)}\n")
        if "--check" not in sys.argv:
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
