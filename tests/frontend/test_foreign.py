# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from three_ways import draw, model, prepared, same_three_ways, single

from snncc.execute import reference
from snncc.execute.torch.engine import Engine
from snncc.frontend.operators.lower import LOWERINGS
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Foreign

MICROSOFT = "com.microsoft"


def foreign(network: Network) -> list[str]:
    return [n.operator for n in network.nodes if isinstance(n, Foreign)]


@pytest.fixture
def without_tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network compiler that does not know Tanh, MatMul and Split."""
    for name in ("Tanh", "MatMul", "Split", "ReduceSum"):
        monkeypatch.delitem(LOWERINGS, name)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_tanh")
def test_an_operator_without_lowering_is_carried() -> None:
    network = same_three_ways(single("Tanh", {"x": ["N", 4]}, {}, ["y"], ["x"]), {"x": draw(3, 4)})
    assert foreign(network) == ["Tanh"]
    assert network["y"].batch == 0


@pytest.mark.usefixtures("without_tanh")
def test_constants_static_values_and_several_outputs() -> None:
    network = same_three_ways(
        single("MatMul", {"x": ["N", 4]}, {"w": draw(4, 5)}, ["y"], ["x", "w"]), {"x": draw(3, 4)}
    )
    assert foreign(network) == ["MatMul"]
    source = single("Split", {"x": ["N", 6, 4]}, {"s": np.array([1, 2, 3])}, ["a", "b", "c"], ["x", "s"], axis=1)
    network = same_three_ways(source, {"x": draw(3, 6, 4)})
    assert foreign(network) == ["Split", "Split", "Split"]


@pytest.mark.usefixtures("without_tanh")
def test_the_samples_are_followed_through_other_axes() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Tanh", ["t"], ["y"]),
    ]
    network = same_three_ways(model(nodes, {"x": ["N", 4, 2]}, {}, ["y"]), {"x": draw(3, 4, 2)})
    assert network["y"].batch == 1


@pytest.mark.usefixtures("without_tanh")
def test_what_mixes_samples_runs_one_at_a_time() -> None:
    source = single("ReduceSum", {"x": ["N", 4]}, {"axes": np.array([0])}, ["y"], ["x", "axes"], keepdims=0)
    same_three_ways(source, {"x": draw(3, 4)}, one_at_a_time=True)


def test_a_loop_that_data_ends() -> None:
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["h", "w"], ["h2"]),
            helper.make_node("ReduceMax", ["h2"], ["top"], keepdims=0),
            helper.make_node("Greater", ["top", "limit"], ["go"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, ["N", 4]),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h2", TensorProto.FLOAT, ["N", 4]),
        ],
    )
    node = helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)
    constants = {"yes": np.array(True), "limit": np.float32(0.1), "w": np.float32([0.5])}
    source = model([node], {"x": ["N", 4]}, constants, ["y"])
    network = same_three_ways(source, {"x": draw(3, 4) * 9}, one_at_a_time=True)
    assert foreign(network) == ["Loop"]


def test_operators_of_onnxruntime() -> None:
    node = helper.make_node("FusedMatMul", ["x", "w"], ["m"], domain=MICROSOFT, alpha=0.5, transB=1)
    source = model([node, helper.make_node("Relu", ["m"], ["y"])], {"x": ["N", 4]}, {"w": draw(5, 4)}, ["y"])
    network = same_three_ways(source, {"x": draw(3, 4)})
    assert foreign(network) == ["com.microsoft.FusedMatMul"]


def test_unknown_domains_stay_refused() -> None:
    source = single("Mystery", {"x": ["N", 4]}, {}, ["y"], ["x"], domain="org.example")
    source.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4]))
    _, lowered = prepared(source)
    assert lowered.network is None
    assert lowered.problems[0].operator == "Mystery"


def test_shapes_that_depend_on_data_are_refused_with_a_cure() -> None:
    _, lowered = prepared(single("NonZero", {"x": ["N", 4]}, {}, ["y"], ["x"]))
    assert lowered.network is None
    assert "data" in lowered.problems[0].reason
    assert "cut" in lowered.problems[0].cure


@pytest.mark.usefixtures("without_tanh")
def test_differential_form() -> None:
    """f of the running mean: with a constant input the output is reached at once and stays."""
    _, lowered = prepared(single("Tanh", {"x": ["N", 4]}, {}, ["y"], ["x"]))
    assert lowered.network is not None
    node = lowered.network["y"]
    assert isinstance(node, Foreign)
    event = Differential(
        name="y", inputs=node.inputs, shape=node.shape, batch=0, function=node, low=(-9.0,), high=(9.0,), nonzero=(0.0,)
    )
    assert not event.direct
    net = lowered.network.replaced([event])
    x = draw(3, 4)
    steps = [values["y"] for values in reference.run(net, {"x": x}, 3)]
    np.testing.assert_allclose(sum(steps) / 3, np.tanh(x), rtol=1e-5, atol=1e-6)
    found = Engine(net).run({"x": x}, 3).outputs["y"][-1]
    np.testing.assert_allclose(found.numpy(), np.tanh(x), rtol=1e-5, atol=1e-6)


def test_the_model_survives_as_an_array() -> None:
    source = single("FusedMatMul", {"x": ["N", 4]}, {"w": draw(4, 5)}, ["y"], ["x", "w"], domain=MICROSOFT)
    _, lowered = prepared(source)
    assert lowered.network is not None
    (node,) = [n for n in lowered.network.nodes if isinstance(n, Foreign)]
    stored = lowered.network.arrays[node.model]
    assert stored.dtype == np.uint8
    onnx.load_model_from_string(stored.tobytes())
