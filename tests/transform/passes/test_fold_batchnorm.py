# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from small_models import Case, dataset, lowered, normal, parsed
from snncc.conversion.shapes import check_shapes
from snncc.conversion.verify import ROUNDING, ann_deviation
from snncc.execute import reference
from snncc.ir.check import check
from snncc.ir.nodes import BatchNorm
from snncc.transform.base import Fidelity
from snncc.transform.passes import fold_batchnorm


def statistics(channels: int, seed: int = 0, *, shift: bool = True) -> dict[str, np.ndarray]:
    """gamma (negative ones too), beta, mean, variance."""
    found = {
        "g": normal(seed, channels),
        "m": normal(seed + 1, channels),
        "v": np.abs(normal(seed + 2, channels)) + 0.1,
    }
    found["g"][0] = -abs(found["g"][0])
    found["b"] = normal(seed + 3, channels)
    if not shift:
        found["m"][:] = found["b"][:] = 0
    return found


BN = "BatchNormalization<epsilon=0.01>"
IMAGE, ROW = "float[N,4,5,6] x", "float[N,4] x"
CONV = {"w": normal(9, 6, 4, 3, 2), "c": normal(8, 6)}
GROUPED = {"w": normal(9, 6, 2, 3, 2), "c": normal(8, 6)}
SQUARE = {"w": normal(9, 4, 4, 3, 3), "c": normal(8, 4)}
BACK = {"w": normal(9, 4, 3, 2, 2), "c": normal(8, 6)}
# input, body, weights beside the statistics, normalised channels, the nodes afterwards, the nodes that are noted
TABLE: dict[str, tuple[str, str, dict[str, np.ndarray], int, list[str], list[str]]] = {
    "conv": (IMAGE, f"h = Conv(x, w, c) y = {BN}(h, g, b, m, v)", CONV, 6, ["Conv"], []),
    "no bias": (IMAGE, f"h = Conv(x, w) y = {BN}(h, g, b, m, v)", {"w": CONV["w"]}, 6, ["Conv"], []),
    "padded": (IMAGE, f"h = Conv<pads=[1,0,1,1]>(x, w, c) y = {BN}(h, g, b, m, v)", CONV, 6, ["Conv"], []),
    "grouped": (IMAGE, f"h = Conv<group=2>(x, w, c) y = {BN}(h, g, b, m, v)", GROUPED, 6, ["Conv"], []),
    "transposed": (
        IMAGE,
        f"h = ConvTranspose<group=2, strides=[2,1]>(x, w, c) y = {BN}(h, g, b, m, v)",
        BACK,
        6,
        ["ConvTranspose"],
        [],
    ),
    "gemm": (ROW, f"h = Gemm(x, w) y = {BN}(h, g, b, m, v)", {"w": normal(1, 4, 6)}, 6, ["Linear"], []),
    "before gemm": (
        ROW,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) y = Gemm(n, w, c)",
        {"w": normal(1, 4, 6), "c": normal(2, 6)},
        4,
        ["Relu", "Linear"],
        [],
    ),
    "before gemm without bias": (
        ROW,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) y = Gemm(n, w)",
        {"w": normal(1, 4, 6)},
        4,
        ["Relu", "Linear"],
        [],
    ),
    "before conv": (
        IMAGE,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) y = Conv(n, w, c)",
        CONV,
        4,
        ["Relu", "Conv"],
        [],
    ),
    "before grouped conv": (
        IMAGE,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) y = Conv<group=2, strides=[2,2]>(n, w, c)",
        GROUPED,
        4,
        ["Relu", "Conv"],
        [],
    ),
    "between two": (
        IMAGE,
        f"h = Conv(x, w, c) n = {BN}(h, g, b, m, v) y = Conv(n, w2)",
        {**SQUARE, "w2": normal(4, 2, 4, 1, 1)},
        4,
        ["Conv", "Conv"],
        [],
    ),
    "alone": (IMAGE, f"y = {BN}(x, g, b, m, v)", {}, 4, ["Affine"], ["y"]),
    "before padded conv": (
        IMAGE,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) y = Conv<pads=[1,1,1,1]>(n, w, c)",
        CONV,
        4,
        ["Relu", "Affine", "Conv"],
        ["n"],
    ),
    "before transposed conv": (
        IMAGE,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) y = ConvTranspose(n, w)",
        {"w": BACK["w"]},
        4,
        ["Relu", "Affine", "ConvTranspose"],
        ["n"],
    ),
    "after relu": (
        IMAGE,
        f"h = Conv(x, w, c) r = Relu(h) y = {BN}(r, g, b, m, v)",
        CONV,
        6,
        ["Conv", "Relu", "Affine"],
        ["y"],
    ),
    "conv read twice": (
        IMAGE,
        f"h = Conv(x, w, c) n = {BN}(h, g, b, m, v) y = Add(n, h)",
        CONV,
        6,
        ["Conv", "Affine", "Sum"],
        ["n"],
    ),
    "bn read twice": (
        IMAGE,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) a = Conv(n, w, c) d = Conv(n, w, c) y = Add(a, d)",
        CONV,
        4,
        ["Relu", "Affine", "Conv", "Conv", "Sum"],
        ["n"],
    ),
    "two in a row": (
        IMAGE,
        f"h = Conv(x, w, c) n = {BN}(h, g, b, m, v) y = {BN}(n, g, b, m, v)",
        CONV,
        6,
        ["Conv", "Affine"],
        ["y"],
    ),
    "around a conv": (
        IMAGE,
        f"r = Relu(x) n = {BN}(r, g, b, m, v) h = Conv(n, w, c) y = {BN}(h, g, b, m, v)",
        SQUARE,
        4,
        ["Relu", "Conv", "Affine"],
        ["y"],
    ),
    "product along another axis": (
        "float[N,4,5] x",
        f"h = MatMul(x, w) y = {BN}(h, g, b, m, v)",
        {"w": normal(1, 5, 3)},
        4,
        ["Linear", "Affine"],
        ["y"],
    ),
}


def made(row: str, *, shift: bool = True) -> Case:
    given, body, weights, channels, _, _ = TABLE[row]
    source = parsed(f"g ({given}) => (float[] y) {{ {body} }}", **weights, **statistics(channels, shift=shift))
    shape = source.graph.input[0].type.tensor_type.shape
    return lowered(source, dataset(x=normal(5, 4, *[d.dim_value for d in shape.dim[1:]])))


@pytest.mark.parametrize("row", TABLE)
def test_each_place(row: str) -> None:
    case = made(row)
    feeds = case.context.calibration.inputs
    before = reference.evaluate(case.network, feeds)["y"]
    net = case.apply("fold_batchnorm")
    check(net, "fold_batchnorm")
    check_shapes(net, "fold_batchnorm")
    kinds, noted = TABLE[row][-2:]
    assert [type(n).__name__ for n in net.nodes if n.inputs] == kinds
    assert case.notes == [("information", name) for name in noted]
    after = reference.evaluate(net, feeds)["y"]
    assert np.abs(after - before).max() <= 1e-6 * np.abs(before).max()  # weights rounded to float32, nothing else
    assert ann_deviation(net, case.context.values, feeds).error < ROUNDING


def test_a_batch_norm_without_shift_goes_through_padding() -> None:
    case = made("before padded conv", shift=False)
    before = reference.evaluate(case.network, case.context.calibration.inputs)["y"]
    net = case.apply("fold_batchnorm")
    assert [type(n).__name__ for n in net.nodes if n.inputs] == ["Relu", "Conv"]
    after = reference.evaluate(net, case.context.calibration.inputs)["y"]
    assert np.abs(after - before).max() <= 1e-6 * np.abs(before).max()


def test_a_convolution_that_is_an_output_stays() -> None:
    body = f"h = Conv(x, w, c) y = {BN}(h, g, b, m, v)"
    source = parsed(f"g ({IMAGE}) => (float[] y, float[] h) {{ {body} }}", **CONV, **statistics(6))
    case = lowered(source, dataset(x=normal(5, 4, 4, 5, 6)))
    before = reference.evaluate(case.network, case.context.calibration.inputs)
    net = case.apply("fold_batchnorm")
    after = reference.evaluate(net, case.context.calibration.inputs)
    assert np.array_equal(before["h"], after["h"])
    assert case.notes == [("information", "y")]


def test_a_batch_norm_that_is_an_output_stays() -> None:
    body = f"r = Relu(x) n = {BN}(r, g, b, m, v) y = Conv(n, w, c)"
    source = parsed(f"g ({IMAGE}) => (float[] y, float[] n) {{ {body} }}", **CONV, **statistics(4))
    net = lowered(source, dataset(x=normal(5, 4, 4, 5, 6))).apply("fold_batchnorm")
    assert [type(n).__name__ for n in net.nodes if n.inputs] == ["Relu", "Affine", "Conv"]


def test_the_name_is_that_of_the_batch_norm() -> None:
    """So that the folded layer is compared with the value behind the normalisation."""
    net = made("conv").apply("fold_batchnorm")
    assert [n.name for n in net.nodes] == ["x", "y"]


def test_nothing_to_do_changes_nothing() -> None:
    case = lowered(
        parsed(f"g ({IMAGE}) => (float[] y) {{ y = Conv(x, w, c) }}", **CONV), dataset(x=normal(5, 2, 4, 5, 6))
    )
    before = case.network
    assert case.apply("fold_batchnorm") == before
    assert case.notes == []


def test_contract() -> None:
    assert fold_batchnorm.fidelity is Fidelity.EXACT
    assert fold_batchnorm.gives == {"folded"}
    assert not any(isinstance(n, BatchNorm) for row in TABLE for n in made(row).apply("fold_batchnorm").nodes)
