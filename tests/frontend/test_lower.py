# SPDX-License-Identifier: Apache-2.0
"""Weighted operators, pools, arithmetic and shape operators: every attribute in every form that an opset gave it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_cases import Case, case, fed, fed_ints, normal
from three_ways import prepared, same_three_ways

from small_models import parsed
from snncc.errors import UnsupportedModel
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.operators.elementwise import LOWERINGS as ELEMENTWISE
from snncc.frontend.operators.linear import LOWERINGS as LINEAR
from snncc.frontend.operators.lower import LOWERINGS, lower, lowered_network
from snncc.frontend.operators.shape import LOWERINGS as SHAPE
from snncc.ir.nodes import Affine, Clip, Conv, Foreign, Linear, Node, Operator, Relu, Sum

I64 = np.int64


def at(*values: int) -> np.ndarray:
    """A constant vector of int64."""
    return np.array(values, I64)


def scalar(value: float) -> np.ndarray:
    """A constant of rank 0."""
    return np.array(value, np.float32)


WINDOWS: list[dict[str, Any]] = [
    {},
    {"strides": [2, 3]},
    {"pads": [1, 0, 2, 1]},
    {"dilations": [2, 1]},
    {"strides": [2, 1], "pads": [0, 1, 1, 2], "dilations": [1, 2]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "SAME_UPPER", "strides": [3, 1]},
    {"auto_pad": "VALID", "strides": [1, 2]},
    {"auto_pad": "NOTSET", "pads": [1, 1, 1, 1]},
]


def convolutions() -> Iterator[Case]:
    for options in WINDOWS:
        if "dilations" not in options or "auto_pad" not in options:
            yield case("Conv", fed(2, 7, 8), normal(4, 2, 3, 2), normal(4), opset=11, **options)
    yield case("Conv", fed(2, 7, 8), normal(4, 2, 3, 2), opset=22, kernel_shape=[3, 2])
    yield case("Conv", fed(4, 7, 6), normal(6, 2, 2, 3), normal(6), group=2, opset=7)
    yield case("Conv", fed(4, 7, 6), normal(4, 1, 3, 3), group=4, pads=[1, 1, 1, 1], opset=11)
    yield case("Conv", fed(3, 9), normal(5, 3, 4), normal(5), strides=[2], pads=[3, 1], dilations=[2])
    yield case("Conv", fed(3, 9), normal(5, 3, 4), auto_pad="SAME_LOWER", strides=[1])
    yield case("Conv", fed(2, 4, 5, 3), normal(3, 2, 2, 3, 1), normal(3), pads=[1, 0, 0, 0, 1, 1], strides=[1, 2, 1])


def transposed() -> Iterator[Case]:
    w = normal(2, 3, 3, 2)
    options: dict[str, Any]
    for options in (
        {},
        {"strides": [2, 3]},
        {"pads": [1, 0, 2, 1]},
        {"dilations": [2, 1]},
        {"strides": [2, 3], "output_padding": [1, 2]},
        {"strides": [3, 2], "pads": [0, 1, 1, 0], "output_padding": [2, 1], "dilations": [1, 2]},
        {"strides": [2, 2], "output_shape": [8, 9]},
        {"strides": [2, 2], "output_shape": [9, 10]},
        {"strides": [2, 2], "output_shape": [10, 11]},
        {"strides": [2, 2], "output_shape": [8, 9], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "output_shape": [8, 9], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 3], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 1], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 3], "auto_pad": "VALID"},
    ):
        yield case("ConvTranspose", fed(2, 4, 5), w, normal(3), opset=11, **options)
    yield case("ConvTranspose", fed(2, 4, 5), w, kernel_shape=[3, 2])
    yield case("ConvTranspose", fed(4, 4, 5), normal(4, 3, 3, 3), normal(6), group=2, strides=[2, 2], pads=[1] * 4)
    yield case("ConvTranspose", fed(4, 5), normal(4, 1, 3), group=4, strides=[2], output_padding=[1], opset=7)
    yield case("ConvTranspose", fed(2, 3, 4, 3), normal(2, 2, 2, 3, 2), normal(2), strides=[1, 2, 2])


def pools() -> Iterator[Case]:
    for options in WINDOWS:
        if "auto_pad" in options and "dilations" in options:
            continue
        yield case("MaxPool", fed(2, 8, 9), kernel_shape=[3, 3], opset=12, **options)
        if "dilations" not in options:
            yield case("AveragePool", fed(2, 8, 9), kernel_shape=[3, 3], opset=11, **options)
            yield case("AveragePool", fed(2, 8, 9), kernel_shape=[3, 3], count_include_pad=1, opset=11, **options)
    for ceil, include in itertools.product((0, 1), (0, 1)):
        many: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": ceil}
        yield case("AveragePool", fed(2, 8, 7), count_include_pad=include, opset=19, **many)
        yield case("AveragePool", fed(2, 8, 7), count_include_pad=include, opset=10, **many)
        one: dict[str, Any] = {"kernel_shape": [2], "strides": [2], "ceil_mode": ceil}
        yield case("AveragePool", fed(3, 9), count_include_pad=include, opset=19, **one)
        yield case("MaxPool", fed(2, 8, 7), opset=10, **many)
        yield case("MaxPool", fed(2, 8, 7), storage_order=0, opset=22, **many)
    # windows of ceil_mode that would begin in the padding at the end are left out
    yield case("MaxPool", fed(2, 6), kernel_shape=[2], strides=[3], pads=[1, 1], ceil_mode=1)
    yield case("MaxPool", fed(2, 5), kernel_shape=[1], strides=[2], ceil_mode=1)
    for op in ("MaxPool", "AveragePool"):
        yield case(op, fed(2, 4), kernel_shape=[2], strides=[2], pads=[0, 1], ceil_mode=1, opset=19)
        yield case(op, fed(2, 4, 6), kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1, opset=19)
    yield case("AveragePool", fed(2, 9, 9), kernel_shape=[3, 2], dilations=[2, 3], opset=19)
    yield case("AveragePool", fed(2, 5), kernel_shape=[3], pads=[1, 1], opset=7)
    yield case("AveragePool", fed(1, 4, 4, 4), kernel_shape=[2, 2, 2], strides=[2, 1, 2], opset=11)
    yield case("MaxPool", fed(1, 4, 5, 4), kernel_shape=[2, 2, 3], dilations=[1, 2, 1], opset=11)
    yield from (case(f"Global{op}Pool", fed(*shape)) for op in ("Average", "Max") for shape in ((3, 4), (3, 4, 5)))


def products() -> Iterator[Case]:
    vectors: tuple[np.ndarray | None, ...] = (None, normal(4), scalar(0.3), normal(1), normal(1, 4), normal(1, 1))
    for c, trans_b in itertools.product(vectors, (0, 1)):
        b = normal(4, 5) if trans_b else normal(5, 4)
        operands = (fed(5), b) if c is None else (fed(5), b, c)
        yield case("Gemm", *operands, transB=trans_b, opset=13)
        yield case("Gemm", *operands, transB=trans_b, alpha=0.5, beta=-2.0, opset=11)
    yield case("Gemm", fed(5), normal(5, 4), normal(4), beta=0.0)
    yield case("Gemm", fed(5), normal(5, 4), normal(4), opset=7)
    yield case("Gemm", fed(5), normal(5, 4), fed(4), alpha=2.0, beta=0.5)
    yield case("MatMul", fed(5), normal(5, 4))
    yield case("MatMul", fed(3, 5), normal(5, 4), opset=9)
    yield case("MatMul", fed(2, 3, 5), normal(5, 4))
    yield case("MatMul", fed(3, 5), normal(5))
    yield case("MatMul", normal(4, 3), fed(3, 5))
    yield case("MatMul", fed(3, 5), fed(5, 2))
    yield case("MatMul", fed(2, 3, 5), fed(1, 5, 2))
    yield case("MatMul", fed(2, 3, 5), normal(2, 5, 4))
    yield case("MatMul", normal(2, 4, 3), fed(2, 3, 5))
    yield case("MatMul", fed(3, 5), normal(1, 5, 4))
    yield case("MatMul", normal(3), fed(3, 5))
    yield case("Gemm", fed(3), normal(1, 4), transA=1, one_at_a_time=True)
    yield case("MatMul", normal(4, 1), fed(3), one_at_a_time=True)
    statistics = (normal(3), normal(3), normal(3), np.abs(normal(3)) + 0.1)
    yield case("BatchNormalization", fed(3, 4, 5), *statistics, epsilon=0.1, opset=15)
    yield case("BatchNormalization", fed(3), *statistics, momentum=0.5, opset=14)
    yield case("BatchNormalization", fed(3, 4), *statistics, opset=9)
    yield case("BatchNormalization", fed(3, 4, 5, 2), *statistics, epsilon=1e-3, opset=7)


def arithmetic() -> Iterator[Case]:
    for op in ("Add", "Sub", "Mul", "Div"):
        safe = fed(3, 4, low=0.5, high=2.0)
        for constant in (scalar(1.7), normal(4) + 3, normal(3, 1) + 3, normal(1, 3, 4) + 3, normal(1, 1, 1) + 2):
            yield case(op, fed(3, 4), constant, opset=7)
            yield case(op, constant, safe, opset=14)
        yield case(op, fed(3, 4), safe, opset=13)
        yield case(op, fed(3, 4), fed(1, 4, low=0.5, high=2.0))
        yield case(op, fed_ints(50, 3), fed_ints(9, 3, low=1))
        yield case(op, fed_ints(50, 3), at(7))
        yield case(op, fed(4), normal(3, 1, 4) + 3)  # the samples move to axis 1
        yield case(op, fed(4), normal(3, 4) + 3, one_at_a_time=True)
    yield case("Div", fed_ints(50, 3, low=-50), at(-7))
    for op in ("Sum", "Mean"):
        yield case(op, fed(3, 4), opset=8)
        yield case(op, fed(3, 4), normal(4), fed(1, 4), opset=13)
        yield case(op, fed(3, 4), scalar(2.0), opset=8)
    yield case("Neg", fed(4))
    yield case("Neg", fed_ints(9, 4))
    yield from (case("Cast", fed(5, low=-9, high=9), to=t) for t in (TensorProto.FLOAT, TensorProto.INT64))
    yield from (case("Cast", fed(5, low=-9, high=9), to=t) for t in (TensorProto.INT8, TensorProto.INT32))
    yield case("Cast", fed(5), to=TensorProto.BOOL)
    yield case("Cast", fed_ints(3, 5), to=TensorProto.FLOAT, opset=9)
    yield case("Cast", fed_ints(3, 5), to=TensorProto.BOOL)
    yield case("Cast", fed_ints(2, 5, dtype=bool), to=TensorProto.FLOAT)
    yield case("CastLike", fed(5, low=-9, high=9), fed_ints(3, 5))
    yield case("CastLike", fed_ints(3, 5), fed(5))


def activations() -> Iterator[Case]:
    yield from (case("Relu", fed(3, 4), opset=o) for o in (7, 14))
    bounds: tuple[tuple[float | None, float | None], ...]
    bounds = ((None, None), (0.0, 6.0), (-0.5, 0.5), (0.2, None), (None, 0.3), (0.0, None))
    for low, high in bounds:
        given = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
        yield case("Clip", fed(3, 4), opset=7, **given)
        inputs = [None if v is None else scalar(v) for v in (low, high)]
        while inputs and inputs[-1] is None:
            inputs.pop()
        yield case("Clip", fed(3, 4), *inputs, opset=12)
    yield case("Clip", fed_ints(20, 5, low=-20), at(-3).reshape(()), at(4).reshape(()))
    yield from (
        case("LeakyRelu", fed(4), opset=o, **a) for o, a in ((7, {}), (16, {"alpha": 0.3}), (7, {"alpha": -1.0}))
    )
    for slope in (normal(1), normal(3, 1, 1), normal(5), normal(3, 4, 5), scalar(0.3)):
        yield case("PRelu", fed(3, 4, 5), slope, opset=9)
    for op in ("Softmax", "LogSoftmax"):
        yield from (case(op, fed(3, 4), opset=o, **a) for o in (11, 13) for a in ({}, {"axis": 2}, {"axis": 1}))
        yield case(op, fed(3, 4), opset=13, axis=-2)
        yield case(op, fed(3, 4), opset=12, axis=-1)
        yield case(op, fed(4), opset=13, axis=0, one_at_a_time=True)
        yield case(op, fed(4), opset=11, axis=0, one_at_a_time=True)
    ties = fed(3, 5)
    ties.array[:] = np.round(ties.array)
    for op, axis, keep in itertools.product(("ArgMax", "ArgMin"), (1, 2, -1), (0, 1)):
        yield case(op, ties, axis=axis, keepdims=keep, opset=11)
        yield case(op, ties, axis=axis, keepdims=keep, select_last_index=1, opset=12)
    yield case("ArgMax", fed(5), one_at_a_time=True)
    yield from (case(op, fed(3, 4)) for op in ("Sigmoid", "Tanh", "Exp", "Identity"))
    yield case("Dropout", fed(4), ratio=0.7, opset=7)
    yield case("Dropout", fed(4), scalar(0.7), np.array(False), seed=1, opset=13)


def reshapes() -> Iterator[Case]:
    yield from (case("Flatten", fed(3, 4, 5), axis=a, opset=13) for a in (1, -3))
    yield from (case("Flatten", fed(3, 4), opset=o) for o in (7, 9, 11))
    yield from (case("Flatten", fed(3, 4, 5), axis=a, opset=13) for a in (2, 3, -1))  # k > 1
    yield case("Flatten", fed(3, 4), axis=0)
    for shape in ((0, -1), (-1, 12), (0, 4, 3), (0, 0, 2, 2), (-1, 2, 6), (0, 1, -1, 1), (0, 0, -1)):
        yield case("Reshape", fed(3, 4), at(*shape), opset=13)
    yield case("Reshape", fed(3, 4), at(-1, 4), allowzero=0, opset=14)  # k = 3
    yield case("Reshape", fed(3, 4), at(-1, 2, 2), opset=21)
    yield case("Reshape", fed(3, 4), at(0, -1), opset=5)
    yield case("Reshape", fed(6, 4), at(-1, 3, 4), opset=9)  # k = 2
    yield case("Squeeze", fed(1, 4, 1), axes=[1, 3], opset=11)
    yield case("Squeeze", fed(1, 4, 1), axes=[-1], opset=11)
    yield case("Squeeze", fed(1, 4, 1), at(1, -1), opset=13)
    yield case("Unsqueeze", fed(4), axes=[1, 3], opset=11)
    yield case("Unsqueeze", fed(4), axes=[0], opset=7)
    yield case("Unsqueeze", fed(4), at(-1, 0), opset=13)
    yield case("Transpose", fed(3, 4))
    yield from (case("Transpose", fed(3, 4), perm=p) for p in itertools.permutations(range(3)))
    for op_opset in (7, 13):
        yield case("Concat", fed(3, 4), fed(2, 4), axis=1, opset=op_opset)
    yield case("Concat", fed(3, 4), fed(3, 1), fed(3, 2), axis=-1, opset=11)
    yield case("Concat", fed(3, 4), axis=0)
    yield case("Concat", fed(3, 4), fed(3, 4), axis=0, one_at_a_time=True)
    yield case("Expand", fed(1, 4), at(1, 3, 4))
    yield case("Expand", fed(4), at(2, 1, 1), opset=8)
    yield case("Expand", fed(1), at(5))
    yield case("Expand", fed(4), at(3, 1, 4))
    yield case("Gather", fed(5, 3), at(2, 0, -1), axis=1)
    yield case("Gather", fed(5, 3), np.array([[2, 0], [1, -2]], I64), axis=-1)
    yield case("Gather", fed(5, 3), np.array(3, I64), axis=1, opset=7)
    yield case("Gather", normal(6, 4), fed_ints(6, 3), axis=0)
    yield case("Gather", normal(4, 6), fed_ints(6, 3, low=-6), axis=1, opset=11)
    yield case("Gather", fed(3), at(0, 0), axis=0, one_at_a_time=True)
    yield case("Gather", fed(5), fed_ints(5, 2), axis=1, one_at_a_time=True)


def cuts() -> Iterator[Case]:
    yield case("Slice", fed(6, 7), starts=[1, 2], ends=[4, 6], axes=[1, 2], opset=9)
    yield case("Slice", fed(6, 7), starts=[0, -5], ends=[1000, -1], opset=9)
    yield case("Slice", fed(6, 7), starts=[1], ends=[-1], axes=[2], opset=7)
    yield case("Slice", fed(6, 7), at(1, 2), at(4, 6), at(1, 2), opset=10)
    yield case("Slice", fed(6, 7), at(-1), at(-1000), at(1), at(-1), opset=11)
    yield case("Slice", fed(6, 7), at(5, 6), at(0, 1), at(1, -1), at(-2, -3), opset=13)
    yield case("Slice", fed(6, 7), at(1, 0), at(1000, 1000), at(2, 1), at(2, 4))
    yield case("Slice", fed(6, 7), at(0, 0), at(I64(2**62), 3))
    yield case("Slice", fed(6, 7), at(0), at(1000), at(1))
    for axis, size in ((1, 6), (-1, 5), (2, 5)):
        names = ("a", "b", "c")
        parts = [1, 3, size - 4]
        yield case("Split", fed(6, 5), axis=axis, split=parts, outputs=names, opset=11)
        yield case("Split", fed(6, 5), at(*parts), axis=axis, outputs=names, opset=13)
        yield case("Split", fed(6, 5), axis=axis, num_outputs=3, outputs=names, opset=18)
    yield case("Split", fed(6, 5), axis=1, outputs=("a", "b", "c"), opset=13)
    yield case("Split", fed(7, 5), axis=1, num_outputs=4, outputs=("a", "b", "c", "d"), opset=18)
    for mode, pads in itertools.product(("constant", "reflect", "edge"), ([0, 1, 0, 0, 2, 1], [0, 0, 2, 0, 1, 0])):
        yield case("Pad", fed(4, 5), mode=mode, pads=pads, opset=7)
        yield case("Pad", fed(4, 5), at(*pads), mode=mode, opset=11)
        yield case("Pad", fed(4, 5), at(*pads), mode=mode, opset=13)
    yield case("Pad", fed(4, 5), mode="constant", value=1.5, pads=[0, 1, 2, 0, 0, 1], opset=7)
    yield case("Pad", fed(4, 5), at(0, 1, 2, 0, 0, 1), scalar(-0.5), opset=11)
    yield case("Pad", fed(4, 5), at(1, 2, 0, 1), scalar(2.0), at(-1, 1), opset=18)
    yield case("Pad", fed(4, 5), at(1, 2), None, at(2), mode="reflect", opset=18)
    yield case("Pad", fed(4, 5), at(0, 3, 1, 0, 2, 4), mode="wrap", opset=19)
    yield case("Pad", fed(4, 5), at(0, -1, 1, 0, 1, -2), opset=11)
    yield case("Pad", fed(4, 5), at(0, -1, 0, 0, 0, -2), mode="edge", opset=11)
    for op in ("ReduceMean", "ReduceSum"):
        newest = 18 if op == "ReduceMean" else 13
        for keep in (0, 1):
            yield case(op, fed(3, 4, 5), axes=[1, -1], keepdims=keep, opset=11)
            yield case(op, fed(3, 4, 5), at(2), keepdims=keep, opset=newest)
            yield case(op, fed(3, 4, 5), at(-3, 3), keepdims=keep, opset=21)
        yield case(op, fed(3, 4), axes=[2], opset=11)
        yield case(op, fed(3, 4), at(), noop_with_empty_axes=1, opset=newest)
        yield case(op, fed(3, 4), one_at_a_time=True, opset=newest)
        yield case(op, fed(3, 4), axes=[0], keepdims=0, one_at_a_time=True, opset=11)
    yield case("ReduceSum", fed_ints(9, 4), at(1), keepdims=0)


FAMILIES = {
    "linear": [*convolutions(), *transposed(), *pools(), *products()],
    "elementwise": [*arithmetic(), *activations()],
    "shape": [*reshapes(), *cuts()],
}
TABLE = [row for rows in FAMILIES.values() for row in rows]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_one_operator(row: Case) -> None:
    network = same_three_ways(row.model(), row.feeds, rtol=row.rtol, one_at_a_time=row.one_at_a_time)
    assert not any(isinstance(n, Foreign) for n in network.nodes)
    if row.one_at_a_time:
        return
    every, alone = run(network, row.feeds, 0, 3), [run(network, row.feeds, i, i + 1) for i in range(3)]
    for name, axis in ((name, network[name].batch) for name in network.outputs):
        if axis is not None:
            joined = np.concatenate([part[name] for part in alone], axis)
            np.testing.assert_allclose(every[name], joined, rtol=1e-12, atol=1e-12)


def run(network: Any, feeds: dict[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
    from snncc.execute import reference

    return reference.evaluate(network, {name: x[start:stop] for name, x in feeds.items()})


@pytest.mark.parametrize(("family", "known"), [("linear", LINEAR), ("elementwise", ELEMENTWISE), ("shape", SHAPE)])
def test_the_table_has_every_operator(family: str, known: dict[str, Any]) -> None:
    assert {row.op for row in FAMILIES[family]} | {"Constant"} >= set(known)
    assert known.items() <= LOWERINGS.items()


# What a lowering makes: not only the right numbers but the node that passes look for.


def nodes_of(row: Case) -> list[Node]:
    _, result = prepared(row.model())
    assert result.network is not None
    return [n for n in result.network.nodes if n.inputs]


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (case("Gemm", fed(5), normal(5, 4), normal(4), alpha=2.0, beta=0.5), [Linear]),
        (case("Gemm", fed(5), normal(5, 4), normal(1, 4)), [Linear]),
        (case("MatMul", fed(3, 5), normal(5, 4)), [Linear]),
        (case("MatMul", normal(4, 3), fed(3, 5)), [Linear]),
        (case("Conv", fed(2, 7), normal(4, 2, 3), normal(4)), [Conv]),
        (case("Add", fed(4), normal(4)), [Affine]),
        (case("Sub", normal(4), fed(4)), [Affine]),
        (case("Div", fed(4), normal(4)), [Affine]),
        (case("Add", fed(4), fed(4)), [Sum]),
        (case("Mul", fed(4), fed(4)), [Operator]),
        (case("Clip", fed(4), scalar(0.0)), [Relu]),
        (case("Clip", fed(4), scalar(0.0), scalar(np.inf)), [Relu]),
        (case("Clip", fed(4), scalar(0.0), scalar(6.0)), [Clip]),
        (case("Clip", fed(4), min=-3.4028234663852886e38, max=6.0, opset=7), [Clip]),
    ],
    ids=lambda x: x.name if isinstance(x, Case) else "",
)
def test_what_it_becomes(row: Case, kinds: list[type]) -> None:
    assert [type(n) for n in nodes_of(row)] == kinds


def test_infinite_bounds_of_a_clip_are_none() -> None:
    (node,) = nodes_of(case("Clip", fed(4), min=-3.4028234663852886e38, max=6.0, opset=7))
    assert isinstance(node, Clip)
    assert (node.low, node.high) == (None, 6.0)


def test_attention_with_heads_merged_into_the_batch() -> None:
    """(N, L, H D) -> (N H, L, D): k = H entries per sample, products of rows of the same sample and head only."""
    graph = """g (float[N,5,6] x) => (float[] y) {
        q = MatMul(x, wq)  k = MatMul(x, wk)
        q1 = Reshape(q, four) q2 = Transpose<perm=[0,2,1,3]>(q1) q3 = Reshape(q2, three)
        k1 = Reshape(k, four) k2 = Transpose<perm=[0,2,3,1]>(k1) k3 = Reshape(k2, other)
        s = MatMul(q3, k3) s2 = Mul(s, half) a = Softmax<axis=-1>(s2)
        o = MatMul(a, q3) o1 = Reshape(o, back) o2 = Transpose<perm=[0,2,1,3]>(o1) y = Reshape(o2, flat)
    }"""
    shapes = {"four": at(0, 5, 2, 3), "three": at(-1, 5, 3), "other": at(-1, 3, 5), "back": at(-1, 2, 5, 3)}
    source = parsed(graph, wq=normal(6, 6), wk=normal(6, 6), half=scalar(0.5), flat=at(0, 5, 6), **shapes)
    network = same_three_ways(source, {"x": normal(3, 5, 6)})
    assert (network["q3"].batch, network["q3"].shape) == (0, (2, 5, 3))
    assert (network["a"].batch, network["a"].shape) == (0, (2, 5, 5))
    assert (network["y"].batch, network["y"].shape) == (0, (1, 5, 6))


@pytest.mark.parametrize("constant", [(1, 1), (2, 1), (2, 5)])
def test_constants_that_differ_along_a_merged_axis(constant: tuple[int, ...]) -> None:
    """Rows of one sample get different constants where the constant has the extent k of the merged axis."""
    graph = """g (float[1,2,5] x) => (float[] y) {
        r = Reshape(x, rows) a = Add(r, c) m = Mul(a, c) s = Sub(c, m) y = Relu(s)
    }"""
    c = normal(*constant)
    source = parsed(graph, rows=at(2, 5), c=c)
    _, result = prepared(source)
    assert result.network is not None
    assert result.one_at_a_time is None
    x = normal(3, 2, 5)
    wanted = np.maximum(c - (x + c) * c, 0).reshape(6, 5)
    for start, stop in ((0, 1), (0, 3), (1, 3)):
        found = run(result.network, {"x": x}, start, stop)["y"]
        np.testing.assert_allclose(found, wanted[2 * start : 2 * stop], rtol=1e-5, atol=1e-6)


def test_slopes_that_differ_along_a_merged_axis() -> None:
    source = parsed(
        "g (float[1,2,5] x) => (float[] y) { r = Reshape(x, rows) y = PRelu(r, c) }", rows=at(2, 5), c=normal(2, 1)
    )
    same_three_ways(source, {"x": normal(3, 2, 5)}, one_at_a_time=True)


def test_the_samples_axis_is_followed() -> None:
    """Sequence first, as recurrent models want it: the samples on axis 1, then back."""
    graph = """g (float[N,4,3] x) => (float[] y) {
        t = Transpose<perm=[1,0,2]>(x) l = MatMul(t, w) b = Add(l, c) r = Relu(b) m = ReduceMean<axes=[0]>(r)
        s = Squeeze(m, zero) y = Concat<axis=1>(s, s)
    }"""
    source = parsed(graph, w=normal(3, 5), c=normal(4, 1, 5), zero=at(0))
    network = same_three_ways(source, {"x": normal(3, 4, 3)})
    assert [network[n].batch for n in ("t", "l", "b", "r", "m", "s", "y")] == [1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("m = ReduceMean<axes=[0]>(x) y = Sub(x, m)", "reduces over the samples' axis"),
        ("t = Transpose(x) y = MatMul(x, t)", "carry the samples on different axes"),
        ("y = Softmax<axis=0>(x)", "normalises over the samples' axis"),
        ("t = Transpose(x) y = Reshape(t, two)", "cuts the samples' axis"),
        ("t = Transpose(x) y = Add(x, t)", "different axes"),
        ("y = Concat<axis=0>(x, x)", "joins values along the samples' axis"),
        ("y = Squeeze(x, zero)", "removes the samples' axis"),
        ("y = Expand(x, two)", "enlarges the samples' axis"),
        ("y = Pad(x, pads)", "pads the samples' axis"),
    ],
)
def test_operators_that_mix_samples(body: str, reason: str) -> None:
    """Such a graph runs one sample at a time, and each sample gets what the graph gives for it alone."""
    constants: dict[str, Any] = {"two": at(2, 2), "zero": at(0), "pads": at(1, 0, 0, 1)}
    used = {name: value for name, value in constants.items() if name in body}
    width = 1 if "t = Transpose(x) y = Add" in body else 4
    if "Expand" in body:
        used["two"] = at(3, 4)
    source = parsed(f"g (float[1,{width}] x) => (float[] y) {{ {body} }}", **used)
    _, result = prepared(source)
    assert reason in str(result.one_at_a_time)
    same_three_ways(source, {"x": normal(3, width)}, one_at_a_time=True)


def test_inputs_without_samples_share_one_graph() -> None:
    """Every input gets an axis of its own for the samples; a rank-1 input is one sample."""
    source = parsed("g (float[4] x) => (float[] y) { a = Mul(x, c) y = Relu(a) }", c=normal(4))
    same_three_ways(source, {"x": normal(3, 4)}, one_at_a_time=True)


# What cannot be lowered.


def problems(source: onnx.ModelProto) -> list[tuple[str, str]]:
    with pytest.raises(UnsupportedModel) as caught:
        lowered_network(normalize(prepared(source)[0]))
    for problem in caught.value.problems:
        assert problem.reason
        assert problem.cure
        assert str(problem) in str(caught.value)
    return [(p.node, p.operator) for p in caught.value.problems]


def named(op: str, inputs: list[str], outputs: list[str], name: str, domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes)


def custom_model(*nodes: onnx.NodeProto, output: str) -> onnx.ModelProto:
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4])  # noqa: E731
    between = [info(n.output[0]) for n in nodes if n.output[0] != output]
    graph = helper.make_graph(list(nodes), "g", [info("x")], [info(output)], value_info=between)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def test_every_problem_is_listed_at_once() -> None:
    source = custom_model(
        named("Warp", ["x"], ["a"], "first", "my.domain"),
        named("Relu", ["a"], ["b"], "fine"),
        named("RandomNormalLike", ["b"], ["c"], "second"),
        named("Warp", ["c"], ["d"], "third", "my.domain"),
        output="d",
    )
    inner = normalize(source)
    for value in (v for n in inner.graph for v in n.outputs):
        value.shape, value.dtype = inner.graph.inputs[0].shape, inner.graph.inputs[0].dtype
    result = lower(inner)
    assert result.network is None
    assert [(p.node, p.operator) for p in result.problems] == [
        ("first", "Warp"),
        ("second", "RandomNormalLike"),
        ("third", "Warp"),
    ]
    assert result.failed == {"first", "second", "third"}
    assert result.nodes == 4
    assert "my.domain" in result.problems[0].reason
    assert all(p.cure for p in result.problems)
    with pytest.raises(UnsupportedModel, match="3 problems in the graph"):
        lowered_network(inner)


def test_an_attribute_that_nobody_thought_of_names_itself() -> None:
    source = custom_model(named("Relu", ["x"], ["y"], "strange", wobble=3), output="y")
    with pytest.raises(UnsupportedModel, match=r"strange  Relu  .*wobble"):
        lowered_network(normalize(source))


@pytest.mark.parametrize(
    ("domain", "reason"), [("", ""), ("my.domain", "no lowering for this operator of domain my.domain")]
)
def test_an_operator_that_does_not_exist(domain: str, reason: str) -> None:
    """Its shape is not known either, which is not what to say of it."""
    source = custom_model(named("Frobnicate", ["x"], ["y"], "odd", domain), output="y")
    with pytest.raises(UnsupportedModel, match=f"1 problem in the graph\n  odd  Frobnicate  {reason}.* -> .*"):
        lowered_network(normalize(source))


def test_batch_statistics_are_refused() -> None:
    ones = np.ones(2, np.float32)
    source = parsed(
        "g (float[N,2,4] x) => (float[] y) { y, m, v = BatchNormalization<training_mode=1>(x, a, b, c, d) }",
        a=ones, b=ones, c=ones, d=ones,
    )  # fmt: skip
    with pytest.raises(UnsupportedModel, match=r"training_mode=1 .* -> call model.eval\(\) before exporting"):
        lowered_network(normalize(prepared(source)[0]))


@pytest.mark.parametrize(
    "body",
    [
        "t = Abs(x) m = ReduceMean<axes=[0,2], keepdims=0>(t) y = BatchNormalization(x, m, m, m, m)",
        "y = Conv(x, x)",
        "y = ConvTranspose(x, x)",
        "m = ReduceMean<keepdims=0>(x) y = Clip(x, m)",
        "t = Abs(x) y = PRelu(x, t)",
    ],
)
def test_a_weight_that_is_computed(body: str) -> None:
    """Never a wrong number: onnxruntime runs such a node one sample at a time, and it is shown as foreign."""
    source = parsed(f"g (float[1,1,4] x) => (float[] y) {{ {body} }}")
    _, result = prepared(source)
    one = result.one_at_a_time is not None
    network = same_three_ways(source, {"x": normal(3, 1, 4)}, one_at_a_time=one)
    assert [n.name for n in network.nodes if isinstance(n, Foreign)] == ["y"]


@pytest.mark.parametrize("cut", [[0, 1, 1], [-1, 1000, 1], [-1, -1000, -1]])
def test_a_slice_that_keeps_the_only_sample_keeps_every_sample(cut: list[int]) -> None:
    """x[0:1] of a model for one sample is x; it must not drop the others of a batch."""
    start, stop, step = (at(v) for v in cut)
    source = parsed("g (float[1,4] x) => (float[] y) { y = Slice(x, a, b, c, d) }", a=start, b=stop, c=at(0), d=step)
    _, result = prepared(source)
    assert result.network is not None
    x = normal(3, 4)
    assert np.array_equal(run(result.network, {"x": x}, 0, 3)["y"], x)


def test_an_output_that_is_constant() -> None:
    source = parsed(
        "g (float[N,2] x) => (float[] y, float[] c) { c = Constant<value_floats=[1.0, 2.0]>() y = Relu(x) }"
    )
    network = lowered_network(normalize(prepared(source)[0]))
    assert run(network, {"x": normal(3, 2)}, 0, 3)["c"].tolist() == [1, 2]


def test_outputs_that_nobody_reads() -> None:
    source = parsed("g (float[N,6,4] x) => (float[] y) { a, b, c = Split<axis=1>(x, s) y = Add(a, c) }", s=at(2, 2, 2))
    network = same_three_ways(source, {"x": normal(3, 6, 4)})
    assert "b" not in network.by_name
