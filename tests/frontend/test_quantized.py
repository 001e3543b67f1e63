# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from three_ways import RNG, draw, model, prepared, truth

from snncc.execute import reference
from snncc.execute.torch.engine import Engine
from snncc.ir.network import Network
from snncc.ir.nodes import Conv, Linear, Operator


def near(found: np.ndarray, want: np.ndarray, step: float) -> None:
    """At most one step apart, and nearly everywhere equal."""
    assert found.shape == want.shape
    error = np.abs(found.astype(np.float64) - want.astype(np.float64))
    assert error.max() <= step * 1.0001
    assert (error > step * 1e-3).mean() <= 0.01


def same(
    source: onnx.ModelProto, feeds: Mapping[str, np.ndarray], step: float, *, one_at_a_time: bool = False
) -> Network:
    ready, lowered = prepared(source)
    assert lowered.network is not None, lowered.problems
    assert (lowered.one_at_a_time is not None) == one_at_a_time
    for piece in [slice(i, i + 1) for i in range(3)] if one_at_a_time else [slice(0, 1), slice(0, 3)]:
        part = {n: x[piece] for n, x in feeds.items()}
        want = truth(ready, part)
        defined, torched = reference.evaluate(lowered.network, part), Engine(lowered.network).evaluate(part)
        for name in lowered.network.outputs:
            near(defined[name], want[name], step)
            near(torched[name].numpy(), want[name], step)
    return lowered.network


def codes(dtype: type, *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("zero", [True, False])
def test_pair_per_tensor(dtype: type, zero: bool) -> None:
    order = ["s"] + (["z"] if zero else [])
    constants = {"s": np.float32(0.03)} | ({"z": dtype(7)} if zero else {})
    if not zero and dtype != np.uint8:
        attributes = {"output_dtype": helper.np_dtype_to_tensor_dtype(np.dtype(dtype))}
    else:
        attributes = {}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *order], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", *order], ["y"]),
    ]
    network = same(model(nodes, {"x": ["N", 4, 5]}, constants, ["y"]), {"x": draw(3, 4, 5) * 3}, 0.03)
    assert [n.op for n in network.nodes if isinstance(n, Operator)] == ["fake_quantize"]
    same(model(nodes[:1], {"x": ["N", 4, 5]}, constants, ["q"]), {"x": draw(3, 4, 5) * 3}, 1)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_pair_per_axis(axis: int) -> None:
    size = (2, 3, 4)[axis] if axis >= 0 else 4
    constants = {"s": RNG.random(size).astype(np.float32) / 10 + 0.01, "z": codes(np.int8, size)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=axis),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=axis),
    ]
    same(model(nodes, {"x": ["N", 3, 4]}, constants, ["y"]), {"x": draw(3, 3, 4)}, 0.11)


def test_pair_in_blocks() -> None:
    constants = {"s": RNG.random((1, 2, 4)).astype(np.float32) / 10 + 0.01, "z": codes(np.uint8, 1, 2, 4)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1, block_size=3),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1, block_size=3),
    ]
    same(model(nodes, {"x": ["N", 6, 4]}, constants, ["y"]), {"x": draw(1, 6, 4)}, 0.11)


def test_codes_pass_through_other_operators() -> None:
    constants = {"s": np.float32(0.05), "z": np.uint8(100), "s2": np.float32(0.02)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Transpose", ["q"], ["t"], perm=[0, 2, 1]),
        helper.make_node("DequantizeLinear", ["t", "s", "z"], ["y"]),
        helper.make_node("DequantizeLinear", ["q", "s2", "z"], ["w"]),
    ]
    same(model(nodes, {"x": ["N", 3, 4]}, constants, ["y", "w"]), {"x": draw(3, 3, 4)}, 0.05)


def test_codes_as_input() -> None:
    nodes = [helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"])]
    source = model(
        nodes, {"x": ["N", 5]}, {"s": np.float32(0.1), "z": np.uint8(3)}, ["y"], types={"x": TensorProto.UINT8}
    )
    same(source, {"x": codes(np.uint8, 3, 5)}, 0.1)


def test_quantised_weights_are_constants() -> None:
    constants = {"w": codes(np.int8, 4, 3, 3, 3), "s": RNG.random(4).astype(np.float32), "z": np.zeros(4, np.int8)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], axis=0),
        helper.make_node("Conv", ["x", "v"], ["y"]),
    ]
    network = same(model(nodes, {"x": ["N", 3, 6, 6]}, constants, ["y"]), {"x": draw(3, 3, 6, 6)}, 1)
    assert any(isinstance(n, Conv) for n in network.nodes)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    "attributes", [{}, {"pads": [1, 0, 1, 2]}, {"strides": [2, 1]}, {"dilations": [1, 2]}, {"auto_pad": "SAME_UPPER"}]
)
def test_qlinear_conv(per_channel: bool, attributes: dict[str, object]) -> None:
    m = 4
    constants: dict[str, np.ndarray] = {
        "xs": np.float32(0.02), "xz": np.uint8(120), "w": codes(np.int8, m, 3, 3, 3),
        "ws": RNG.random(m).astype(np.float32) / 100 + 0.001 if per_channel else np.float32(0.01),
        "wz": np.zeros(m, np.int8) if per_channel else np.int8(0), "ys": np.float32(0.2), "yz": np.uint8(100),
        "b": RNG.integers(-9999, 9999, m).astype(np.int32),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        helper.make_node("QLinearConv", ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["c"], **attributes),
        helper.make_node("DequantizeLinear", ["c", "ys", "yz"], ["y"]),
    ]
    network = same(model(nodes, {"x": ["N", 3, 7, 7]}, constants, ["c", "y"]), {"x": draw(3, 3, 7, 7)}, 1)
    assert "fake_quantize" in [n.op for n in network.nodes if isinstance(n, Operator)]


def test_qlinear_conv_in_groups() -> None:
    constants = {
        "xs": np.float32(0.02), "xz": np.int8(5), "w": codes(np.int8, 4, 1, 3, 3), "ws": np.float32(0.01),
        "wz": np.int8(0), "ys": np.float32(0.1), "yz": np.int8(-3),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        helper.make_node("QLinearConv", ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["c"], group=4),
    ]
    same(model(nodes, {"x": ["N", 4, 7, 7]}, constants, ["c"]), {"x": draw(3, 4, 7, 7)}, 1)


@pytest.mark.parametrize("constant", [True, False])
def test_qlinear_matmul(constant: bool) -> None:
    constants: dict[str, np.ndarray] = {
        "as": np.float32(0.02), "az": np.uint8(110), "bs": np.float32(0.03), "bz": np.uint8(120),
        "ys": np.float32(0.05), "yz": np.uint8(128),
    }  # fmt: skip
    inputs: dict[str, list[int | str]] = {"a": ["N", 4, 5]}
    nodes = [helper.make_node("QuantizeLinear", ["a", "as", "az"], ["qa"])]
    feeds = {"a": draw(3, 4, 5)}
    if constant:
        constants["qb"] = codes(np.uint8, 5, 6)
    else:
        inputs["b"], feeds["b"] = ["N", 5, 6], draw(3, 5, 6)
        nodes.append(helper.make_node("QuantizeLinear", ["b", "bs", "bz"], ["qb"]))
    nodes.append(helper.make_node("QLinearMatMul", ["qa", "as", "az", "qb", "bs", "bz", "ys", "yz"], ["y"]))
    network = same(model(nodes, inputs, constants, ["y"]), feeds, 1)
    assert any(isinstance(n, Linear) for n in network.nodes) == constant


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_conv_integer(zeros: int) -> None:
    constants = {"w": codes(np.uint8, 2, 3, 3, 3), "xz": np.uint8(9), "wz": np.uint8(130)}
    order = ["x", "w", *["xz", "wz"][:zeros]]
    source = model(
        [helper.make_node("ConvInteger", order, ["y"], pads=[1, 1, 1, 1], strides=[2, 2])],
        {"x": ["N", 3, 6, 6]}, constants, ["y"], types={"x": TensorProto.UINT8, "y": TensorProto.INT32},
    )  # fmt: skip
    same(source, {"x": codes(np.uint8, 3, 3, 6, 6)}, 1e-6)


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_matmul_integer(zeros: int) -> None:
    constants = {"b": codes(np.int8, 5, 6), "az": np.uint8(9), "bz": np.int8(4)}
    order = ["a", "b", *["az", "bz"][:zeros]]
    types = {"a": TensorProto.UINT8, "y": TensorProto.INT32}
    source = model([helper.make_node("MatMulInteger", order, ["y"])], {"a": ["N", 4, 5]}, constants, ["y"], types=types)
    same(source, {"a": codes(np.uint8, 3, 4, 5)}, 1e-6)


def test_dynamic_quantisation_runs_one_sample_at_a_time() -> None:
    """What onnxruntime's quantize_dynamic writes: the range of each input is measured as it comes."""
    constants = {"w": codes(np.int8, 6, 5), "wz": np.int8(3), "ws": np.float32(0.02)}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z", "wz"], ["m"]),
        helper.make_node("Cast", ["m"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "ws"], ["sw"]),
        helper.make_node("Mul", ["f", "sw"], ["y"]),
    ]
    same(model(nodes, {"x": ["N", 6]}, constants, ["y", "q"]), {"x": draw(3, 6)}, 1, one_at_a_time=True)
