# SPDX-License-Identifier: Apache-2.0
"""Elementwise functions, normalisations, reductions and operators that move entries, attribute by attribute."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from onnx_cases import Case, Fed, by_sample, case, event_driven, fed, fed_ints, normal
from three_ways import prepared, same_three_ways

from snncc.execute import reference
from snncc.execute.torch.engine import Engine
from snncc.functions.onnx import reference as by_onnx
from snncc.functions.torch import elementwise as torch_elementwise
from snncc.ir.nodes import (
    Affine,
    Clip,
    Constant,
    Expand,
    Input,
    LeakyRelu,
    Linear,
    Operator,
    Pad,
    Reduce,
    Relu,
    Reshape,
    Transpose,
)
from snncc.ir.operators import OPERATORS

I64 = np.int64


def at(*values: int) -> np.ndarray:
    """A constant vector of int64."""
    return np.array(values, I64)


def scalar(value: float, dtype: type = np.float32) -> np.ndarray:
    """A constant of rank 0."""
    return np.array(value, dtype)


SMOOTH = "Erf Mish Softplus Softsign Sin Cos Atan Sinh Cosh Asinh HardSwish"
ROUGH = "Sign Round Floor Ceil"
POSITIVE = "Log Sqrt Reciprocal"
WITHIN_ONE = "Asin Acos Atanh Tan"
COMPARE = "Equal Greater GreaterOrEqual Less LessOrEqual"
REDUCE = "ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare"


def elementwise() -> Iterator[Case]:
    for op in (SMOOTH + " " + ROUGH).split():
        yield case(op, fed(4, 5), opset=22 if op in ("Mish", "HardSwish") else 20)
    for op in POSITIVE.split():
        yield case(op, fed(4, low=0.2, high=3.0))
    for op in WITHIN_ONE.split():
        yield case(op, fed(4, low=-0.9, high=0.9))
    yield case("Acosh", fed(4, low=1.1, high=3.0))
    yield from (case("Gelu", fed(6), approximate=a) for a in ("none", "tanh"))
    yield from (case("HardSigmoid", fed(6), **a) for a in ({}, {"alpha": 0.4}, {"beta": 0.1}))
    yield from (case(op, fed(6), **a) for op in ("Elu", "Celu") for a in ({}, {"alpha": 0.7}))
    yield from (case("Selu", fed(6), **a) for a in ({}, {"alpha": 0.7}, {"gamma": 2.0}))
    yield from (case("Swish", fed(6), opset=24, by_onnx=True, **a) for a in ({}, {"alpha": 1.7}))
    yield from (case("ThresholdedRelu", fed(6), **a) for a in ({}, {"alpha": 0.3}, {"alpha": 0.0}))
    yield from (case("Shrink", fed(6), **a) for a in ({}, {"bias": 0.2}, {"lambd": 0.2}, {"bias": 1.0, "lambd": 0.1}))
    yield case("Abs", fed(6))
    yield case("Abs", fed_ints(9, 4, low=-9))
    for exponent in (2.0, 3.0, 0.5, 1.5, -1.0, -0.5, -2.0, 1.0, 0.0):
        yield case("Pow", fed(5, low=0.3, high=2.0), scalar(exponent))
    yield case("Pow", fed(5), scalar(2, I64))
    yield case("Pow", fed(5), scalar(3.0))
    yield case("Pow", fed(5, low=0.3, high=2.0), fed(5))
    yield case("Pow", fed(5, low=0.3, high=2.0), np.float32([1, 2, 3, 0.5, -1]))
    yield case("Pow", fed_ints(5, 4), scalar(2, I64))
    yield case("Pow", scalar(2.0), fed(5))
    for fmod in (0, 1):
        yield case("Mod", fed_ints(20, 4, low=-20), fed_ints(7, 4, low=1), fmod=fmod)
        yield case("Mod", fed_ints(20, 4, low=-20), at(-3), fmod=fmod)
    yield case("Mod", fed(5), fed(5), fmod=1)
    for op in ("Max", "Min"):
        yield case(op, fed(5), fed(5), fed(5))
        yield case(op, fed(5))
        yield case(op, fed(5), scalar(0.0))
        yield case(op, fed(5), scalar(0.3), scalar(-0.3))
        yield case(op, fed(4, 5), normal(5))
        yield case(op, fed(2, 5), fed(1, 5), scalar(0.1))
        yield case(op, fed_ints(9, 4), fed_ints(9, 4))
    yield case("Where", fed_ints(2, 4, dtype=bool), fed(4), fed(4))
    yield case("Where", normal(3, 4) > 0, fed(3, 4), scalar(-5.0))
    yield case("Where", fed_ints(2, 3, 1, dtype=bool), normal(4), fed(3, 4))
    for op in COMPARE.split():
        yield case(op, fed(5), fed(5))
        yield case(op, fed(5), scalar(0.1))
        yield case(op, fed_ints(3, 6), fed_ints(3, 6))
    for dtype in (np.uint16, np.uint32, np.uint64):
        large = fed_ints(np.iinfo(dtype).max, 6, dtype=dtype, low=np.iinfo(dtype).max - 4)
        for op in ("Max", "Min", *COMPARE.split()):
            yield case(op, large, fed_ints(9, 6, dtype=dtype), by_onnx=True)
            yield case(op, large, np.full((), np.iinfo(dtype).max - 2, dtype), by_onnx=True)
    for op in ("And", "Or", "Xor"):
        yield case(op, fed_ints(2, 6, dtype=bool), fed_ints(2, 6, dtype=bool))
        yield case(op, fed_ints(2, 2, 6, dtype=bool), np.array([0, 1, 1, 0, 1, 0], bool))
    yield case("Not", fed_ints(2, 6, dtype=bool))
    odd = fed(4)
    odd.array[:, :3] = [np.inf, -np.inf, np.nan]
    yield case("IsNaN", odd)
    for negative, positive in itertools.product((0, 1), repeat=2):
        yield case("IsInf", odd, detect_negative=negative, detect_positive=positive)
    for dtype in (np.uint8, np.uint32, np.int32):
        for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            yield case(op, fed_ints(100, 5, dtype=dtype), fed_ints(100, 5, dtype=dtype))
        yield case("BitwiseNot", fed_ints(100, 5, dtype=dtype))
    for dtype, direction in itertools.product((np.uint8, np.uint32, np.uint64), ("LEFT", "RIGHT")):
        yield case("BitShift", fed_ints(200, 5, dtype=dtype), fed_ints(7, 5, dtype=dtype), direction=direction)


def normalizations() -> Iterator[Case]:
    for axis, shape in ((-1, (5,)), (1, (4, 5)), (2, (5,))):
        yield case("LayerNormalization", fed(4, 5), normal(*shape), normal(*shape), axis=axis, epsilon=1e-3)
        yield case("RMSNormalization", fed(4, 5), normal(*shape), opset=23, axis=axis, epsilon=1e-2)
    yield case("LayerNormalization", fed(4, 5), normal(5), stash_type=1)
    yield case("LayerNormalization", fed(4, 5), fed(1, 5), fed(1, 5), by_onnx=True)
    yield case("LayerNormalization", fed(4, 5), normal(5), normal(5), outputs=("y", "mean", "inverse"))
    yield case("LayerNormalization", fed(4, 5), normal(5), normal(5), outputs=("y", "", "inverse"), epsilon=0.1)
    yield case("SimplifiedLayerNormalization", fed(4, 5), normal(5), axis=-1, epsilon=1e-3, stash_type=1)
    for groups in (1, 2, 6):
        yield case("GroupNormalization", fed(6, 3, 4), normal(groups), normal(groups), num_groups=groups, opset=18)
        yield case("GroupNormalization", fed(6, 5), normal(6), normal(6), num_groups=groups, epsilon=0.1, stash_type=1)
    yield case("InstanceNormalization", fed(3, 4, 5), normal(3), normal(3), epsilon=0.1)
    yield case("InstanceNormalization", fed(3, 6), normal(3), normal(3))
    yield case("MeanVarianceNormalization", fed(3, 4, 5), axes=[2, 3])
    yield case("MeanVarianceNormalization", fed(3, 4, 5), axes=[1, -1])
    yield case("MeanVarianceNormalization", fed(3, 4, 5), one_at_a_time=True)
    yield from (case("LpNormalization", fed(3, 4), axis=a, p=p) for a, p in itertools.product((1, -1), (1, 2)))
    yield case("LpNormalization", fed(3, 4))
    yield from (case("LRN", fed(7, 3, 2), size=s) for s in (1, 3, 5))
    yield case("LRN", fed(7, 3, 2), size=3, alpha=0.5, beta=0.4, bias=2.0)
    yield from (case("Hardmax", fed(3, 4), opset=o, axis=a) for o, a in ((12, 1), (12, 2), (13, 1), (13, -1)))
    yield from (case("Hardmax", fed(3, 4), opset=o) for o in (12, 13))


def reductions() -> Iterator[Case]:
    for op in REDUCE.split():
        x = fed(3, 4, 5, low=0.2, high=2.0)
        newest = 20 if op in ("ReduceMax", "ReduceMin") else 18
        for keep in (0, 1):
            yield case(op, x, axes=[1, -1], keepdims=keep, opset=11)
            yield case(op, x, at(2), keepdims=keep, opset=newest)
        yield case(op, x, one_at_a_time=True, opset=newest)
        yield case(op, x, at(), opset=newest, noop_with_empty_axes=1)
        yield case(op, fed(3, 4), at(1), opset=newest) if "Log" not in op else case(op, x, at(-2, 1), opset=newest)
    yield case("ReduceMax", fed_ints(9, 4, dtype=np.int32), at(1))
    yield case("ReduceProd", fed_ints(4, 4, dtype=np.int32), at(1))
    yield case("ReduceL1", fed_ints(4, 4, low=-4, dtype=np.int32), at(1))
    yield case("ReduceSumSquare", fed_ints(4, 4, dtype=np.int32), at(1))
    yield case("ReduceMin", fed_ints(2, 4, dtype=bool), at(1), opset=20)
    yield case("GlobalLpPool", fed(3, 4, 5))
    yield case("GlobalLpPool", fed(3, 4, 5), p=3)
    for options in (
        {},
        {"p": 1},
        {"p": 3, "strides": [2, 1]},
        {"pads": [1, 0, 1, 1]},
        {"dilations": [2, 1]},
        {"ceil_mode": 1, "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
    ):
        yield case("LpPool", fed(2, 6, 7), kernel_shape=[3, 2], opset=18, **options)
    yield case("LpPool", fed(2, 7), kernel_shape=[2], opset=11)
    for exclusive, reverse in itertools.product((0, 1), repeat=2):
        yield case("CumSum", fed(4, 5), scalar(1, I64), exclusive=exclusive, reverse=reverse)
        yield case("CumSum", fed_ints(9, 4, dtype=np.int32), scalar(-1, I64), exclusive=exclusive, reverse=reverse)
        yield case("CumProd", fed(4, 5), scalar(1, I64), exclusive=exclusive, reverse=reverse, opset=26, by_onnx=True)
    yield case("CumSum", fed(2, 1100), scalar(2, I64), rtol=1e-4)
    yield case("CumSum", fed(4), scalar(0, I64), one_at_a_time=True)
    yield case("Det", fed(4, 4))
    yield case("Det", fed(2, 3, 3))
    yield from (case("Einsum", fed(4, 5), equation=e) for e in ("nij->nji", "nij->n", "bij->bi", "...ij->...j"))
    yield from (
        case("Einsum", fed(4, 5), normal(5, 6), equation=e) for e in ("nij,jk->nik", "...j,jk", "nij, jk -> nk")
    )
    yield case("Einsum", fed(4, 5), fed(5, 3), equation="bij,bjk->bik")
    yield case("Einsum", fed(4, 5), fed(4, 5), equation="bij,bkj->kbi", batch=1)
    yield case("Einsum", fed(2, 4, 5), fed(2, 5, 3), equation="...ij,...jk->...ik")
    yield case("Einsum", fed(4, 4), equation="nii->ni")
    yield case("Einsum", fed(4), fed(5), normal(4, 5, 2), equation="na,nb,abc->nc")
    yield case("Einsum", fed(4), equation="ni->i", one_at_a_time=True)


def indexing() -> Iterator[Case]:
    columns = np.array([[2, 0, -1, 1, 2]], I64)
    yield case("GatherElements", fed(5), columns, axis=1)
    yield case("GatherElements", fed(3, 4), np.array([[[0, 3], [1, -1], [2, 2]]], I64), axis=-1)
    yield case("GatherElements", fed(5), fed_ints(5, 3), axis=1)
    yield case("GatherElements", normal(1, 5), fed_ints(5, 3), axis=1)
    yield case("GatherElements", fed(5), np.array([[0, 0]], I64), axis=0, one_at_a_time=True)
    for op, opset in (("Scatter", 10), ("ScatterElements", 21)):
        yield case(op, fed(5), np.array([[3, -5]], I64), normal(1, 2), axis=1, opset=opset)
        yield case(op, fed(3, 5), np.array([[[3, 0], [1, 2]]], I64), fed(2, 2), axis=-1, opset=opset)
    for reduction in ("none", "add", "mul", "max", "min"):
        yield case("ScatterElements", fed(5), np.array([[3, -5]], I64), fed(2), axis=1, reduction=reduction, opset=18)
        yield case("ScatterND", fed(4, 5), np.array([[[0, 3], [0, 1]]], I64), fed(2, 5), reduction=reduction, opset=18)
    yield case("ScatterElements", fed(5), np.array([[3, 3, 1]], I64), fed(3), axis=1, reduction="add", opset=18)
    yield case("ScatterND", fed(4, 5, 2), np.array([[[0, 3, 4], [0, 1, -1]]], I64), normal(1, 2, 2))
    yield case("ScatterND", fed(4, 5), np.array([[0, 3, 1], [0, 1, 0]], I64), normal(2))
    yield case("ScatterND", fed(5), at(0).reshape(1, 1), normal(1, 5), one_at_a_time=True)
    yield case("GatherND", fed(4, 5), np.array([[[0, 3], [0, 1]]], I64))
    yield case("GatherND", fed(4, 5), np.array([[[2], [-1]]], I64), batch_dims=1)
    yield case("GatherND", fed(4, 5), fed_ints(4, 6, 1), batch_dims=1)
    yield case("GatherND", normal(4, 5), fed_ints(4, 6, 2))
    yield case("GatherND", fed(4, 5), at(0).reshape(1, 1), one_at_a_time=True)
    yield case("Compress", fed(3, 4), np.array([1, 0, 1], bool), axis=1)
    yield case("Compress", fed(3, 4), np.array([0, 1, 1, 0], bool), axis=-1)
    yield case("Compress", fed(3, 2), np.array([0, 1, 1, 0, 1], bool), one_at_a_time=True)
    for axis in (-1, 1, 2):
        yield case("OneHot", fed_ints(4, 3), scalar(4, I64), np.float32([0, 1]), axis=axis)
    yield case("OneHot", fed_ints(4, 3, low=-4), at(4), np.float32([-1, 3]))
    for axis, largest in itertools.product((1, -1), (0, 1)):
        yield case("TopK", fed(6, 5), at(3), axis=axis, largest=largest, outputs=("v", "i"))
    yield case("TopK", fed(6), at(3), outputs=("v", "_i"), sorted=1)
    yield case("TopK", fed_ints(4, 6), at(4), outputs=("v", "i"))
    yield case("TopK", fed(6), at(2), opset=10, axis=1, outputs=("v", "i"))
    yield case("TopK", fed(6), k=2, opset=9, axis=1, outputs=("v", "i"))
    for upper, k in itertools.product((0, 1), (None, -1, 2)):
        yield case("Trilu", fed(4, 5), *([] if k is None else [scalar(k, I64)]), upper=upper)
    yield case("Trilu", fed_ints(9, 4, 4), upper=0)
    yield case("Trilu", fed_ints(2, 4, 4, dtype=bool), upper=1)
    yield case("ReverseSequence", fed(4, 2), at(3), batch_axis=0, time_axis=1)
    yield case("ReverseSequence", fed(4, 5, 2), at(3, 1, 4, 5), batch_axis=1, time_axis=2, by_onnx=True)
    yield case("ReverseSequence", fed(5, 4), at(3, 1, 4, 5), batch_axis=2, time_axis=1, by_onnx=True)
    yield case("ReverseSequence", fed(4), at(1, 1, 1, 1), one_at_a_time=True)
    place = np.array([[[[5, 7], [13, 15]]]], I64)
    yield case("MaxUnpool", fed(1, 2, 2), place, kernel_shape=[2, 2], strides=[2, 2])
    yield case("MaxUnpool", fed(1, 2, 2), place, at(1, 1, 5, 5), kernel_shape=[2, 2], strides=[2, 2])
    for align, padding, mode in itertools.product(
        (0, 1), ("zeros", "border", "reflection"), ("linear", "nearest", "cubic")
    ):
        how = {"align_corners": align, "padding_mode": padding, "mode": mode}
        yield case("GridSample", fed(2, 4, 5), normal(1, 3, 2, 2), opset=20, rtol=1e-4, **how)
    yield case("GridSample", fed(2, 4, 5), fed(3, 2, 2), opset=16, mode="bilinear", rtol=1e-4)
    yield case("GridSample", fed(2, 4, 5), fed(3, 2, 2), opset=16, mode="bicubic", rtol=1e-4)
    yield case("GridSample", fed(2, 3, 4, 5), fed(3, 2, 2, 3), opset=20, rtol=1e-4)


def space() -> Iterator[Case]:
    for mode in ("DCR", "CRD"):
        yield case("DepthToSpace", fed(8, 2, 3), blocksize=2, mode=mode)
    yield case("DepthToSpace", fed(9, 2, 3), blocksize=3, opset=10)
    yield case("SpaceToDepth", fed(2, 4, 6), blocksize=2)
    yield case("Tile", fed(2, 3), at(1, 2, 3))
    yield case("Tile", fed(2, 3), at(1, 1, 1))
    yield case("Tile", fed(3), at(2, 1), one_at_a_time=True)
    yield case("CenterCropPad", fed(5, 4), at(2, 7), axes=[1, 2])
    yield case("CenterCropPad", fed(4, 5), at(7, 2), axes=[-2, -1])
    yield case("CenterCropPad", fed(4, 5), at(1, 5, 5))
    for options in (
        {},
        {"strides": [2, 1]},
        {"dilations": [1, 2]},
        {"pads": [1, 0, 1, 2]},
        {"strides": [2, 2], "pads": [0, 1, 0, 1]},
    ):
        yield col2im([6, 7], [2, 3], **options)
    yield col2im([7], [3])
    yield col2im([4, 5, 4], [2, 2, 2])
    for align in (0, 1):
        yield case("AffineGrid", fed(2, 3), at(1, 2, 4, 5), opset=20, align_corners=align, by_onnx=True)
        yield case("AffineGrid", fed(3, 4), at(1, 2, 3, 4, 5), opset=20, align_corners=align, by_onnx=True)
    yield case("EyeLike", fed(4), k=1, one_at_a_time=True)
    yield case("EyeLike", fed(4), dtype=7, one_at_a_time=True)


def col2im(image: list[int], block: list[int], **options: list[int]) -> Case:
    """Col2Im; the number of columns follows from the other extents."""
    n = len(image)
    stride, dilation = options.get("strides", [1] * n), options.get("dilations", [1] * n)
    pads = options.get("pads", [0] * (2 * n))
    places = [(image[i] + pads[i] + pads[n + i] - (block[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in range(n)]
    channels = 2 * int(np.prod(block))
    return case("Col2Im", fed(channels, int(np.prod(places))), at(*image), at(*block), opset=18, **options)


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
NEAREST = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def resizing() -> Iterator[Case]:
    up, down = np.float32([1, 1, 1.5, 2.3]), np.float32([1, 1, 0.6, 0.7])
    larger, smaller, one = at(1, 2, 7, 9), at(1, 2, 3, 4), at(1, 2, 1, 1)
    x = fed(2, 5, 6)
    for mode, coordinate in itertools.product(("nearest", "linear", "cubic"), COORDINATES):
        how = {"mode": mode, "coordinate_transformation_mode": coordinate}
        for scales in (up, down):
            yield case("Resize", x, None, scales, opset=19, **how)
        for sizes in (larger, smaller, one):
            yield case("Resize", x, None, None, sizes, opset=19, **how)
    for nearest, coordinate in itertools.product(NEAREST, [*COORDINATES[:4], "tf_half_pixel_for_nn"]):
        how = {"nearest_mode": nearest, "coordinate_transformation_mode": coordinate}
        opset = 11 if coordinate.startswith("tf") else 18
        yield case("Resize", x, np.float32([]), up, opset=opset, **how)
        yield case("Resize", x, np.float32([]), np.float32([1, 1, 2, 0.5]), opset=opset, **how)
    for cubic in (-0.5, -0.75):
        yield from (case("Resize", x, None, s, opset=13, mode="cubic", cubic_coeff_a=cubic) for s in (up, down))
    for outside, scales in itertools.product((0, 1), (up, down)):
        yield case("Resize", x, None, scales, opset=13, mode="cubic", exclude_outside=outside)
    for mode, scales in itertools.product(("linear", "cubic"), (up, down)):
        yield from (
            case("Resize", x, None, scales, opset=18, mode=mode, antialias=1, exclude_outside=e) for e in (0, 1)
        )
    roi = np.float32([0, 0, 0.1, -0.2, 1, 1, 0.8, 1.3])
    for mode, value in itertools.product(("nearest", "linear", "cubic"), (0.0, 7.5)):
        how = {"mode": mode, "extrapolation_value": value, "coordinate_transformation_mode": "tf_crop_and_resize"}
        yield case("Resize", x, roi, None, at(1, 2, 4, 5), opset=13, **how)
        yield case("Resize", x, roi, up, opset=13, **how)
    for policy in ("stretch", "not_larger", "not_smaller"):
        how = {"axes": [2, 3], "keep_aspect_ratio_policy": policy}
        yield case("Resize", x, None, None, at(7, 8), opset=18, mode="linear", **how)
        yield case("Resize", x, None, None, at(3, 8), opset=18, **how)
    yield case("Resize", x, None, np.float32([2.0, 1.5]), opset=18, mode="linear", axes=[3, 2])
    yield case("Resize", fed(2, 5), None, np.float32([1, 1, 1.6]), opset=19, mode="linear")
    yield case("Resize", fed(2, 3, 4, 5), None, np.float32([1, 1, 2, 1.5, 2]), opset=19, mode="linear")
    yield case("Resize", x, None, np.float32([1, 1, 1, 1]), opset=19)
    yield case("Resize", fed(4), None, np.float32([2, 1]), opset=19, one_at_a_time=True)
    for mode in ("nearest", "linear"):
        whole, half = np.float32([1, 1, 2, 3]), np.float32([1, 1, 0.5, 0.4])
        yield from (case("Resize", x, s, opset=10, mode=mode) for s in (whole, half, up))
        yield from (case("Upsample", x, s, opset=9, mode=mode) for s in (whole, up))
        yield from (case("Upsample", x, scales=list(map(float, s)), opset=8, mode=mode) for s in (whole, up))


CASES = [*elementwise(), *normalizations(), *reductions(), *indexing(), *space(), *resizing()]


@pytest.mark.parametrize("row", CASES, ids=lambda row: row.name)
def test_same_as_onnx(row: Case) -> None:
    oracle = partial(by_sample, row)
    same_three_ways(row.model(), row.feeds, rtol=row.rtol, one_at_a_time=row.one_at_a_time, oracle=oracle)


def is_finite_rate(row: Case) -> bool:
    """Whether something is rate-coded, and finite."""
    feeds = row.feeds.values()
    return any(x.dtype == np.float32 for x in feeds) and all(np.isfinite(x).all() for x in feeds)


@pytest.mark.parametrize("row", [row for row in CASES if is_finite_rate(row)], ids=lambda row: row.name)
def test_event_driven(row: Case) -> None:
    """Both executors agree at every step, and the running mean approaches the function where that is continuous."""
    _, lowered = prepared(row.model())
    assert lowered.network is not None
    feeds = {name: x[:1] if row.one_at_a_time else x for name, x in row.feeds.items()}
    want = reference.evaluate(lowered.network, feeds)
    network = event_driven(lowered.network, want)
    engine, steps = Engine(network, dtype=torch.float64), 6
    defined = reference.run(network, feeds, steps)
    found = engine.run(feeds, steps, checkpoints=tuple(range(1, steps + 1)), steps_at_once=4).outputs
    smooth = all(
        OPERATORS[node.op].continuous or lowered.network.is_linear(node)
        for node in lowered.network.nodes
        if isinstance(node, Operator)
    )
    for name in network.outputs:
        if name not in network.varying:
            continue
        sums = np.cumsum([np.asarray(values[name], np.float64) for values in defined], 0)
        means = sums / np.arange(1, steps + 1).reshape(-1, *[1] * (sums.ndim - 1))
        np.testing.assert_allclose(found[name].numpy(), means, rtol=1e-9, atol=1e-9)
        if smooth:
            late = engine.run(feeds, 400, checkpoints=(20, 400)).outputs[name].numpy()
            before, after = (float(np.abs(step - want[name]).max()) for step in late)
            assert after <= max(before / 5, 0.01 * (1 + float(np.abs(want[name]).max()))), (before, after)


@pytest.mark.parametrize("row", [*indexing(), *space(), *resizing()], ids=lambda row: row.name)
def test_moving_entries_is_linear(row: Case) -> None:
    """Spikes pass through it, unless entries are compared or multiplied or the places vary."""
    _, lowered = prepared(row.model())
    assert lowered.network is not None
    nonlinear = {
        node.op for node in lowered.network.nodes if isinstance(node, Operator) and not lowered.network.is_linear(node)
    }
    allowed = {"combine_elements", "combine_nd", "top_values", "top_indices"}
    if row.op == "GridSample" and isinstance(row.operands[1], Fed):
        allowed.add("grid_sample")
    assert nonlinear <= allowed


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (case("Abs", fed(3)), [LeakyRelu]),
        (case("HardSigmoid", fed(3)), [Affine, Clip]),
        (case("HardSwish", fed(3), opset=22), [Affine, Clip, Operator]),
        (case("Max", fed(3), scalar(0.0)), [Relu]),
        (case("Max", scalar(0.2), fed(3)), [Clip]),
        (case("Min", fed(3), scalar(6.0), scalar(5.0)), [Clip]),
        (case("ThresholdedRelu", fed(3), alpha=0.0), [Relu]),
        (case("CumSum", fed(3), scalar(1, I64)), [Linear]),
        (case("Trilu", fed(3, 3)), [Affine]),
        (case("DepthToSpace", fed(4, 2, 2), blocksize=2), [Reshape, Transpose, Reshape]),
        (case("Tile", fed(2), at(1, 3)), [Reshape, Expand, Reshape]),
        (case("CenterCropPad", fed(5), at(1, 3)), [Pad]),
        (case("Resize", fed(1, 4, 4), None, np.float32([1, 1, 2, 2]), mode="linear"), [Linear, Linear]),
        (case("ReduceLogSum", fed(3), at(1)), [Reduce, Operator]),
        (case("LayerNormalization", fed(3), normal(3), normal(3)), [Operator, Affine]),
        (case("LayerNormalization", fed(3), np.ones(3, np.float32)), [Operator, Affine]),
        (case("InstanceNormalization", fed(2, 3), normal(2), normal(2)), [Operator, Affine]),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_lowered_to(row: Case, kinds: list[type]) -> None:
    _, lowered = prepared(row.model())
    assert lowered.network is not None
    assert [type(n) for n in lowered.network.nodes if not isinstance(n, Input | Constant)] == kinds


def test_values_of_a_comparison_select_after_transmission() -> None:
    """A truth value that was transmitted as a rate is rounded before it selects."""
    condition = np.array([0.0, 1e-7, 0.9999999, 1.0])
    a, b = np.arange(4.0), -np.arange(4.0)
    want = np.array([0.0, -1.0, 2.0, 3.0])
    node = Operator(name="y", inputs=("c", "a", "b"), shape=(4,), batch=None, op="select")
    np.testing.assert_array_equal(by_onnx.evaluate(node, [condition, a, b]), want)
    tensors = [torch.from_numpy(x) for x in (condition, a, b)]
    np.testing.assert_array_equal(torch_elementwise.select(*tensors).numpy(), want)


@pytest.mark.parametrize("size", [2, 4])
def test_local_response_over_an_even_number_of_channels(size: int) -> None:
    """onnxruntime refuses even sizes and onnx.reference has only the first channel right: by hand."""
    row = case("LRN", fed(5, 2), size=size, alpha=0.5)
    _, lowered = prepared(row.model())
    assert lowered.network is not None
    x = row.feeds["in0"].astype(np.float64)
    total = np.zeros_like(x)
    for channel, other in itertools.product(range(5), repeat=2):
        if -((size - 1) // 2) <= other - channel <= math.ceil((size - 1) / 2):
            total[:, channel] += x[:, other] ** 2
    want = x / (1 + 0.5 / size * total) ** 0.75
    np.testing.assert_allclose(reference.evaluate(lowered.network, row.feeds)["y"], want, rtol=1e-6)
    np.testing.assert_allclose(Engine(lowered.network).evaluate(row.feeds)["y"].numpy(), want, rtol=1e-5)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (case("TopK", fed(6), Fed(at(2)), outputs=("v", "_i")), "K"),
        (case("OneHot", fed_ints(4, 3), Fed(at(4)), np.float32([0, 1])), "depth"),
        (case("Resize", fed(1, 4), None, Fed(np.float32([1, 1, 2]))), "roi"),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_refused(row: Case, word: str) -> None:
    """What decides about shapes must be constant."""
    model = row.model()
    fixed = {f"in{i}": x.array.shape for i, x in enumerate(row.operands) if isinstance(x, Fed)}
    for info in model.graph.input:
        if fixed[info.name][0] != 3:
            info.type.tensor_type.shape.dim[0].dim_value = fixed[info.name][0]
    _, lowered = prepared(model)
    assert lowered.network is None
    assert any(word in p.reason or "shape" in p.reason for p in lowered.problems)
