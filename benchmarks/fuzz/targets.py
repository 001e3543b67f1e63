# SPDX-License-Identifier: Apache-2.0
"""The entry points: what is mutated, and what reads it. `make` writes an input into a folder, `read` takes it in."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import parser

from fuzz.mutate import mutate_bytes, mutate_json_bytes, mutate_message, mutate_toml, mutate_zip

GRAPHS = {
    "conv": "agraph (float[N,1,6,6] x) => (float[N,3] y) { c = Conv<pads=[1,1,1,1]>(x,k,b)  r = Relu(c)"
    "  p = MaxPool<kernel_shape=[2,2],strides=[2,2]>(r)  f = Flatten(p)  y = Gemm(f,w,v) }",
    "gates": "agraph (float[N,4] x) => (float[N,4] y) { s = Sigmoid(x)  m = Mul(s,x)  c = Clip(m,lo,hi)"
    "  a,q = Split<axis=1>(c,parts)  t = Concat<axis=1>(q,a)  n = Softmax<axis=-1>(t)  y = Add(n,x) }",
    "shapes": "agraph (float[N,2,3] x) => (float[N,3,2] y) { t = Transpose<perm=[0,2,1]>(x)  z = Shape(t)"
    "  r = Reshape(t,z)  g = ReduceMean<axes=[1],keepdims=1>(r)  d = Sub(r,g)  y = Relu(d) }",
    "branch": "agraph (float[N,4] x) => (float[N,4] y) { c = Constant<value = bool {1}>()"
    "  y = If<then_branch = th () => (float[N,4] u) { u = Relu(x) },"
    " else_branch = el () => (float[N,4] w) { w = Neg(x) }>(c) }",
    "quantized": "agraph (float[N,4] x) => (float[N,4] y) { q = QuantizeLinear(x,sc,zp)  d = DequantizeLinear(q,sc,zp)"
    "  y = Relu(d) }",
}
MANIFEST = b"""[defaults]
method = "rate"
timesteps = 8
max_drop = 0.01
[[models]]
path = "conv.onnx"
name = "conv"
calib = "data.npz"
shapes = { x = ["N", 1, 6, 6] }
preprocessing = { scale = 0.5, mean = [0.1], std = [0.2], layout = "as-is" }
options = { balance_thresholds = { percentile = 99.0 } }
min_accuracy = 0.5
seed = 3
time_limit = 60.0
[[models]]
path = "g*.onnx"
"""


@dataclass(frozen=True)
class Target:
    """An entry point."""

    make: Callable[[random.Random, Path], Path]
    read: Callable[[Path], object]


def graph(name: str) -> onnx.ModelProto:
    """One of the small models, with weights."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{GRAPHS[name]}')
    normal = np.random.default_rng(0).standard_normal
    weights: dict[str, Any] = {
        "conv": {"k": normal((2, 1, 3, 3)), "b": normal(2), "w": normal((18, 3)), "v": normal(3)},
        "gates": {"lo": np.float32(0), "hi": np.float32(6), "parts": np.array([2, 2])},
        "quantized": {"sc": np.float32(0.1), "zp": np.uint8(0)},
    }
    for key, value in weights.get(name, {}).items():
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, key))
    return model


@functools.cache
def graph_bytes(name: str) -> bytes:
    data: bytes = graph(name).SerializeToString()
    return data


def make_onnx(rng: random.Random, folder: Path) -> Path:
    """A model with a damaged graph, damaged bytes, or weights in a file elsewhere."""
    data = graph_bytes(rng.choice(sorted(GRAPHS)))
    if rng.random() < 0.7:
        model = onnx.ModelProto.FromString(data)
        if model.graph.initializer and rng.random() < 0.15:
            tensor = rng.choice(model.graph.initializer)
            raw = tensor.raw_data
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            (folder / "weights.bin").write_bytes(mutate_bytes(raw, rng) if rng.random() < 0.5 else raw)
            entries = {"location": "weights.bin", "offset": "0", "length": str(len(raw))}
            for key, value in entries.items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value
        mutate_message(model, rng)
        try:
            data = model.SerializeToString()
        except (ValueError, UnicodeEncodeError):
            data = mutate_bytes(data, rng)
    else:
        data = mutate_bytes(data, rng)
    (folder / "model.onnx").write_bytes(data)
    return folder / "model.onnx"


def read_onnx(path: Path) -> object:
    from snncc import api

    return api.check(path)


def convert_onnx(path: Path) -> object:
    from snncc import api

    return api.convert(path, method="rate", timesteps=2, write=False)


def make_npz(rng: random.Random, folder: Path) -> Path:
    """An archive of arrays, or one array."""
    x = np.arange(24, dtype=np.uint8).reshape(6, 4).astype(rng.choice(("f4", "u1", "i8", "f2", "?", "c8")))
    buffer = io.BytesIO()
    if rng.random() < 0.2:
        np.save(buffer, x)
        path, data = folder / "data.npy", mutate_bytes(buffer.getvalue(), rng)
    else:
        np.savez(buffer, x=x, y=np.arange(6), calib_x=x[:3])
        path, data = folder / "data.npz", mutate_zip(buffer.getvalue(), rng)
    path.write_bytes(data)
    return path


def read_npz(path: Path) -> object:
    from snncc.data.dataset import Preprocessing, read
    from snncc.data.inputs import InputSpec

    spec = InputSpec(name="x", shape=(None, 4), dtype=np.dtype(np.float32))
    found = [
        read(path, [spec], preprocessing=Preprocessing(scale=0.5), split=split) for split in ("calibration", "test")
    ]
    return [list(data.batches(4)) for data in found]


def make_recipe(rng: random.Random, folder: Path) -> Path:
    from snncc.conversion import recipe

    shipped = recipe.methods()
    data = shipped[rng.choice(sorted(shipped))].read_bytes()
    (folder / "recipe.toml").write_bytes(mutate_toml(data, rng))
    return folder / "recipe.toml"


def read_recipe(path: Path) -> object:
    from snncc.conversion import recipe

    return recipe.steps(recipe.load_recipe(path))


def make_manifest(rng: random.Random, folder: Path) -> Path:
    for name in ("conv", "gates"):
        (folder / f"{name}.onnx").write_bytes(graph_bytes(name))
    (folder / "zoo.toml").write_bytes(mutate_toml(MANIFEST, rng))
    return folder / "zoo.toml"


def read_manifest(path: Path) -> object:
    from snncc.zoo.plan import Choices, plan

    return plan([path], Choices(), path.parent / "out")


@functools.cache
def bundle_files() -> dict[str, bytes]:
    """A bundle to damage."""
    from snncc import api

    return dict(api.convert(graph("conv"), method="rate", timesteps=2, write=False).files)


def make_bundle(rng: random.Random, folder: Path) -> Path:
    """A bundle with one damaged file; mostly with the hashes of a forger."""
    files = dict(bundle_files())
    name = rng.choice(
        ("manifest.json", "network.json", "weights.safetensors", "samples.npz", "ann.onnx", "report.json")
    )
    how = mutate_json_bytes if name.endswith(".json") else mutate_zip if name.endswith(".npz") else mutate_bytes
    data = files[name]
    if name == "weights.safetensors" and rng.random() < 0.6:
        size = int.from_bytes(data[:8], "little")
        header = mutate_json_bytes(data[8 : 8 + size], rng)
        files[name] = len(header).to_bytes(8, "little") + header + data[8 + size :]
    elif name == "ann.onnx" and rng.random() < 0.6:
        model = onnx.ModelProto.FromString(data)
        mutate_message(model, rng)
        try:
            files[name] = model.SerializeToString()
        except (ValueError, UnicodeEncodeError):
            files[name] = mutate_bytes(data, rng)
    else:
        files[name] = how(data, rng)
    if name != "manifest.json" and rng.random() < 0.9:
        manifest = json.loads(files["manifest.json"])
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    target = folder / "net.snn"
    target.mkdir()
    for key, content in files.items():
        (target / key).write_bytes(content)
    return target


def read_bundle(path: Path) -> object:
    """Open it, build the module, read the report, and run the ANN and the network on its samples."""
    import torch

    from snncc.bundles.bundle import open_bundle
    from snncc.execute.torch.module import SpikingModule
    from snncc.reports.document import report_of

    opened = open_bundle(path)
    report_of(opened)
    truth = opened.truth()
    samples = opened.samples(truth).head(2)
    feeds = next(samples.batches(2))
    truth.run(feeds, list(opened.network.outputs))
    module = SpikingModule(opened.network, min(2, opened.manifest.timesteps))
    return module(*(torch.from_numpy(np.asarray(a)) for a in feeds.values()))


@functools.cache
def program_members() -> dict[str, bytes]:
    """The members of an exported program of torch."""
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, (torch.zeros(2, 4),)), buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def make_program(rng: random.Random, folder: Path) -> Path:
    """An exported program with one damaged member, or damaged bytes."""
    members = dict(program_members())
    name = rng.choice([name for name in members if name.endswith(".json")] * 3 + list(members))
    members[name] = (mutate_json_bytes if name.endswith(".json") else mutate_bytes)(members[name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    damaged = mutate_bytes(buffer.getvalue(), rng) if rng.random() < 0.1 else buffer.getvalue()
    (folder / "net.pt2").write_bytes(damaged)
    return folder / "net.pt2"


TARGETS = {
    "pt2": Target(make_program, read_onnx),
    "onnx": Target(make_onnx, read_onnx),
    "npz": Target(make_npz, read_npz),
    "recipe": Target(make_recipe, read_recipe),
    "manifest": Target(make_manifest, read_manifest),
    "bundle": Target(make_bundle, read_bundle),
    "convert": Target(make_onnx, convert_onnx),
}
