# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser

from snncc.ann.truth import Truth
from snncc.errors import DataError, ModelError, UsageError


def model(text: str, *, opset: int = 17, ir_version: int = 8) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\n{text}')


MLP = """
mlp (float[{n}, 4] x) => (float[{n}, 2] y)
<float[4, 2] W = {{1, -2, 3, 4, 5, -6, 7, 8}}, float[2] b = {{0.5, -0.5}}> {{
  h = MatMul(x, W)
  a = Add(h, b)
  y = Relu(a)
}}
"""
W = np.array([[1, -2], [3, 4], [5, -6], [7, 8]], np.float32)
B = np.array([0.5, -0.5], np.float32)
X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)


@pytest.mark.parametrize("n", ["N", 1, 2, 3, 5, 7])
def test_any_declared_batch_gives_every_sample_its_result(n: str | int) -> None:
    truth = Truth(model(MLP.format(n=n)))
    result = truth.run({"x": X}, ["y", "a", "x", "b"])
    np.testing.assert_allclose(result["a"], X @ W + B, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(result["y"], np.maximum(result["a"], 0))
    np.testing.assert_array_equal(result["x"], X)
    np.testing.assert_array_equal(result["b"], B)
    assert list(truth.run({"x": X[:1]})) == ["y"]
    assert truth.run({"x": X[:1]})["y"].shape == (1, 2)


def test_inputs_leave_out_initializers_that_are_listed_as_inputs() -> None:
    old = model(MLP.format(n=1), opset=7, ir_version=3)
    for tensor in old.graph.initializer:
        old.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    truth = Truth(old)
    assert [(spec.name, spec.shape, spec.dtype) for spec in truth.inputs] == [("x", (1, 4), np.float32)]
    assert truth.outputs == ("y",)
    np.testing.assert_allclose(truth.run({"x": X})["y"], np.maximum(X @ W + B, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", ["N", "1"])
def test_a_model_that_mixes_samples_is_fed_one_by_one(n: str) -> None:
    truth = Truth(model(f"m (float[{n}, 4] x) => (float[1, 4] y) {{ y = ReduceMean<axes=[0]>(x) z = Relu(x) }}"))
    result = truth.run({"x": X}, ["y", "z"])
    np.testing.assert_array_equal(result["y"], X)
    np.testing.assert_array_equal(result["z"], np.maximum(X, 0))


def test_a_constant_reshape_to_one_sample_is_fed_one_by_one() -> None:
    text = "m (float[N, 2, 2] x) => (float[1, 4] y) <int64[2] s = {1, 4}> { y = Reshape(x, s) }"
    np.testing.assert_array_equal(Truth(model(text)).run({"x": X.reshape(5, 2, 2)})["y"], X)


@pytest.mark.parametrize("count", [1, 5])
def test_results_without_a_sample_axis_are_stacked(count: int) -> None:
    truth = Truth(model("m (float[1, 4] x) => (float y) { s = Transpose(x) y = ReduceMax<keepdims=0>(s) }"))
    result = truth.run({"x": X[:count]}, ["y", "s"])
    np.testing.assert_array_equal(result["y"], X[:count].max(1))
    np.testing.assert_array_equal(result["s"], X[:count, :, None])
    joined = truth.run({"x": X[:count]}, ["s"], batch_axes={"s": 1})["s"]
    np.testing.assert_array_equal(joined, X[:count].T)


def test_a_merged_batch_axis_keeps_its_extent_in_every_mode() -> None:
    for n in ("N", "1", "2"):
        text = f"m (float[{n}, 4] x) => (float[M, 2] y) <int64[2] s = {{-1, 2}}> {{ h = Reshape(x, s) y = Relu(h) }}"
        got = Truth(model(text)).run({"x": X}, ["h"], batch_axes={"h": 0})["h"]
        np.testing.assert_array_equal(got, X.reshape(-1, 2))


def test_two_inputs_one_of_them_shared() -> None:
    truth = Truth(model("m (float[1, 4] x, float c, int64[1, 2] i) => (float[1, 4] y, int64[1, 2] j) "
                        "{ y = Mul(x, c) j = Add(i, i) }"))  # fmt: skip
    ids = np.arange(10, dtype=np.int32).reshape(5, 2)
    result = truth.run({"x": X, "c": np.float64(2.0), "i": ids})
    np.testing.assert_array_equal(result["y"], 2 * X)
    np.testing.assert_array_equal(result["j"], 2 * ids)
    with pytest.raises(DataError, match=r"different numbers of samples.*'x': 5.*'i': 4"):
        truth.run({"x": X, "c": np.float32(2.0), "i": ids[:4]})


def test_inputs_of_different_fixed_extents_make_one_sample_together() -> None:
    truth = Truth(model("m (float[1, 4] x, float[4, 2] w) => (float[1, 2] y) { y = MatMul(x, w) }"))
    weights = np.stack([W, 2 * W])
    result = truth.run({"x": X[:2], "w": weights.reshape(8, 2)})["y"]
    np.testing.assert_allclose(result, np.einsum("nk,nkm->nm", X[:2], weights), rtol=1e-5)


def test_shapes_fill_in_what_the_model_leaves_free() -> None:
    free = model("m (float[N, C] x) => (float[N, C] y) { y = Relu(x) }")
    truth = Truth(free, shapes={"x": (1, 4)}, threads=1)
    assert truth.inputs[0].shape == (1, 4)
    assert truth.run({"x": X})["y"].shape == (5, 4)
    with pytest.raises(DataError, match="expected shape"):
        truth.run({"x": X[:, :3]})
    for shapes in ({"z": (1, 4)}, {"x": (1, 4, 1)}, {"x": (1, 0)}):
        with pytest.raises(UsageError):
            Truth(free, shapes=shapes)
    with pytest.raises(UsageError, match=r"\[1, 5\] does not fit input 'x', declared \[1, 4\]"):
        Truth(model(MLP.format(n=1)), shapes={"x": (1, 5)})


def test_an_unknown_rank_is_asked_for() -> None:
    unknown = model(MLP.format(n=1))
    unknown.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="rank of input 'x'"):
        Truth(unknown)
    assert Truth(unknown, shapes={"x": (1, 4)}).run({"x": X})["y"].shape == (5, 2)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"input 'x' is missing: expected float32 \[\?, 4\]"),
        ({"x": X, "z": X}, "no input 'z'"),
        ({"x": X[0]}, r"expected 2 axes \[\?, 4\].*given 1 axes \[4\]"),
        ({"x": X[:, :3]}, r"expected shape \[\?, 4\], given \[5, 3\]"),
        ({"x": X.astype(complex)}, "expected float32, given complex128"),
        ({"x": np.where(X[0, 0] == X, np.nan, X)}, "contains NaN"),
        ({"x": np.full((1, 4), 1e300)}, "exceed the range"),
        ({"x": X[:0]}, "no samples"),
    ],
)
def test_wrong_feeds_are_refused(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Truth(model(MLP.format(n="N"))).run(feeds)


def test_dtypes_are_cast_only_where_the_meaning_stays() -> None:
    truth = Truth(model(MLP.format(n="N")))
    want = truth.run({"x": np.ones((2, 4), np.float32)})["y"]
    for dtype in (np.float64, np.float16, np.int64, np.uint8, np.bool_):
        np.testing.assert_array_equal(truth.run({"x": np.ones((2, 4), dtype)})["y"], want)
    ints = Truth(model("m (int32[N] x) => (int32[N] y) { y = Abs(x) }"))
    np.testing.assert_array_equal(ints.run({"x": np.array([-3, 4])})["y"], [3, 4])
    with pytest.raises(DataError, match="do not fit"):
        ints.run({"x": np.array([2**40])})
    with pytest.raises(DataError, match="expected int32, given float64"):
        ints.run({"x": np.array([1.0])})


def test_failures_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="refuses the model"):
        Truth(model("m (float[N, 4] x) => (float[N, 4] y) { y = NoSuchOperator(x) }"))
    gather = Truth(model("m (int64[N] i) => (float[N] y) <float[2] t = {1, 2}> { y = Gather(t, i) }"))
    with pytest.raises(DataError, match=r"cannot run the model on 'i' int64 \[1\]"):
        gather.run({"i": np.array([0, 7])})
    assert gather.run({"i": np.array([0, 1, 1])})["y"].tolist() == [1, 2, 2]
    with pytest.raises(ModelError, match="computes no value 'nope'"):
        gather.run({"i": np.array([0])}, ["nope"])
    assert capfd.readouterr() == ("", "")


def test_sessions_are_cached() -> None:
    truth = Truth(model(MLP.format(n="N")))
    truth.run({"x": X}, ["a", "h"])
    before = dict(truth._sessions)
    truth.run({"x": X}, ["h", "a", "y"])
    assert truth._sessions == before
    assert len(before) == 2


@pytest.mark.parametrize("bias", [-100, 0])
def test_results_that_are_empty_or_change_their_shape_prove_nothing_about_batches(bias: int) -> None:
    """A batch mixes the entries above zero of all samples; random inputs minus 100 have none."""
    text = """g (float[N, 4] x) => (int64[] y, float[] h) <float b = {BIAS}> {
        h = Add(x, b)  r = Relu(h)  y = NonZero(r)
    }"""
    x = np.float32([[200, 0, 300, -200], [-200, 400, -200, -200]])
    found = Truth(model(text.replace("BIAS", str(bias))), threads=1)
    np.testing.assert_array_equal(found.run({"x": x}, ["h"])["h"], x + np.float32(bias))
    assert found._batched is False
