# SPDX-License-Identifier: Apache-2.0
"""The floors of ARCHITECTURE.md: a room imports from those below it, at the top of its modules and in no circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "snncc"
MODULES = {
    ".".join(("snncc", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}
# fmt: off
#: From the ground up. A module lives in the longest name here that is its own or that of a folder above it.
FLOORS = (
    "errors", "names", "encoding",
    "neurons",
    "functions.compiled", "functions.numpy", "functions.onnx", "functions.numpy.table", "functions.torch", "functions",
    "ir",
    "data",
    "frontend.files", "frontend.normal", "frontend.operators", "frontend",
    "ann",
    "calibrate",
    "execute", "execute.torch", "execute.executors", "execute.native", "execute.onnx",
    "transform", "transform.passes",
    "conversion",
    "integer",
    "backends.torch", "backends.c", "backends.nir", "backends",
    "bundles",
    "simulation",
    "training",
    "reports",
    "study",
    "zoo",
    "api",
    "cli",
)
# fmt: on
#: What may be imported inside a function, or for types only: slow or optional things, by who does so.
LATE = {
    "snncc": {"snncc.api", "snncc.bundles", "snncc.conversion", "snncc.data"},  # the door opens when it is first used
    "snncc.cli": {"snncc"},  # commands import what they run, so that --help is there at once
    "snncc.frontend.files.load": {"snncc.frontend.files.from_torch"},  # torch's exporter takes seconds
    "snncc.functions.torch.foreign": {"onnxruntime"},  # its source ships in model.py, which may do without
    "snncc.backends.nir.graph": {"nir"},  # optional
    "snncc.zoo.engines": {"distributed", "ray"},  # optional
}
MOST_AT_THE_TOP, MOST_IN_A_FOLDER = 5, 20
#: One file per pass of a recipe: the folder is a list.
LISTS = {"transform/passes"}


def floor(module: str) -> int:
    """The place in the list; whatever is imported from `snncc` itself lies on the ground, for everything imports it."""
    name = module.removeprefix("snncc").removeprefix(".")
    while name and name not in FLOORS:
        name = name.rpartition(".")[0]
    return FLOORS.index(name) if name else -1


def imports(tree: ast.AST, late: bool = False) -> Iterator[tuple[str, bool]]:
    """The modules that a module imports, and whether late: inside a function or for types only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name if name in MODULES else str(node.module), late) for name in names)
        else:
            typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, late or typing or inside)


def may_be_late(module: str, imported: str) -> bool:
    """Whether the list says so."""
    allowed = [
        names for who, names in LATE.items() if module == who or (who != "snncc" and module.startswith(f"{who}."))
    ]
    return any(imported == name or imported.startswith(f"{name}.") for names in allowed for name in names)


def broken(module: str, source: str) -> Iterator[str]:
    """One line per import against the rules."""
    own = len(FLOORS) if module == "snncc" else floor(module)
    for imported, late in imports(ast.parse(source)):
        if imported.split(".")[0] == "snncc" and floor(imported) > own:
            yield f"{module} imports {imported}, which lies above it"
        if late and not may_be_late(module, imported):
            yield f"{module} imports {imported} late"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_keep_the_floors(module: str) -> None:
    assert list(broken(module, MODULES[module].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("snncc.ir.network", "from snncc.execute.torch.engine import Engine"),
        ("snncc.frontend.normal.one_node", "import snncc.frontend.operators.lower"),
        ("snncc.errors", "from snncc import names"),
        ("snncc.bundles.bundle", "if TYPE_CHECKING:\n    import torch"),
        ("snncc.zoo.run", "def f():\n    from snncc.zoo.engines import engine"),
        ("snncc.zoo.run", "class A:\n    def f(self):\n        import ray"),
    ],
)
def test_each_rule_can_fail(module: str, source: str) -> None:
    assert len(list(broken(module, source))) == 1


def test_every_room_is_in_the_list() -> None:
    assert [module for module in MODULES if floor(module) < 0 and module != "snncc"] == []
    assert [name for name in FLOORS if f"snncc.{name}" not in MODULES] == []


def test_modules_stand_in_no_circle() -> None:
    graph = {
        module: {name for name, _ in imports(ast.parse(path.read_text(encoding="utf-8")))} & MODULES.keys() - {"snncc"}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_rooms_are_small() -> None:
    assert len(list(SOURCE.glob("*.py"))) <= MOST_AT_THE_TOP
    files = {folder.relative_to(SOURCE).as_posix(): len(list(folder.glob("*.py"))) for folder in SOURCE.rglob("*/")}
    assert {name for name, count in files.items() if count > MOST_IN_A_FOLDER} - LISTS == set()
