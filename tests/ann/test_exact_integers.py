# SPDX-License-Identifier: Apache-2.0
"""The truth of int8 models on every CPU: codes that saturate onnxruntime's own kernels, against exact integers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from snncc.ann.exact_integers import exact_products
from snncc.ann.truth import Truth

RNG = np.random.default_rng(0)
SIGNED = {np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8}


def codes(dtype: type, *shape: int) -> np.ndarray:
    """The largest codes and the smallest, so that sums of two products exceed 16 bits."""
    info = np.iinfo(dtype)
    return RNG.choice([info.min, info.max - 1, info.max], shape).astype(dtype)


def product(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products in float64, which holds every sum of these."""
    if "MatMul" in op:
        return a.astype(np.float64) @ b.astype(np.float64)
    return torch.nn.functional.conv2d(
        torch.from_numpy(a.astype(np.float64)), torch.from_numpy(b.astype(np.float64))
    ).numpy()


def operands(op: str, left: type, right: type) -> tuple[np.ndarray, np.ndarray]:
    if "MatMul" in op:
        return codes(left, 3, 5, 24), codes(right, 24, 8)
    return codes(left, 3, 4, 6, 6), codes(right, 5, 4, 3, 3)


def built(
    op: str, inputs: list[str], constants: dict[str, np.ndarray], left: type, right: type | None, rank: int
) -> onnx.ModelProto:
    shapes = {"MatMulInteger": ["N", 5, 24], "QLinearMatMul": ["N", 5, 24]}
    result = TensorProto.INT32 if op.endswith("Integer") else SIGNED[left]
    given = [helper.make_tensor_value_info("a", SIGNED[left], shapes.get(op, ["N", 4, 6, 6]))]
    if right is not None:
        given.append(helper.make_tensor_value_info("b", SIGNED[right], [24, 8] if "MatMul" in op else [5, 4, 3, 3]))
    nodes = [helper.make_node(op, inputs, ["y"]), helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT)]
    graph = helper.make_graph(
        nodes,
        "g",
        given,
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", *["d"] * (rank - 1)])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
        value_info=[helper.make_tensor_value_info("y", result, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("zeros", [(), (3,), (3, 2), (None, 2)])
@pytest.mark.parametrize("left", [np.uint8, np.int8])
@pytest.mark.parametrize("right", [np.uint8, np.int8])
@pytest.mark.parametrize("op", ["MatMulInteger", "ConvInteger"])
def test_integer_products(op: str, left: type, right: type, zeros: tuple[int | None, ...]) -> None:
    a, b = operands(op, left, right)
    names, constants, shift = ["a", "b"], {"b": b}, [0, 0]
    for at, (zero, kind) in enumerate(zip(zeros, (left, right), strict=False)):
        names.append("" if zero is None else f"z{at}")
        if zero is not None:
            constants[f"z{at}"], shift[at] = np.array(zero, kind), zero
    model = built(op, names, constants, left, None, a.ndim)
    want = product(op, a.astype(int) - shift[0], b.astype(int) - shift[1])
    truth = Truth(model)
    np.testing.assert_array_equal(truth.run({"a": a})["z"], want)
    np.testing.assert_array_equal(truth.run({"a": a}, ["y"])["y"], want)  # exposed, without optimisation


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize(("left", "right"), [(np.uint8, np.int8), (np.int8, np.int8)])  # onnxruntime has no other
@pytest.mark.parametrize("op", ["QLinearMatMul", "QLinearConv"])
def test_requantised_products(op: str, left: type, right: type, exposed: bool) -> None:
    a, b = operands(op, left, right)
    scale = np.float32(2.0**-12)  # a power of two: requantisation only rounds
    constants = {
        "s": np.float32(1),
        "za": np.array(5, left),
        "b": b,
        "zb": np.array(0, right),
        "t": 1 / scale,
        "zy": np.array(100, left),
    }
    model = built(op, ["a", "s", "za", "b", "s", "zb", "t", "zy"], constants, left, None, a.ndim)
    want = np.clip(np.rint(product(op, a.astype(int) - 5, b) * scale) + 100, np.iinfo(left).min, np.iinfo(left).max)
    name = "y" if exposed else "z"
    np.testing.assert_array_equal(Truth(model).run({"a": a}, [name])[name], want)


@pytest.mark.parametrize("op", ["MatMulInteger", "ConvInteger"])
def test_operands_that_are_computed(op: str) -> None:
    a, b = operands(op, np.uint8, np.int8)
    a = a[:1]
    model = built(op, ["a", "b"], {}, np.uint8, np.int8, a.ndim)
    del model.graph.input[0].type.tensor_type.shape.dim[0]
    model.graph.input[0].type.tensor_type.shape.dim.insert(0, onnx.TensorShapeProto.Dimension(dim_value=1))
    session = Truth(model)._session(frozenset())
    np.testing.assert_array_equal(session.run(["z"], {"a": a, "b": b})[0], product(op, a, b))


def test_products_inside_branches() -> None:
    a, b = operands("MatMulInteger", np.uint8, np.int8)
    inner = helper.make_graph(
        [
            helper.make_node("MatMulInteger", ["a", "b"], ["i"]),
            helper.make_node("Cast", ["i"], ["o"], to=TensorProto.FLOAT),
        ],
        "branch",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, ["N", 5, 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(b, "b"), numpy_helper.from_array(np.array(True), "c")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    before = model.SerializeToString()
    session = Truth(model)._session(frozenset())
    np.testing.assert_array_equal(session.run(["y"], {"a": a})[0], product("MatMulInteger", a, b))
    assert model.SerializeToString() == before


def test_models_without_such_products_stay_as_they_are() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(graph)
    assert exact_products(model) is model
