# SPDX-License-Identifier: Apache-2.0
"""A pass, a lowering, a neuron and a target from outside the package; the names that it offers."""

from __future__ import annotations

import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
import torch
from onnx import parser

import snncc
from snncc.errors import BundleError, EmitError, RecipeError, UsageError
from snncc.execute.executors import ReferenceExecutor, TorchExecutor
from snncc.frontend.operators.builder import Builder
from snncc.ir.network import Network
from snncc.ir.nodes import IF, Foreign, Linear, Node, Relu
from snncc.neurons import Definition, Neuron, Place
from snncc.transform import Context, Fidelity, Transform, transform

VERBS = {
    *("batch", "check", "compare", "convert", "convert_torch", "emit", "finetune", "load", "report", "simulate"),
}
TYPES = {"Bundle", "Dataset", "Preprocessing", "Recipe", "SnnccError"}
GRAPH = """
<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
g (float[N,6] x) => (float[N,3] y) {
  h = com.microsoft.FusedGemm <activation = "Relu", transB = 1> (x, w, b)
  y = MatMul(h, v)
}"""
T = 12


def decaying_step(node: Any, current: Any, state: Any, arrays: Any, place: Place) -> Any:
    (u,) = state or (np.zeros_like(current) + arrays[node.v_init],)
    u = node.decay * u + current
    z = (u >= arrays[node.threshold]).astype(u.dtype)
    return z * arrays[node.amplitude], (u - z * arrays[node.threshold],)


def decaying_scan(current: Any, threshold: Any, amplitude: Any, v_init: Any, *, decay: float, state: Any = None) -> Any:
    u, count = state or (torch.zeros_like(current[0]) + v_init, torch.zeros_like(current[0]))
    for t in range(len(current)):
        u = decay * u + current[t]
        z = (u >= threshold).to(u.dtype)
        u, current[t] = u - z * threshold, z * amplitude
    return current, (u, count)


class Decaying(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire whose membrane potential decays."""

    decay: float = 0.9
    DEFINITION: ClassVar[Definition] = Definition(step=decaying_step, scan=decaying_scan)


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"decay"})
def let_potentials_decay(net: Network, ctx: Context, *, decay: float = 0.9) -> Network:
    """Let the membrane potential of every integrate-and-fire neuron decay."""

    def change(node: Node) -> Node:
        if not isinstance(node, IF):
            return node
        kept = {name: getattr(node, name) for name in Neuron.__struct_fields__}
        return Decaying(**kept, decay=decay)

    ctx.note("approximation", net.outputs[0], f"membrane potentials decay by {decay:g} per step")
    return net.rewrite(change)


def fused_gemm(g: Builder, x: Any, weight: Any, bias: Any, *, activation: str = "Relu", transB: int = 0) -> Node:
    weight, name = weight if transB else weight.T, g.out
    g.out = g.fresh("product")
    product = g.unary(Linear, g.node(x), axis=1, weight=g.array("weight", weight), bias=g.array("bias", bias))
    g.out = name
    return g.unary(Relu, product)


def summary(source: Any, options: Any) -> Any:
    kinds = " ".join(type(node).__name__ for node in source.network.nodes)
    text = f"{source.name} {source.method} T={source.timesteps} {kinds}"
    return snncc.targets.Emitted(files={"summary/nodes.txt": text.encode()}, notes=("a summary, no network",))


def model() -> onnx.ModelProto:
    made, rng = parser.parse_model(GRAPH), np.random.default_rng(0)
    arrays = {"w": rng.normal(size=(8, 6)), "b": rng.normal(size=8), "v": rng.normal(size=(8, 3))}
    for name, array in arrays.items():
        made.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    return made


def samples() -> snncc.Dataset:
    x = np.random.default_rng(1).normal(size=(48, 6)).astype(np.float32)
    return snncc.Dataset(
        inputs={"x": x}, source="test", preprocessing=snncc.Preprocessing(), continuous=frozenset({"x"})
    )


def recipe() -> snncc.Recipe:
    return snncc.Recipe.of("rate").then("let_potentials_decay", {"decay": 0.8}, name="decaying")


OWN: dict[str, Any] = {
    "passes": [let_potentials_decay],
    "lowerings": {("com.microsoft", "FusedGemm"): fused_gemm},
    "targets": {"summary": summary},
}


def test_all_four_in_one_conversion(tmp_path: Path) -> None:
    given = samples()
    made = snncc.convert(
        model(), recipe=recipe(), calib=given, timesteps=T, emit="summary", out=tmp_path / "own.snn", **OWN
    )
    (neuron,) = (node for node in made.network.nodes if isinstance(node, Neuron))
    assert isinstance(neuron, Decaying)
    assert neuron.decay == 0.8
    assert made.files["summary/nodes.txt"] == b"g decaying T=12 Input Linear Decaying Linear"
    assert "a summary, no network" in made.notes
    assert b"a summary, no network" in made.files["report.json"]
    assert [record.name for record in made.manifest.records][-1] == "let_potentials_decay"

    defined = ReferenceExecutor(made.network).run(given.inputs, T, [T])
    fast = TorchExecutor(made.network, device="cpu", steps=5, dtype=torch.float64).run(given.inputs, T, [T])
    np.testing.assert_allclose(fast.outputs["y"], defined.outputs["y"], rtol=1e-9, atol=1e-9)
    assert defined.events[neuron.name].sum() > 0
    plain = snncc.convert(model(), method="rate", calib=given, timesteps=T, lowerings=OWN["lowerings"], write=False)
    without = ReferenceExecutor(plain.network).run(given.inputs, T, [T])
    assert not np.allclose(without.outputs["y"], defined.outputs["y"]), "the decay is felt"

    shown = np.asarray(made.module()(torch.from_numpy(given.inputs["x"]), timesteps=T))
    np.testing.assert_allclose(shown, defined.outputs["y"][0], rtol=1e-4, atol=1e-4)
    module: dict[str, Any] = {"__name__": "emitted"}
    exec(made.files["model.py"].decode(), module)  # the scan's source is in it
    emitted = module["SpikingNetwork"](tmp_path / "own.snn" / "weights.safetensors")
    np.testing.assert_allclose(emitted(torch.from_numpy(given.inputs["x"]), timesteps=T), shown, rtol=1e-5, atol=1e-5)
    with pytest.raises(BundleError, match="Decaying"):
        snncc.load(tmp_path / "own.snn")  # opening a bundle runs no code, so it knows our neurons only


@pytest.mark.parametrize("key", ["FusedGemm", ("com.microsoft", "FusedGemm")])
def test_a_lowering_goes_before_what_is_carried_along(key: Any) -> None:
    kinds = []
    for own in ({}, {key: fused_gemm}):
        made = snncc.convert(model(), method="rate", calib=samples(), timesteps=4, lowerings=own, write=False)
        kinds.append([type(getattr(node, "function", node)) for node in made.network.nodes])
    assert Foreign in kinds[0]
    assert Foreign not in kinds[1]


def test_an_attribute_that_a_lowering_does_not_take_leaves_the_node_to_onnxruntime() -> None:
    def plain(g: Builder, x: Any, weight: Any, bias: Any) -> Node:
        return fused_gemm(g, x, weight, bias)

    made = snncc.convert(
        model(), method="rate", calib=samples(), timesteps=4, lowerings={"FusedGemm": plain}, write=False
    )
    assert any(isinstance(getattr(node, "function", node), Foreign) for node in made.network.nodes)


def renamed(name: str) -> Transform:
    return Transform(
        name=name,
        function=let_potentials_decay.function,
        fidelity=Fidelity.EMPIRICAL,
        needs=frozenset(),
        gives=frozenset(),
        options=let_potentials_decay.options,
    )


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"passes": [renamed("fold_batchnorm")]}, RecipeError, "there is a pass fold_batchnorm already"),
        ({"passes": [let_potentials_decay, let_potentials_decay]}, RecipeError, "a pass let_potentials_decay already"),
        ({"passes": [print]}, RecipeError, "is not a pass"),
        ({"lowerings": {"Relu": fused_gemm}}, UsageError, "Relu has a lowering already"),
        ({"lowerings": {("ai.onnx", "Relu"): fused_gemm}}, UsageError, "Relu has a lowering already"),
        ({"targets": {"onnx": summary}}, EmitError, "there is a target onnx already"),
        ({"emit": "summery", "targets": {"summary": summary}}, EmitError, "no target 'summery' -> emit .*summary"),
        ({"recipe": recipe(), "passes": []}, RecipeError, "there is no pass 'let_potentials_decay'"),
    ],
)
def test_nothing_of_ours_is_replaced(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        snncc.convert("no such model.onnx", write=False, **given)


def test_a_recipe_file_names_no_code_of_others(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    entries = "".join(f'[[passes]]\nuse = "{entry.use}"\n' for entry in recipe().passes)
    path.write_text(f'name = "own"\nsource = ""\nsummary = ""\n{entries}')
    with pytest.raises(RecipeError, match="there is no pass 'let_potentials_decay'"):
        snncc.convert(model(), recipe=path, passes=[let_potentials_decay], write=False)


@pytest.mark.parametrize("name", ["model.py", "other/a", "summary/../a", "summary", "/summary/a"])
def test_a_target_stays_in_its_folder(name: str) -> None:
    def astray(source: Any, options: Any) -> Any:
        return snncc.targets.Emitted(files={name: b""})

    with pytest.raises(EmitError, match="target summary emits"):
        snncc.convert(
            model(),
            method="rate",
            calib=samples(),
            timesteps=2,
            emit="summary",
            targets={"summary": astray},
            write=False,
        )


def test_names() -> None:
    assert set(snncc.__all__) == VERBS | TYPES | {"targets"}
    for name in VERBS:
        assert callable(getattr(snncc, name))
    assert issubclass(BundleError, snncc.SnnccError)
    text = pydoc.render_doc(snncc, renderer=pydoc.plaintext)
    assert all(name in text for name in VERBS | TYPES)


def test_the_door_is_light() -> None:
    code = "import sys, snncc; names = dir(snncc); print('torch' in sys.modules or 'onnx' in sys.modules, *names)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, *names = result.stdout.split()
    assert heavy == "False"
    assert set(names) >= VERBS | TYPES | {"targets"}
