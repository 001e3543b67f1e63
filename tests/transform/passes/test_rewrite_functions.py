# SPDX-License-Identifier: Apache-2.0
"""The pass `rewrite_functions`."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import one

from small_models import Case, normal
from snncc.conversion.shapes import check_shapes
from snncc.execute import reference
from snncc.ir.check import check
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, Differential, Operator, Relu
from snncc.transform.passes.rewrite_functions import cut


def rewritten(text: str, x: np.ndarray, *, widen: float = 0.1, **weights: np.ndarray) -> tuple[Case, Network]:
    case = one(text, x, **weights)
    case.apply("rewrite_max_pooling")
    net = case.apply("rewrite_functions", widen=widen)
    check(net, "rewrite_functions")
    check_shapes(net, "rewrite_functions")
    return case, net


def node_y(net: Network) -> Differential:
    node = net["y"]
    assert isinstance(node, Differential)
    return node


@pytest.mark.parametrize("widen", [0.0, 0.1, 2.0])
def test_the_range_is_that_of_the_calibration_widened(widen: float) -> None:
    x = normal(0, 64, 5)
    case, net = rewritten("y = Sigmoid(x)", x, widen=widen)
    node, width = node_y(net), float(x.max()) - float(x.min())
    assert node.low == (pytest.approx(float(x.min()) - widen * width),)
    assert node.high == (pytest.approx(float(x.max()) + widen * width),)
    assert node.nonzero == (0.0,)
    assert not node.direct
    assert case.notes == [("analog", "y")]


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [("Log", 0.0, None), ("Sqrt", 0.0, None), ("Asin", -1.0, 1.0), ("Atanh", -1.0, 1.0), ("Acosh", 1.0, None)],
)
def test_the_range_is_cut_to_the_domain(op: str, low: float, high: float | None) -> None:
    x = np.linspace(0.01, 0.99, 40, dtype=np.float32).reshape(8, 5) + (1 if op == "Acosh" else 0)
    _, net = rewritten(f"y = {op}(x)", x, widen=2.0)
    node = node_y(net)
    assert node.low[0] == pytest.approx(low, abs=1e-6)
    if high is None:
        assert node.high[0] == pytest.approx(x.max() + 2 * (x.max() - x.min()))
    else:
        assert node.high[0] == pytest.approx(high, abs=1e-6)
    values = np.cumsum([v["y"] for v in reference.run(net, {"x": np.zeros_like(x)}, 3)], 0)
    assert np.isfinite(values).all(), "a silent first step must not leave the domain"


def test_a_denominator_keeps_its_smallest_calibrated_magnitude() -> None:
    x = normal(1, 30, 4)
    x[np.abs(x) < 0.2] = 0.2
    x[0, 0] = -0.125
    _, net = rewritten("s = Sigmoid(x) y = Div(s, x)", x)
    node = node_y(net)
    assert node.nonzero == (0.0, pytest.approx(0.125))
    for small in (0.0, 0.01, -0.01):
        steps = reference.run(net, {"x": np.full((1, 4), small)}, 1)[0]
        sign = -1 if small < 0 else 1
        np.testing.assert_allclose(steps["y"], steps["s"] / (sign * 0.125), rtol=1e-6)


def test_homogeneous_functions_need_no_range() -> None:
    _, net = rewritten("y = ReduceL2<axes=[1]>(x)", normal(0, 8, 4))
    assert node_y(net).low == node_y(net).high == (None,)
    assert node_y(net).direct


def test_only_the_varying_inputs_have_a_range() -> None:
    _, net = rewritten("y = Max(x, c)", normal(0, 8, 4), c=normal(1, 4))
    node = node_y(net)
    assert node.low[1] is None
    assert node.low[0] is not None


@pytest.mark.parametrize(
    ("body", "linear"),
    [
        ("y = Mul(x, c)", True),
        ("y = MatMul(x, c2)", True),
        ("y = Gather<axis=1>(x, i)", True),
        ("y = Mul(x, x)", False),
        ("t = Transpose<perm=[0,2,1]>(x) y = MatMul(x, t)", False),
        ("y = Div(c, x)", False),
        ("y = Softmax(x)", False),
    ],
)
def test_what_is_linear_in_the_rates_stays(body: str, linear: bool) -> None:
    constants = {"c": normal(1, 4), "c2": normal(1, 1, 4, 3), "i": np.array([1, 0])}
    used = {n: v for n, v in constants.items() if f" {n})" in body or f"({n}," in body}
    if "c2" in used:
        body = body.replace("(x, c2)", "(x, c2)")
    case, net = rewritten(body, normal(0, 8, 3, 4), **used)
    assert any(isinstance(n, Differential) for n in net.nodes) != linear
    assert bool(case.notes) != linear


def test_the_running_mean_is_the_function_of_the_running_mean() -> None:
    """Exact on the calibrated range, at every step; the clamp acts outside of it."""
    x = np.abs(normal(3, 20, 4)) + 0.1
    _, net = rewritten("s = Log(x) y = Mul(s, x)", x)
    total = np.cumsum([v["y"] for v in reference.run(net, {"x": x}, 5)], 0)
    for t in range(5):
        np.testing.assert_allclose(total[t] / (t + 1), np.log(x.astype(float)) * x, rtol=1e-9)
    far = np.full((1, 4), 100.0)
    steps = reference.run(net, {"x": far}, 1)[0]
    top = x.max() + 0.1 * (x.max() - x.min())
    np.testing.assert_allclose(steps["s"], np.log(top), rtol=1e-6)


@pytest.mark.parametrize(
    ("bounds", "domain", "wanted"),
    [
        ((-1.0, 1.0), (None, None), (-1.0, 1.0)),
        ((-1.0, 1.0), (0.0, None), (0.0, 1.0)),
        ((0.5, 3.0), (0.0, 1.0), (0.5, 1.0)),
        ((None, None), (0.0, 1.0), (0.0, 1.0)),
        ((None, 2.0), (None, 1.0), (None, 1.0)),
    ],
)
def test_cut(bounds: tuple[float, float], domain: tuple[float, float], wanted: tuple[float, float]) -> None:
    assert cut(bounds, domain) == wanted


def test_every_kind_that_is_used_here_exists() -> None:
    """The two functions that became others above did so by pass and not by lowering."""
    case = one("a = Relu(x) b = Sigmoid(a) y = Add(b, c)", normal(0, 4, 4), c=normal(1, 4))
    assert [type(n) for n in case.network.nodes if n.inputs] == [Relu, Operator, Affine]
