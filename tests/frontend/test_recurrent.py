# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from three_ways import draw, model, prepared, same_three_ways, single, truth

from snncc.execute import reference
from snncc.execute.torch.engine import Engine
from snncc.frontend.operators.recurrent import ACTIVATIONS as KNOWN
from snncc.ir.nodes import Differential, Linear, Operator

LENGTH, FEATURES, HIDDEN = 5, 3, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": ["Y", "Y_h", "Y_c"], "GRU": ["Y", "Y_h"], "RNN": ["Y", "Y_h"]}
OPS = list(GATES)
ACTIVATIONS = (
    "Affine", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "ScaledTanh", "Sigmoid", "Softplus", "Softsign", "Tanh",
    "ThresholdedRelu",
)  # fmt: skip


def recurrent(
    op: str,
    *,
    bias: bool = True,
    lens: bool = False,
    fixed_lens: list[int] | None = None,
    initial: str = "none",
    peephole: bool = False,
    outputs: list[str] | None = None,
    opset: int = 21,
    **attributes: Any,
) -> onnx.ModelProto:
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    width = GATES[op] * HIDDEN
    constants = {"W": draw(directions, width, FEATURES) / 2, "R": draw(directions, width, HIDDEN) / 2}
    inputs: dict[str, list[int | str]] = {"X": [LENGTH, "N", FEATURES]}
    order = ["X", "W", "R"] + [""] * 5
    if bias:
        constants["B"] = draw(directions, 2 * width)
        order[3] = "B"
    if lens:
        inputs["lens"] = ["N"]
        order[4] = "lens"
    if fixed_lens:
        constants["lens"] = np.array(fixed_lens, np.int32)
        order[4] = "lens"
    states = ["h0", "c0"] if op == "LSTM" else ["h0"]
    for i, name in enumerate(states if initial != "none" else []):
        order[5 + i] = name
        if initial == "input":
            inputs[name] = [directions, "N", HIDDEN]
        else:
            constants[name] = draw(directions, 1, HIDDEN)
    if peephole:
        constants["P"] = draw(directions, 3 * HIDDEN)
        order[7] = "P"
    while not order[-1]:
        order.pop()
    return single(
        op, inputs, constants, outputs or OUTPUTS[op], order, opset=opset, types={"lens": TensorProto.INT32},
        hidden_size=HIDDEN, **attributes,
    )  # fmt: skip


SHAPES = {"X": (LENGTH, "N", FEATURES)}
FEEDS = {"X": draw(3, LENGTH, FEATURES)}


def same(source: onnx.ModelProto) -> None:
    same_three_ways(source, FEEDS, **SHAPES)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", OPS)
def test_direction(op: str, direction: str) -> None:
    same(recurrent(op, direction=direction))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("opset", [7, 14, 22])
def test_defaults_and_opsets(op: str, opset: int) -> None:
    same(recurrent(op, bias=False, opset=opset))


@pytest.mark.parametrize("op", OPS)
def test_each_output_alone(op: str) -> None:
    for i, name in enumerate(OUTPUTS[op]):
        _, lowered = prepared(recurrent(op, outputs=[""] * i + [name]), **SHAPES)
        assert lowered.network is not None
        recurrences = [n for n in lowered.network.nodes if isinstance(n, Operator)]
        assert [n.attributes["output"] for n in recurrences] == [name.lower()]
        assert sum(isinstance(n, Linear) for n in lowered.network.nodes) == 1
        same(recurrent(op, outputs=[""] * i + [name]))


@pytest.mark.parametrize("op", OPS)
def test_clip(op: str) -> None:
    same(recurrent(op, clip=0.3, direction="bidirectional"))


@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_linear_before_reset(linear_before_reset: int) -> None:
    same(recurrent("GRU", linear_before_reset=linear_before_reset))


def test_input_forget_and_peepholes() -> None:
    same(recurrent("LSTM", input_forget=1))
    same(recurrent("LSTM", peephole=True))
    same(recurrent("LSTM", peephole=True, input_forget=1, direction="bidirectional"))


@pytest.mark.parametrize("op", OPS)
def test_initial_states(op: str) -> None:
    feeds, shapes = dict(FEEDS), dict(SHAPES)
    for name in ("h0", "c0") if op == "LSTM" else ("h0",):
        feeds[name] = draw(3, 2, HIDDEN)
        shapes[name] = (2, "N", HIDDEN)
    same_three_ways(recurrent(op, initial="input", direction="bidirectional"), feeds, **shapes)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("op", OPS)
def test_sequence_lengths(op: str, direction: str) -> None:
    feeds = {**FEEDS, "lens": np.array([2, 5, 1], np.int32)}
    same_three_ways(recurrent(op, lens=True, direction=direction), feeds, **SHAPES, lens=("N",))


def same_for_each_sample(source: onnx.ModelProto, outputs: list[str]) -> None:
    """As `same`, where constants of one sample keep onnxruntime from taking three."""
    ready, lowered = prepared(source, **SHAPES)
    assert lowered.network is not None
    together, torched = reference.evaluate(lowered.network, FEEDS), Engine(lowered.network).evaluate(FEEDS)
    for i in range(3):
        want = truth(ready, {"X": FEEDS["X"][i : i + 1]})
        for name in outputs:
            axis = 2 if name == "Y" else 1
            np.testing.assert_allclose(np.take(together[name], [i], axis), want[name], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(np.take(torched[name].numpy(), [i], axis), want[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", OPS)
def test_constants_of_one_sample_hold_for_every_sample(op: str) -> None:
    same_for_each_sample(recurrent(op, fixed_lens=[3], direction="reverse"), OUTPUTS[op])
    same_for_each_sample(recurrent(op, initial="constant", direction="bidirectional"), OUTPUTS[op])


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("op", OPS)
def test_activations(op: str, name: str) -> None:
    names = {"LSTM": ["Sigmoid", name, name], "GRU": ["Sigmoid", name], "RNN": [name]}[op]
    same(recurrent(op, activations=names))


def test_no_activation_is_forgotten() -> None:
    assert {name.lower() for name in ACTIVATIONS} == set(KNOWN)


def test_alpha_and_beta_go_to_those_that_take_them() -> None:
    kinds = ["HardSigmoid", "Tanh", "ScaledTanh", "Sigmoid", "LeakyRelu", "Affine"]
    same(
        recurrent(
            "LSTM",
            direction="bidirectional",
            activations=kinds,
            activation_alpha=[0.3, 0.7, 0.05, 0.8],
            activation_beta=[0.4, 0.6, 0.1],
        )
    )


def test_unknown_activation_is_refused() -> None:
    _, lowered = prepared(recurrent("RNN", activations=["Sinus"]), **SHAPES)
    assert lowered.network is None
    assert "sinus" in lowered.problems[0].reason


@pytest.mark.parametrize("op", OPS)
def test_samples_first_layout(op: str) -> None:
    """layout=1 has no kernel in onnxruntime: ONNX's own evaluator knows it."""
    source = recurrent(op, layout=1, initial="constant")
    source.graph.input[0].CopyFrom(helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", LENGTH, FEATURES]))
    for tensor in source.graph.initializer:
        if tensor.name in ("h0", "c0"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(draw(1, 1, HIDDEN), tensor.name))
    ready, lowered = prepared(source)
    assert lowered.network is not None, lowered.problems
    x = draw(1, LENGTH, FEATURES)
    want = ReferenceEvaluator(ready).run(None, {"X": x})
    found, torched = reference.evaluate(lowered.network, {"X": x}), Engine(lowered.network).evaluate({"X": x})
    for name, value in zip(OUTPUTS[op], want, strict=False):
        assert found[name].shape == torched[name].shape == value.shape
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(torched[name].numpy(), value, rtol=1e-5, atol=1e-5)


def test_batch_first_export() -> None:
    """What torch exports for batch_first: Transpose, LSTM, Transpose."""
    inner = recurrent("LSTM", direction="bidirectional")
    nodes = [
        helper.make_node("Transpose", ["x"], ["X"], perm=[1, 0, 2]),
        inner.graph.node[0],
        helper.make_node("Transpose", ["Y"], ["t"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["t", "shape"], ["out"]),
    ]
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in inner.graph.initializer}
    constants["shape"] = np.array([0, 0, -1])
    source = model(nodes, {"x": ["N", LENGTH, FEATURES]}, constants, ["out", "Y_h"])
    network = same_three_ways(source, {"x": FEEDS["X"]})
    assert network["out"].batch == 0


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("op", OPS)
def test_event_driven_form(op: str, direction: str) -> None:
    """The differential form in both executors, steps folded into the batch: equal, and exact for a constant input."""
    _, lowered = prepared(recurrent(op, initial="constant", direction=direction), **SHAPES)
    assert lowered.network is not None
    ann = lowered.network
    events = [
        Differential(
            name=n.name,
            inputs=n.inputs,
            shape=n.shape,
            batch=n.batch,
            function=n,
            low=(-50.0,) + (None,) * (len(n.inputs) - 1),
            high=(50.0,) + (None,) * (len(n.inputs) - 1),
            nonzero=(0.0,) * len(n.inputs),
        )
        for n in ann.nodes
        if isinstance(n, Operator)
    ]
    net, want = ann.replaced(events), reference.evaluate(ann, FEEDS)
    steps = reference.run(net, FEEDS, 3)
    found = Engine(net, dtype=torch.float64).run(FEEDS, 3, checkpoints=(1, 3), steps_at_once=2).outputs
    for name in ann.outputs:
        total = sum(values[name] for values in steps)
        np.testing.assert_allclose(total / 3, want[name], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[name][1].numpy(), want[name], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[name][0].numpy(), want[name], rtol=1e-9, atol=1e-9)
