# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can check: see "House rules" in ARCHITECTURE.md."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from radon.complexity import cc_visit
from radon.visitors import Function

SOURCE = Path(__file__).resolve().parent.parent / "src" / "snncc"
FILES = sorted(SOURCE.rglob("*.py"))
SPDX = "# SPDX-License-Identifier: Apache-2.0"
MAX_LINES = 320
#: Of a function: its lines, and its cyclomatic complexity (McCabe 1976).
LONGEST, MOST_COMPLEX = 60, 15
HEAVY = ("torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript")


def imports(node: ast.AST) -> set[str]:
    """The top-level packages that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").split(".")[0]}
    return set()


def is_exception(node: ast.expr | None) -> bool:
    name = node.func if isinstance(node, ast.Call) else node
    return isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"}


def broken_rules(source: str, filename: str) -> Iterator[str]:
    """One line per broken rule, with its place."""
    lines = source.splitlines()
    if not lines or lines[0] != SPDX:
        yield f"{filename}:1 does not begin with {SPDX!r}"
    if len(lines) > MAX_LINES:
        yield f"{filename} has {len(lines)} lines, more than {MAX_LINES}"
    if Path(filename).name in {"utils.py", "helpers.py"}:
        yield f"{filename} is named after nothing"
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                yield f"{filename}:{node.lineno} print"
            case ast.Assert():
                yield f"{filename}:{node.lineno} assert"
            case ast.Raise() if is_exception(node.exc):
                yield f"{filename}:{node.lineno} raise Exception"
            case ast.ExceptHandler(type=None):
                yield f"{filename}:{node.lineno} bare except"
            case ast.Import() | ast.ImportFrom() if "rich" in imports(node) and filename != "cli/console.py":
                yield f"{filename}:{node.lineno} imports rich"
            case _:
                pass


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_file_keeps_the_rules(file: Path) -> None:
    name = file.relative_to(SOURCE).as_posix()
    assert list(broken_rules(file.read_text(encoding="utf-8"), name)) == []


@pytest.mark.parametrize(
    ("filename", "body"),
    [
        ("a.py", "print(1)"),
        ("a.py", "assert True"),
        ("a.py", "raise Exception('x')"),
        ("a.py", "raise Exception"),
        ("a.py", "try:\n    pass\nexcept:\n    pass"),
        ("a.py", "def f():\n    from rich.table import Table"),
        ("reports/console.py", "import rich"),
        ("ir/utils.py", ""),
        ("helpers.py", ""),
        ("a.py", "\n" * MAX_LINES),
    ],
)
def test_each_rule_can_fail(filename: str, body: str) -> None:
    assert len(list(broken_rules(f"{SPDX}\n{body}", filename))) == 1


def test_missing_spdx_line_is_found() -> None:
    assert len(list(broken_rules('"""Text."""', "a.py"))) == 1


def test_importing_the_command_line_is_light() -> None:
    code = f"import sys, snncc.cli; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def large_functions(source: str) -> Iterator[tuple[str, int, int]]:
    """Each function that is too long or too complex, with its lines and its complexity."""
    for block in cc_visit(source):
        if isinstance(block, Function):
            lines = block.endline - block.lineno + 1
            if lines > LONGEST or block.complexity > MOST_COMPLEX:
                yield block.fullname, lines, block.complexity


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_functions_are_small(file: Path) -> None:
    assert list(large_functions(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("body", ["    x = 1\n" * LONGEST, "    if x: x = 1\n" * MOST_COMPLEX])
def test_large_functions_are_found(body: str) -> None:
    assert len([*large_functions(f"def f(x):\n{body}")]) == 1
    assert len([*large_functions(f"class A:\n  def f(self, x):\n{body}")]) == 1
