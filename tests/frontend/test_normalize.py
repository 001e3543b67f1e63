# SPDX-License-Identifier: Apache-2.0
"""The normal form: static shapes, constants folded, names kept."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from three_ways import same_three_ways

from small_models import normal, parsed
from snncc.errors import UnreadableModel
from snncc.frontend.normal.normalize import FOLD_LIMIT, normalize
from snncc.frontend.normal.samples import samples_first


def normal_form(source: onnx.ModelProto) -> ir.Model:
    return normalize(samples_first(source))


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


TAIL = """g (float[N,2,3,4] x) => (float[] y) {
    s = Shape(x)  n = Gather<axis=0>(s, zero)  u = Unsqueeze(n, first)
    target = Concat<axis=0>(u, rest)  f = Reshape(x, target)  y = MatMul(f, w)
}"""


def test_the_shape_tail_of_exporters_is_folded() -> None:
    """view(x.size(0), -1), as the TorchScript exporter writes it."""
    w = normal(0, 24, 5)
    source = parsed(TAIL, zero=np.array(0, np.int64), first=ints(0), rest=ints(-1), w=w)
    assert operators(normal_form(source)) == ["Reshape", "MatMul"]
    network = same_three_ways(source, {"x": normal(1, 3, 2, 3, 4)})
    assert network["f"].shape == (1, 24)
    assert network["f"].batch == 0


def test_arithmetic_on_shapes_is_folded() -> None:
    text = """g (float[N,2,6] x) => (float[] y) {
        s = Shape(x)  d = Gather<axis=0>(s, two)  h = Div(d, two)  a = Unsqueeze(h, zero)
        y = Slice(x, zero, a, axis)
    }"""
    source = parsed(text, two=np.array(2, np.int64), zero=ints(0), axis=ints(2))
    assert operators(normal_form(source)) == ["Slice"]
    network = same_three_ways(source, {"x": normal(0, 3, 2, 6)})
    assert network["y"].shape == (1, 2, 3)


def test_constants_become_initializers_and_weights_are_no_inputs() -> None:
    """BatchNormalization parameters as Constant nodes, weights listed as graph inputs."""
    text = """g (float[1,2] x, float[2,2] w) => (float[] y) {
        h = MatMul(x, w)  b = Constant<value_floats=[1.0, 2.0]>()  c = Identity(b)  y = Add(h, c)
    }"""
    model = normal_form(parsed(text, w=normal(0, 2, 2)))
    assert operators(model) == ["MatMul", "Add"]
    assert [v.name for v in model.graph.inputs] == ["x"]
    assert all(v.const_value is not None for v in list(model.graph)[1].inputs[1:])


def test_every_shape_is_known_and_names_survive() -> None:
    text = """g (float[N,2,9] x) => (float[] y) {
        c = Conv<strides=[2]>(x, w) r = Relu(c) p = MaxPool<kernel_shape=[2]>(r) y = Exp(p)
    }"""
    model = normal_form(parsed(text, w=normal(0, 3, 2, 3)))
    found = {v.name: list(v.shape) for node in model.graph for v in node.outputs}
    assert found == {"c": [1, 3, 4], "r": [1, 3, 4], "p": [1, 3, 3], "y": [1, 3, 3]}


def test_default_attributes_are_written_out() -> None:
    model = normal_form(parsed("g (float[N,4] x) => (float[] y) { y = Gemm(x, w) }", w=normal(0, 4, 2)))
    (node,) = model.graph
    assert {n: a.value for n, a in node.attributes.items()} == {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


def test_what_nobody_reads_is_dropped() -> None:
    model = normal_form(parsed("g (float[N,4] x) => (float[] y) { a = Exp(x) b = Sigmoid(a) y = Relu(x) }"))
    assert operators(model) == ["Relu"]


def test_dropout_and_identity_change_nothing() -> None:
    text = "g (float[N,4] x) => (float[] y) { a = Dropout(x) b = Identity(a) c = Relu(b) y = Identity(c) }"
    network = same_three_ways(parsed(text), {"x": normal(0, 3, 4)})
    assert network.outputs == ("y",)


HUGE = 1 << 40


@pytest.mark.parametrize(
    "text",
    [
        "g (float[N,4] x) => (float[] y) { b = ConstantOfShape(size) s = ReduceSum<keepdims=0>(b) y = Add(x, s) }",
        "g (float[N,4] x) => (float[] y) { b = Expand(one, size) s = ReduceSum<keepdims=0>(b) y = Add(x, s) }",
        "g (float[N,4] x) => (float[] y) { b = Tile(one, size) s = ReduceSum<keepdims=0>(b) y = Add(x, s) }",
        "g (float[N,4] x) => (float[] y) { b = Range(lo, hi, one) s = ReduceSum<keepdims=0>(b) y = Add(x, s) }",
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Range"],
)
def test_bombs_are_not_folded(text: str) -> None:
    """A few bytes of file that ask for terabytes: neither built nor an error here."""
    weights = {"size": ints(HUGE), "one": np.ones(1, np.float32), "lo": np.float32(0), "hi": np.float32(HUGE)}
    if "Range" in text:
        weights["one"] = np.float32(1e-3)
    used = {name: value for name, value in weights.items() if name in text.replace("Constant", "")}
    began = time.process_time()
    model = normal_form(parsed(text, **used))
    assert "ReduceSum" in operators(model)
    assert all(v.const_value is None or v.const_value.size <= FOLD_LIMIT for n in model.graph for v in n.inputs)
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("b = ConstantOfShape<value = float[1] {2}>(size) y = Add(x, b)", [2, 2, 2, 2]),
        ("b = Expand(one, size) y = Add(x, b)", [1, 1, 1, 1]),
        ("b = Tile(one, size) y = Add(x, b)", [1, 1, 1, 1]),
        ("b = Range(lo, hi, step) y = Add(x, b)", [0, 1, 2, 3]),
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Range"],
)
def test_small_ones_are_folded(text: str, value: list[float]) -> None:
    numbers = {"lo": np.float32(0), "hi": np.float32(4), "step": np.float32(1)}
    weights = numbers if "Range" in text else {"size": ints(4), "one": np.ones(1, np.float32)}
    if "ConstantOfShape" in text:
        del weights["one"]
    model = normal_form(parsed(f"g (float[N,4] x) => (float[] y) {{ {text} }}", **weights))
    (node,) = model.graph
    assert node.op_type == "Add"
    assert node.inputs[1].const_value.numpy().tolist() == value


def test_nodes_in_any_order() -> None:
    source = parsed("g (float[N,4] x) => (float[] y) { a = Relu(x) y = Exp(a) }")
    swapped = [source.graph.node[1], source.graph.node[0]]
    del source.graph.node[:]
    source.graph.node.extend(swapped)
    assert operators(normal_form(source)) == ["Relu", "Exp"]


def test_a_cycle_is_an_error_of_the_file() -> None:
    source = parsed("g (float[N,4] x) => (float[] y) { a = Add(x, y) y = Relu(a) }")
    with pytest.raises(UnreadableModel, match="cannot be simplified"):
        normal_form(source)


def test_the_model_given_is_not_touched() -> None:
    source = samples_first(parsed(TAIL, zero=np.array(0, np.int64), first=ints(0), rest=ints(-1), w=normal(0, 24, 5)))
    before = source.SerializeToString(deterministic=True)
    normalize(source)
    assert source.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    "line",
    [
        "y = Concat<axis=-1>(x, x)",
        "y = Softmax<axis=-1>(x)",
        "y = ReduceSum<axes=[-1]>(x)",
        "s = Unsqueeze<axes=[-1]>(x)  y = Squeeze<axes=[-1]>(s)",
        "y = Gather<axis=-1>(x, i)",
        "a, b = Split<axis=-1>(x)  y = Add(a, b)",
        "i = ArgMax<axis=-1>(x)  f = Cast<to=1>(i)  y = Mul(f, x)",
    ],
)
def test_negative_axes_before_opset_11(line: str) -> None:
    """The standard does not allow them there, exporters write them and onnxruntime takes them."""
    weights = {"i": np.array([1, 0])} if "Gather" in line else {}
    model = parsed(f"g (float[N,3,4] x) => (float[] y) {{ {line} }}", opset=9, **weights)
    same_three_ways(model, {"x": normal(1, 2, 3, 4)})
