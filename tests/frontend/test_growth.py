# SPDX-License-Identifier: Apache-2.0
"""The samples' axis where its place does not follow from one sample's shapes alone."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from three_ways import same_three_ways

from small_models import dataset, lowered, normal, parsed
from snncc import api
from snncc.execute import reference
from snncc.frontend.normal.growth import SAMPLES, growth
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.normal.unflatten import unflattened
from snncc.frontend.operators.lower import lower

#: Windows of two rows: (N, 4, 3) -> (2 N, 2, 3), and back to (N, 2, 2, 3) by a computed number of samples.
WINDOWS = """g (float[N,4,3] x) => (float[] y) {
    w = Reshape(x, rows)  h = MatMul(w, a)  r = Relu(h)
    s = Shape(x)  n = Slice(s, zero, one)  back = Concat<axis=0>(n, rest)  u = Reshape(r, back)
    m = Add(u, mask)  y = ReduceSum<keepdims=0>(m, axes)
}"""
WINDOW_ARRAYS = {
    "rows": np.array([-1, 2, 3]), "a": normal(1, 3, 3), "zero": np.array([0]), "one": np.array([1]),
    "rest": np.array([2, 2, 3]), "mask": normal(2, 1, 2, 2, 3), "axes": np.array([1, 2]),
}  # fmt: skip
#: Steps first, then samples: rows of a matrix that belong to the samples in turn.
ROWS = """g (float[N,5,6] x) => (float[] y) {
    t = Transpose<perm=[1,0,2]>(x)  s = Shape(t)  n = Slice(s, one, two)
    f = Reshape(t, flat)  p = Gemm<ATTRIBUTES>(f, w, b)  back = Concat<axis=0>(five, n, width)
    u = Reshape(p, back)  r = Relu(u)  y = Transpose<perm=[1,0,2]>(r)
}"""


def rows(attributes: str, w: np.ndarray, b: np.ndarray) -> onnx.ModelProto:
    return parsed(
        ROWS.replace("ATTRIBUTES", attributes), w=w, b=b, one=np.array([1]), two=np.array([2]), five=np.array([5]),
        flat=np.array([-1, 6]), width=np.array([4]),
    )  # fmt: skip


def test_the_axis_that_grows() -> None:
    grows = growth(normalize(samples_first(parsed(WINDOWS, **WINDOW_ARRAYS))))
    assert [grows(name) for name in ("w", "u", "y", "s", "nothing")] == [0, 0, 0, None, None]


def test_a_graph_for_one_sample_has_no_answers() -> None:
    fixed = parsed("g (float[1,6] x) => (float[] y) { a = Reshape(x, s)  y = Relu(a) }", s=np.array([1, 2, 3]))
    assert growth(normalize(samples_first(fixed)))("a") is None


def test_windows_merge_and_split_the_samples_axis() -> None:
    model, x = parsed(WINDOWS, **WINDOW_ARRAYS), normal(3, 5, 4, 3)
    found = lowered(model, dataset(x=x)).network
    assert (found["w"].batch, found["w"].shape[0]) == (0, 2)
    assert (found["u"].batch, found["u"].shape) == (0, (1, 2, 2, 3))  # axis 1 has the extent 2 too
    same_three_ways(model, {"x": x})


@pytest.mark.parametrize(
    ("attributes", "w", "b"),
    [
        ("transB=1", normal(1, 4, 6), normal(2, 4)),
        ("transB=0, alpha=0.5, beta=2.0", normal(1, 6, 4), normal(2, 1, 4)),
        ("transB=1, beta=3.0", normal(1, 4, 6), np.array([0.25], np.float32)),
    ],
)
def test_rows_of_samples_in_turn(attributes: str, w: np.ndarray, b: np.ndarray) -> None:
    model, x = rows(attributes, w, b), normal(3, 7, 5, 6)
    assert api.check(model).one_at_a_time is None
    same_three_ways(model, {"x": x})


def test_what_is_not_undone_stays() -> None:
    """A bias for each row has no place on the axes as they were."""
    source = samples_first(rows("transB=1", normal(1, 4, 6), normal(2, 5, 4)))
    assert unflattened(normalize(source)) is None
    source = samples_first(parsed("g (float[N,6] x) => (float[] y) { y = Gemm(x, w) }", w=normal(1, 6, 4)))
    assert unflattened(normalize(source)) is None


def test_the_normal_form_is_left_as_it_is() -> None:
    inner = normalize(samples_first(rows("transB=1", normal(1, 4, 6), normal(2, 4))))
    before = [node.op_type for node in inner.graph]
    assert unflattened(inner) is not None
    assert [node.op_type for node in inner.graph] == before
    assert lower(inner).network is not None


def test_a_gather_of_every_entry_is_a_view() -> None:
    """as_strided: the flat value gathered in its order, for any number of samples."""
    text = """g (float[N,6] x) => (float[] y) {
        f = Reshape(x, flat)  n = Size(x)  every = Range(zero, n, one)  at = Reshape(every, shape)
        v = Gather(f, at)  r = Relu(v)  y = ReduceSum<keepdims=0>(r, last)
    }"""
    model = parsed(
        text, flat=np.array([-1]), zero=np.array(0), one=np.array(1), shape=np.array([-1, 2, 3]), last=np.array([2])
    )
    assert api.check(model).one_at_a_time is None
    same_three_ways(model, {"x": normal(1, 5, 6)})
    shuffled = parsed(text.replace("Range(zero, n, one)", "Identity(order)"), flat=np.array([-1]),
                      order=np.array([1, 0, 2, 3, 4, 5]), shape=np.array([-1, 2, 3]), last=np.array([2]))  # fmt: skip
    assert api.check(shuffled).one_at_a_time is not None


def test_a_constant_that_is_expanded_to_the_samples_and_split() -> None:
    """The first state of a recurrent cell: one row, which onnxruntime repeats for each sample."""
    text = """g (float[N,3] x) => (float[] y) {
        s = Shape(x)  n = Slice(s, zero, one)  to = Concat<axis=0>(n, width)  e = Expand(start, to)
        a, b = Split<axis=1>(e, halves)  h = MatMul(x, w)  k = Mul(h, a)  z = Add(k, b)  r = Relu(z)  y = Mul(r, b)
    }"""
    model = parsed(
        text, zero=np.array([0]), one=np.array([1]), width=np.array([8]), start=normal(1, 1, 8), w=normal(2, 3, 4),
        halves=np.array([4, 4]),
    )  # fmt: skip
    x = normal(3, 5, 3)
    case = lowered(model, dataset(x=x))
    values = case.context.values.run({"x": x}, ["a", "b", "r"])
    assert values["a"].shape == case.network["a"].shape == (1, 4)
    assert SAMPLES > 1
    assert len(values["r"]) == 5
    api.convert(model, method="dnisnm", calib=dataset(x=x), write=False)


def test_rows_made_of_parts_that_lie_beside_the_samples() -> None:
    """Attention with its weights asked for: (steps, samples x heads, part) -> (steps x samples, heads x part)."""
    text = """g (float[N,5,6] x) => (float[] y) {
        t = Transpose<perm=[1,0,2]>(x)  s = Shape(t)  n = Slice(s, one, two)  many = Mul(n, two)
        parts = Concat<axis=0>(five, many, three)  h = Reshape(t, parts)  r = Relu(h)  f = Reshape(r, flat)
        p = Gemm<transB=1>(f, w, b)  back = Concat<axis=0>(five, n, width)  u = Reshape(p, back)
        y = Transpose<perm=[1,0,2]>(u)
    }"""
    model = parsed(
        text, w=normal(1, 4, 6), b=normal(2, 4), one=np.array([1]), two=np.array([2]), three=np.array([3]),
        five=np.array([5]), flat=np.array([-1, 6]), width=np.array([4]),
    )  # fmt: skip
    assert api.check(model).one_at_a_time is None
    same_three_ways(model, {"x": normal(3, 7, 5, 6)})


def test_what_was_merged_is_taken_apart_in_a_graph_for_one_sample() -> None:
    """Rows of two windows become (1, 2, 2, 6): the samples are on axis 0, though axis 1 has the extent of the rows."""
    model = parsed(
        """g (float[1,4,6] x) => (float[] y) {
            w = Reshape(x, windows)  r = Relu(w)  u = Reshape(r, apart)  y = ReduceMean<axes=[1], keepdims=0>(u)
        }""",
        windows=np.array([2, 2, 6]),
        apart=np.array([1, 2, 2, 6]),
    )
    x = normal(3, 5, 4, 6)
    case = lowered(model, dataset(x=x))
    found = case.network
    assert (found["w"].batch, found["u"].batch, found["y"].batch) == (0, 0, 0)
    y = case.context.values.run({"x": x}, ["y"])["y"]
    np.testing.assert_allclose(reference.evaluate(found, {"x": x})["y"], y, rtol=1e-5, atol=1e-6)
