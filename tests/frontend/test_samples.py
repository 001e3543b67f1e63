# SPDX-License-Identifier: Apache-2.0
"""Where the samples lie: free and fixed batches, other axes, none at all, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from three_ways import same_three_ways, truth

from small_models import normal, parsed
from snncc.errors import UnsupportedModel, UsageError
from snncc.frontend.normal.samples import samples_first


def shapes(model: onnx.ModelProto) -> dict[str, list[int | str]]:
    """The inputs' extents, weights apart."""
    weights = {w.name for w in model.graph.initializer}
    return {
        info.name: [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]
        for info in model.graph.input
        if info.name not in weights
    }


def relu_of(inputs: str) -> onnx.ModelProto:
    """A model of one input x."""
    return parsed(f"g ({inputs}) => (float[] y) {{ y = Relu(x) }}")


@pytest.mark.parametrize(
    ("declared", "given", "found", "moved"),
    [
        # axis 0 is free or 1: as it is
        ("float[N,3,4] x", {}, ["N", 3, 4], None),
        ("float[batch,3,4] x", {}, ["N", 3, 4], None),
        ("float[1,3,4] x", {}, ["N", 3, 4], None),
        ("float[N] x", {}, ["N"], None),
        # axis 1 is the only free one
        ("float[5,N,4] x", {}, ["N", 5, 4], "Transpose"),
        # no axis: a sample is a whole input
        ("float[4] x", {}, ["N", 4], "Squeeze"),
        ("float[3,4] x", {}, ["N", 3, 4], "Squeeze"),
        ("float[1] x", {}, ["N", 1], "Squeeze"),
        # given
        ("float[N,3,s] x", {"x": ("N", 3, 12)}, ["N", 3, 12], None),
        ("float[5,2,4] x", {"x": (5, "N", 4)}, ["N", 5, 4], "Transpose"),
        ("float[5,2,4] x", {"x": (5, 2, "N")}, ["N", 5, 2], "Transpose"),
        ("float[N,3,s] x", {"x": (1, 3, 7)}, ["N", 3, 7], None),
        ("float x", {"x": ("N", 3)}, ["N", 3], None),
        ("float[a,b] x", {"x": (3, "N")}, ["N", 3], "Transpose"),
    ],
)
def test_one_input(declared: str, given: dict[str, Any], found: list[int | str], moved: str | None) -> None:
    source = relu_of(declared)
    before = source.SerializeToString(deterministic=True)
    if declared == "float x":
        source.graph.input[0].type.tensor_type.ClearField("shape")
        before = source.SerializeToString(deterministic=True)
    ready = samples_first(source, given)
    assert shapes(ready) == {"x": found}
    assert [n.op_type for n in ready.graph.node] == [*([moved] if moved else []), "Relu"]
    assert source.SerializeToString(deterministic=True) == before, "the caller's model is not touched"


def test_an_axis_beside_one_that_is_given() -> None:
    """Sequence-first models: x is (length, N, size), the initial state (1, N, size) has its samples on axis 1 too."""
    text = "g (float[N,4] x, float[2,1,4] h) => (float[] y) { s = ReduceMean<axes=[0], keepdims=0>(h) y = Add(x, s) }"
    ready = samples_first(parsed(text))
    assert shapes(ready) == {"x": ["N", 4], "h": ["N", 2, 4]}
    same_three_ways(parsed(text), {"x": normal(0, 3, 4), "h": normal(1, 3, 2, 4)})


def test_inputs_of_one_model_without_any_samples() -> None:
    text = "g (float[4] x, float[3,4] h) => (float[] y) { y = Add(x, h) }"
    assert shapes(samples_first(parsed(text))) == {"x": ["N", 4], "h": ["N", 3, 4]}
    same_three_ways(parsed(text), {"x": normal(0, 3, 4), "h": normal(1, 3, 3, 4)}, one_at_a_time=True)


@pytest.mark.parametrize("opset", [12, 13, 17])
def test_a_squeezed_input_gives_the_same_numbers(opset: int) -> None:
    """The form of Squeeze changed at opset 13."""
    source = parsed("g (float[3,4] x) => (float[] y) { y = MatMul(x, w) }", opset=opset, w=normal(0, 4, 2))
    x = normal(1, 3, 4)
    (one,) = truth(source, {"x": x}).values()
    (moved,) = truth(samples_first(source), {"x": x[None]}).values()
    assert np.array_equal(one, moved)


@given(at=st.integers(0, 3))
def test_the_samples_on_any_axis(at: int) -> None:
    dims: list[Any] = [2, 3, 4]
    dims.insert(at, "N")
    declared = ",".join("7" if d == "N" else str(d) for d in dims)
    source = relu_of(f"float[{declared}] x")
    ready = samples_first(source, {"x": tuple(dims)})
    assert shapes(ready) == {"x": ["N", 2, 3, 4]}
    x = normal(at, 5, 2, 3, 4)
    (found,) = truth(ready, {"x": x}).values()
    assert np.array_equal(found, np.maximum(np.moveaxis(x, 0, at), 0))


def test_weights_that_are_listed_as_inputs_are_weights() -> None:
    """As exporters did up to IR version 3."""
    w = normal(0, 4, 2)
    source = parsed("g (float[1,4] x, float[4,2] w) => (float[] y) { y = MatMul(x, w) }", w=w)
    ready = samples_first(source)
    assert shapes(ready) == {"x": ["N", 4]}
    network = same_three_ways(source, {"x": normal(1, 3, 4)})
    assert [i.name for i in network.inputs] == ["x"]


@pytest.mark.parametrize(
    ("inputs", "reason", "cure"),
    [
        ("float[N,3,h,w] x", "axes 2, 3 of [N, 3, h, w] is dynamic", "--shape x=N,3,SIZE,SIZE"),
        ("float[N,3,s] x", "axis 2 of [N, 3, s] is dynamic", "--shape x=N,3,SIZE"),
        ("float[1,a,b] x", "axes 1, 2 of", "--shape x=N,SIZE,SIZE"),
        ("float[3,4,s] x", "axis 2 of", "--shape x=3,4,SIZE"),
    ],
)
def test_other_dynamic_axes_are_refused_with_the_cure(inputs: str, reason: str, cure: str) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        samples_first(relu_of(inputs))
    (problem,) = caught.value.problems
    assert problem.node == "x"
    assert reason in problem.reason
    assert problem.cure == cure


def test_every_open_input_is_named_at_once() -> None:
    source = parsed("g (float[N,a] x, float[N,b] z, float[N,4] w) => (float[] y) { y = Relu(x) }")
    with pytest.raises(UnsupportedModel) as caught:
        samples_first(source)
    assert [p.node for p in caught.value.problems] == ["x", "z"]


def test_an_input_without_a_shape() -> None:
    source = relu_of("float x")
    source.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(UnsupportedModel, match=r"has no shape  -> --shape x=N,"):
        samples_first(source)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"z": (1, 3)}, "no input 'z' -> inputs: x"),
        ({"x": (1, 3, 4, 5)}, "4 dimensions given, the graph has 3"),
        ({"x": ()}, "0 dimensions given, the graph has 3"),
    ],
)
def test_shapes_that_do_not_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        samples_first(relu_of("float[N,3,4] x"), given)


def test_shapes_that_exporters_noted_are_dropped() -> None:
    """They hold for the batch that was exported."""
    source = parsed("g (float[1,4] x) => (float[1,4] y) { h = Relu(x) y = Exp(h) }")
    source.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 4]))
    ready = samples_first(source)
    assert not ready.graph.value_info
    assert not ready.graph.output[0].type.tensor_type.HasField("shape")
    same_three_ways(source, {"x": normal(0, 3, 4)})


def test_local_functions_are_inlined() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
    g (float[N,4] x) => (float[N,4] y) { h = mine.double_relu(x) y = mine.double_relu(h) }
    <opset_import: ["" : 17], domain: "mine">
    double_relu (a) => (c) { b = Relu(a) c = Add(b, b) }"""
    ready = samples_first(onnx.parser.parse_model(text))
    assert not ready.functions
    assert [n.op_type for n in ready.graph.node] == ["Relu", "Add", "Relu", "Add"]
    network = same_three_ways(onnx.parser.parse_model(text), {"x": normal(0, 3, 4)})
    assert {"h", "y"} <= network.by_name.keys()


def test_an_output_that_is_an_input_is_named() -> None:
    model = parsed("g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }")
    model.graph.output.append(model.graph.input[0])
    with pytest.raises(UnsupportedModel, match="is the graph's own input"):
        samples_first(model)
