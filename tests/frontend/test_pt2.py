# SPDX-License-Identifier: Apache-2.0
"""Exported programs of torch convert; nothing that could run code in one is loaded."""

from __future__ import annotations

import contextlib
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import snncc
from snncc.errors import UnreadableModel
from snncc.frontend.files.load import load
from snncc.frontend.files.pt2 import exported_program

WEIGHTS = "data/weights/model_weights_config.json"


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.norm, self.linear = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(36, 3)
        self.register_buffer("shift", torch.full((3,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.avg_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        out: torch.Tensor = self.linear(h.flatten(1)) + self.shift
        return out


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "small.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = torch.export.Dim("batch", min=1, max=1024)
        made = torch.export.export(Small().eval(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: batch},))
        torch.export.save(made, path)
    return path


def test_it_computes_what_the_module_computes(program: Path) -> None:
    model = load(program)
    x = np.random.default_rng(0).standard_normal((5, 1, 8, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {model.graph.input[0].name: x})[0]
    expected = Small().eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_it_converts(program: Path, tmp_path: Path) -> None:
    converted = snncc.convert(program, method="rate", timesteps=64, out=tmp_path / "small.snn")
    x = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    found, expected = converted.module()(x), Small().eval()(x).detach()
    assert isinstance(found, torch.Tensor)
    assert float((found - expected).square().mean() / expected.square().mean()) < 0.05


Change = Callable[[dict[str, bytes]], None]


def rewritten(program: Path, out: Path, change: Change) -> Path:
    with zipfile.ZipFile(program) as archive:
        root = archive.namelist()[0].split("/")[0]
        members = {name.removeprefix(f"{root}/"): archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{root}/{name}", data)
    return out


def edit(member: str, change: Callable[[Any], None]) -> Change:
    def apply(members: dict[str, bytes]) -> None:
        document = json.loads(members[member])
        change(document)
        members[member] = json.dumps(document).encode()

    return apply


class Evil:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


def graph(document: Any) -> Any:
    return document["graph_module"]["graph"]


def set_weight(key: str, value: object) -> Change:
    return edit(WEIGHTS, lambda d: next(iter(d["config"].values())).update({key: value}))


def set_node(key: str, value: object) -> Change:
    return edit("models/model.json", lambda d: graph(d)["nodes"][0].update({key: value}))


def set_size(value: str) -> Change:
    return edit(
        "models/model.json",
        lambda d: graph(d)["tensor_values"]["x"]["sizes"][0].update({"as_expr": {"expr_str": value}}),
    )


HOSTILE: dict[str, Change] = {
    "a pickled weight": set_weight("use_pickle", True),
    "a weight elsewhere": set_weight("path_name", "../../../etc/passwd"),
    "a weight larger than its data": edit(
        WEIGHTS, lambda d: next(iter(d["config"].values()))["tensor_meta"].update({"sizes": [{"as_int": 1 << 30}]})
    ),
    "an object": lambda members: members.update({"data/constants/custom_obj_0": b"x"}),
    "a compiled model": lambda members: members.update({"data/aotinductor/model/x.so": b"x"}),
    "legacy weights": lambda members: members.update({"data/weights/model.pt": b"x"}),
    "a function of torch": set_node("target", "torch.hub.load"),
    "a way out of torch": set_node("target", "torch.os.system"),
    "a file": set_node("target", "torch.ops.aten.from_file.default"),
    "an operator of another library": set_node("target", "torch.ops.fsdp.all_gather.default"),
    "an extension": set_node("target", "#evil:run"),
    "code in a name": edit(
        "models/model.json", lambda d: graph(d)["inputs"][-1]["as_tensor"].update(name="x=print(1)")
    ),
    "code in a size": set_size("__import__('os').system('true')"),
    "a power in a size": set_size("9**9**9**9"),
    "a class in the structure": edit(
        "models/model.json",
        lambda d: d["graph_module"]["module_call_graph"][0]["signature"].update(in_spec='[1, {"type": "os.system"}]'),
    ),
    "no graph": edit("models/model.json", lambda d: d.pop("graph_module")),
    "JSON without end": lambda members: members.update({"models/model.json": b"[" * 100_000}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_run_code_is_refused_before_torch_sees_it(program: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableModel):
        exported_program(rewritten(program, tmp_path / "evil.pt2", HOSTILE[name]))


def test_pickles_in_it_are_not_opened(program: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    evil = pickle.dumps(Evil(witness))
    path = rewritten(
        program, tmp_path / "evil.pt2", lambda members: members.update({"data/sample_inputs/model.pt": evil})
    )
    load(path)  # the sample inputs are left out
    first = next(iter(json.loads(zipfile.ZipFile(program).read(f"small/{WEIGHTS}"))["config"].values()))["path_name"]

    def swap(members: dict[str, bytes]) -> None:
        members[f"data/weights/{first}"] = evil
        set_weight("use_pickle", True)(members)

    with pytest.raises(UnreadableModel, match="pickle"):
        load(rewritten(program, tmp_path / "evil2.pt2", swap))
    assert not witness.exists()
    with warnings.catch_warnings(), contextlib.suppress(RuntimeError):
        warnings.simplefilter("ignore")
        torch.export.load(tmp_path / "evil2.pt2")
    assert witness.exists(), "torch itself opens it; else the test shows nothing"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04nothing", b"\x80\x02}q\x00."])
def test_files_that_are_no_programs(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt2").write_bytes(data)
    with pytest.raises(UnreadableModel, match=r"a\.pt2.*no exported program"):
        load(tmp_path / "a.pt2")
