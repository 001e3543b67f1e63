# SPDX-License-Identifier: Apache-2.0
"""The emitted torch module, run in a process of its own without snncc, against the executor; and as code."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from spiking_networks import EXAMPLES, HOSTILE, Example, every_neuron, images

from small_models import ran
from snncc.ann.truth import Truth
from snncc.backends.torch import runtime as torch_runtime
from snncc.backends.torch import runtime_single as torch_runtime_single
from snncc.backends.torch.module import NEURON_MODULES, emit
from snncc.backends.torch.python_text import Names, leaf_modules, literal, remark, statement
from snncc.backends.torch.sources import import_lines, table
from snncc.conversion import recipe
from snncc.data.dataset import Dataset, Preprocessing, synthetic
from snncc.errors import InvariantBroken
from snncc.execute.torch.engine import Engine
from snncc.frontend.files.load import load
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.functions.torch.table import MODULES
from snncc.ir.network import Network

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"

#: Runs every module of a folder in float32 and float64 and writes what it returns.
RUNNER = """
import importlib.util, json, pathlib, sys
import numpy as np, torch
torch.set_num_threads(int(sys.argv[2]))
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    spec = importlib.util.spec_from_file_location("emitted", folder / "model.py")
    emitted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emitted)
    feeds = np.load(folder / "feeds.npz")
    steps = json.loads((folder / "steps.json").read_text())
    found = {}
    for dtype in (torch.float32, torch.float64):
        module = emitted.SpikingNetwork().to(dtype)
        inputs = [torch.from_numpy(feeds[f"arr_{i}"]) for i in range(len(feeds))]
        result = module(*[x.to(dtype) if x.is_floating_point() else x for x in inputs], timesteps=steps)
        results = list(result.values()) if isinstance(result, dict) else [result]
        found |= {f"{dtype}{i}": x.numpy() for i, x in enumerate(results)}
        (folder / "names.json").write_text(json.dumps(list(result) if isinstance(result, dict) else []))
    np.savez(folder / "found.npz", **found)
assert "snncc" not in sys.modules
"""


def write(folder: Path, example: Example, title: str = "a network by hand") -> str:
    """model.py, its weights and its feeds in a new folder; returns the source."""
    folder.mkdir(parents=True)
    network = example.network
    source = emit(network, title=title, timesteps=example.timesteps)
    (folder / "model.py").write_text(source, encoding="utf-8")
    arrays = {name: np.ascontiguousarray(a) for name, a in sorted(network.arrays.items())}
    (folder / "weights.safetensors").write_bytes(safetensors.numpy.save(arrays))
    np.savez(folder / "feeds.npz", *[example.feeds[node.name] for node in network.inputs])
    (folder / "steps.json").write_text(json.dumps(example.timesteps))
    return source


def run_alone(folder: Path) -> None:
    """Run all modules of a folder in a process that knows nothing of this one."""
    command = [sys.executable, "-I", "-W", "error", "-c", RUNNER, str(folder), str(torch.get_num_threads())]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={}, check=False)
    assert result.returncode == 0, result.stderr


def executed(example: Example, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """What the executor gives, samples one by one where the network has no axis for them."""
    engine, feeds = Engine(example.network, dtype=dtype), example.feeds
    if example.network.inputs[0].batch is not None:
        outputs = engine.run(feeds, example.timesteps, count=False).outputs
        return {name: x[0].numpy() for name, x in outputs.items()}
    count = len(feeds[example.network.inputs[0].name])
    pieces = [{name: x[i : i + 1] for name, x in feeds.items()} for i in range(count)]
    parts = [
        engine.run(piece, example.timesteps, count=False, first_sample=i).outputs for i, piece in enumerate(pieces)
    ]
    return {name: np.stack([part[name][0].numpy() for part in parts]) for name in example.network.outputs}


def same(folder: Path, example: Example) -> None:
    """Compare what `run_alone` found with the executor, bit for bit."""
    names = list(example.network.outputs)
    assert json.loads((folder / "names.json").read_text()) == (names if len(names) > 1 else [])
    found = np.load(folder / "found.npz")
    for dtype in (torch.float32, torch.float64):
        expected = executed(example, dtype)
        for i, name in enumerate(names):
            got = found[f"{dtype}{i}"]
            assert got.dtype == expected[name].dtype
            np.testing.assert_array_equal(got, expected[name], err_msg=f"{name} {dtype}")


@dataclass(frozen=True)
class Written:
    """The examples, written and run."""

    folder: Path
    examples: Mapping[str, Example]
    sources: Mapping[str, str]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("emitted")
    examples = {name: make() for name, make in EXAMPLES.items()}
    sources = {name: write(folder / name, example) for name, example in examples.items()}
    run_alone(folder)
    return Written(folder, examples, sources)


@pytest.mark.parametrize("name", EXAMPLES)
def test_equals_the_executor(written: Written, name: str) -> None:
    same(written.folder / name, written.examples[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_is_not_trivial(written: Written, name: str) -> None:
    for value in executed(written.examples[name], torch.float64).values():
        assert np.ptp(value) > 0


def converted(path: Path, method: str, data: Callable[[Truth], Dataset]) -> tuple[Network, dict[str, np.ndarray]]:
    """The network that a method makes of a model, and three samples."""
    source = samples_first(load(path))
    truth = Truth(source, threads=1)
    samples = data(truth)
    steps = recipe.steps(recipe.load_method(method))
    outcome = ran(lowered_network(normalize(source)), steps, truth=truth, calibration=samples, timesteps=8, seed=0)
    return outcome.network, next(samples.head(3).batches(3))


def digits(truth: Truth) -> Dataset:
    images = np.load(DIGITS / "digits.npz")
    array = next(a for a in images.values() if a.ndim > 1)[:32].astype(np.float32)
    name = truth.inputs[0].name
    return Dataset(inputs={name: array}, source="digits", preprocessing=Preprocessing(), continuous=frozenset({name}))


@pytest.mark.parametrize("method", ["rate", "dnisnm"])
def test_digits(tmp_path: Path, method: str) -> None:
    network, feeds = converted(DIGITS / "digits.onnx", method, digits)
    example = Example(network=network, feeds=feeds, timesteps=8)
    write(tmp_path / "digits", example)
    run_alone(tmp_path)
    same(tmp_path / "digits", example)


@pytest.mark.slow
@pytest.mark.data
def test_resnet20(tmp_path: Path, data_folder: Path) -> None:
    path = data_folder / "models" / "akamaster__resnet20_bn_op13.onnx"
    network, feeds = converted(path, "dnisnm", lambda truth: synthetic(truth.inputs, 8, 0))
    example = Example(network=network, feeds=feeds, timesteps=4)
    source = write(tmp_path / "resnet20", example)
    run_alone(tmp_path)
    same(tmp_path / "resnet20", example)
    assert formatted(tmp_path)
    assert len(source.splitlines()) < 900


def test_torch_export_accepts_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, feeds = converted(DIGITS / "digits.onnx", "rate", digits)
    write(tmp_path / "digits", Example(network=network, feeds=feeds, timesteps=4))
    space: dict[str, type[torch.nn.Module]] = {}
    exec((tmp_path / "digits" / "model.py").read_text(), space)
    module = space["SpikingNetwork"](tmp_path / "digits" / "weights.safetensors")
    x = torch.from_numpy(feeds[network.inputs[0].name])
    program = torch.export.export(module, (x,))
    assert torch.equal(program.module()(x), module(x))
    assert torch.equal(module(x), Engine(network).run({network.inputs[0].name: x}, 4).outputs[network.outputs[0]][0])


def formatted(folder: Path) -> bool:
    """Whether ruff would leave every file as it is, and finds nothing in it."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check", "--diff", "--line-length", "120"], ["check", "--line-length", "120"]):
        result = subprocess.run(
            [*ruff, *command, "--isolated", "--no-cache", str(folder)], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    return True


def test_formatting_and_lint(written: Written) -> None:
    assert formatted(written.folder)


@pytest.mark.slow
def test_types(written: Written, tmp_path: Path) -> None:
    for name, source in written.sources.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    parts = table([*MODULES, *NEURON_MODULES, torch_runtime]).values()
    whole = [import_lines({i for part in parts for i in part.imports}), *[part.source for part in parts]]
    (tmp_path / "everything.py").write_text("\n\n\n".join(whole) + "\n", encoding="utf-8")
    assert formatted(tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    untyped = "--disable-error-code=import-untyped"  # onnxruntime has no types
    result = subprocess.run([*command, untyped, "."], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_bytes_are_the_same_in_every_process(written: Written) -> None:
    code = (
        "import hashlib, json, spiking_networks as s; from snncc.backends.torch.module import NEURON_MODULES, emit\n"
        "sources = {n: emit((e := f()).network, title='a network by hand', timesteps=e.timesteps)"
        " for n, f in s.EXAMPLES.items()}\n"
        "import sys; sys.stdout.write(json.dumps(sources))"
    )
    path = [str(Path(__file__).parent), str(Path(torch_runtime.__file__).parents[3])]
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(path)}
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
        assert json.loads(result.stdout) == written.sources


@pytest.mark.parametrize("name", EXAMPLES)
def test_contains_only_what_it_uses(written: Written, name: str) -> None:
    source = written.sources[name]
    tree = ast.parse(source)
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    words = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assert all(word in words for word in defined)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"torch", "torch.nn.functional", "math"} | ({"onnxruntime"} if name == "foreign" else set())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules <= {"__future__", "collections.abc", "functools", "pathlib", "safetensors.torch", "torch", "typing"}


def test_says_that_it_needs_onnxruntime(written: Written) -> None:
    assert "also onnxruntime, for Celu" in written.sources["foreign"]
    assert all("onnxruntime" not in source for name, source in written.sources.items() if name != "foreign")


def test_hostile_names_stay_in_comments_and_strings(written: Written) -> None:
    source = written.sources["hostile"]
    assert source.isascii()
    tree = ast.parse(source)
    methods = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert {m.name for m in methods} >= {"SpikingNetwork", "forward"}
    text = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    arrays = set(written.examples["hostile"].network.arrays)
    assert arrays <= text
    assert {key.rsplit("/", 1)[0] for key in arrays} >= set(HOSTILE)


def test_hostile_title() -> None:
    title = 'a """ + evil + """ \\ {x} \n\x1b[0m \u202e'
    source = emit(every_neuron(), title=title, timesteps=3)
    document = ast.get_docstring(ast.parse(source))
    assert document is not None
    assert document.startswith("a ''' + evil + ''' \\ {x} \\n\\x1b[0m \\u202e\n")


def test_refuses_an_ann() -> None:
    with pytest.raises(InvariantBroken, match="ann stage"):
        emit(Network(nodes=(), outputs=(), arrays={}), title="", timesteps=1)


def test_refuses_no_steps(written: Written) -> None:
    space: dict[str, type[torch.nn.Module]] = {}
    exec(written.sources["images"], space)
    module = space["SpikingNetwork"](written.folder / "images" / "weights.safetensors")
    with pytest.raises(ValueError, match="at least 1"):
        module(torch.zeros(1, 2, 6, 6), timesteps=0)


def test_input_is_left_alone(written: Written) -> None:
    space: dict[str, type[torch.nn.Module]] = {}
    exec(written.sources["images"], space)
    module = space["SpikingNetwork"](written.folder / "images" / "weights.safetensors")
    x = torch.from_numpy(EXAMPLES["images"]().feeds["x"])
    before = x.clone()
    first, second = module(x), module(x)
    assert torch.equal(x, before)
    assert all(torch.equal(first[name], second[name]) for name in images().outputs)


def test_random_streams_belong_to_samples(written: Written) -> None:
    space: dict[str, type[torch.nn.Module]] = {}
    exec(written.sources["adaptive"], space)
    module = space["SpikingNetwork"](written.folder / "adaptive" / "weights.safetensors")
    x = torch.from_numpy(written.examples["adaptive"].feeds["x"])
    both, second = module(x), module(x[2:], first_sample=2)
    assert torch.equal(both["drawn"][2:], second["drawn"])
    assert not torch.equal(module(x[2:])["drawn"], second["drawn"])
    assert "first_sample" not in written.sources["every_neuron"].split("class ")[1]


def test_functions_have_unique_names() -> None:
    assert "if_scan" in table([*MODULES, *NEURON_MODULES, torch_runtime])
    assert "each_step" in table([torch_runtime_single])
    with pytest.raises(InvariantBroken, match="fold"):
        table([torch_runtime, torch_runtime_single])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e20, "1e20"),
        (-1e-7, "-1e-07"),
        (float("-inf"), 'float("-inf")'),
        (float("nan"), 'float("nan")'),
        ((1,), "(1,)"),
        ((), "()"),
        (((1, 2), (True, None)), "((1, 2), (True, None))"),
        ('"\n', '"\\x22\\n"'),
    ],
)
def test_literals(value: object, text: str) -> None:
    assert str(literal(value)) == text
    if value == value:
        assert eval(text) == value  # noqa: S307 - the text is this test's own


def test_long_tuples_are_written_out() -> None:
    odd = tuple((j * j) % 97 for j in range(60))
    lines = statement("x = ", literal(odd), "[60]")
    assert len(lines) == 62
    space: dict[str, tuple[int, ...]] = {}
    exec("\n".join(line[8:] for line in lines), space)
    assert space["x"] == odd


def test_identifiers() -> None:
    names = Names(["fold"])
    assert names.made("/layer1/layer1.0/conv1/Conv_output_0", "conv") == "layer1_0_conv1_conv"
    assert [names.made(text, "conv") for text in ("fold", "for", "193", "", "層", "list")] == [
        "fold_2",
        "for_2",
        "conv_193",
        "conv",
        "conv_2",
        "list_2",
    ]


def test_leaf_modules() -> None:
    names = ["/bn1/BatchNormalization_output_0", "/l/Add_output_0", "/l/conv/Conv_output_0", "/Flatten_output_0", "y"]
    assert leaf_modules(names) == dict(
        zip(names, ["/bn1", "/l/Add_output_0", "/l/conv", "/Flatten_output_0", "y"], strict=True)
    )


def test_remarks_are_short_printable_ascii() -> None:
    assert remark("a\nb#é") == "a\\nb\\x23\\xe9"
    assert len(remark("x" * 1000)) == 80
