# SPDX-License-Identifier: Apache-2.0
"""`shift_clips`, `rewrite_max_pooling` and `rewrite_functions`."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from small_models import Case, dataset, lowered, normal, parsed
from snncc.conversion.recipe import BY_NAME
from snncc.execute import reference
from snncc.ir.check import check, check_shapes
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, AveragePool, Clip, Differential, MaxPool, Node, Operator, Relu
from snncc.transform.base import Fidelity
from snncc.transform.passes.rewrite_functions import cut


def kinds(net: Network) -> list[str]:
    return [type(n).__name__ for n in net.nodes if n.inputs]


def one(text: str, x: np.ndarray, **weights: np.ndarray) -> Case:
    shape = ",".join(map(str, x.shape[1:]))
    return lowered(parsed(f"g (float[N,{shape}] x) => (float[] y) {{ {text} }}", **weights), dataset(x=x))


# shift_clips


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.0, 6.0, ["Clip"]),
        (0.0, None, ["Relu"]),
        (-0.5, 0.75, ["Affine", "Clip", "Affine"]),
        (0.25, 1.0, ["Affine", "Clip", "Affine"]),
        (-1.0, None, ["Affine", "Relu", "Affine"]),
        (None, 0.5, ["Affine", "Relu", "Affine"]),
        (None, -0.5, ["Affine", "Relu", "Affine"]),
        (None, 0.0, ["Affine", "Relu", "Affine"]),
        (None, None, ["Affine"]),
    ],
)
def test_shift_clips(low: float | None, high: float | None, wanted: list[str]) -> None:
    x = normal(0, 50, 4)
    attributes = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
    node = onnx.helper.make_node("Clip", ["x"], ["y"], **attributes)
    source = parsed("g (float[N,4] x) => (float[] y) { y = Relu(x) }", opset=10)
    source.graph.node[0].CopyFrom(node)
    case = lowered(source, dataset(x=x))
    net = case.apply("shift_clips")
    check(net, "shift_clips")
    check_shapes(net, "shift_clips")
    assert kinds(net) == wanted
    found = reference.evaluate(net, {"x": x})["y"]
    np.testing.assert_allclose(found, np.clip(x.astype(float), low, high), rtol=0, atol=1e-6)
    for n in net.nodes:  # what a neuron can follow
        assert not isinstance(n, Clip) or (n.low == 0 and n.high is not None)


def test_only_the_clip_that_rates_reach_is_shifted() -> None:
    text = """g (int64[N,3] i) => (float[] y) {
        t = Gather<axis=0>(table, i)  y = Clip(t, low, high)
    }"""
    source = parsed(text, table=normal(0, 5, 4), low=np.float32(-0.5), high=np.float32(0.5))
    case = lowered(source, dataset(i=np.zeros((2, 3), np.int64)))
    assert case.apply("shift_clips") == case.network
    assert "Clip" in kinds(case.network)


# rewrite_max_pooling

POOL = "y = MaxPool<kernel_shape=[3,2], strides=[2,2], pads=[1,0,1,1], ceil_mode=1, dilations=[1,2]>(x)"


def differences(net: Network, feeds: dict[str, np.ndarray], steps: int) -> np.ndarray:
    """The running sum of y at each step."""
    return np.cumsum([values["y"] for values in reference.run(net, feeds, steps)], axis=0)


def test_event_driven_maximum() -> None:
    """At every step the sum of what was emitted is the maximum of the sums received."""
    x = normal(0, 3, 2, 6, 7)
    case = one(f"r = Relu(x) {POOL.replace('(x)', '(r)')}", x)
    pool = case.network["y"]
    net = case.apply("rewrite_max_pooling")
    assert kinds(net) == ["Relu", "Differential"]
    (node,) = (n for n in net.nodes if isinstance(n, Differential))
    assert node.function == pool
    assert node.direct
    assert case.notes == []
    wanted = reference.evaluate(case.network, {"x": x})["y"]
    # the function itself, on a current that changes sign from step to step
    spiking = Network(nodes=(net["x"], Differential(**{**fields(node), "inputs": ("x",)})), outputs=("y",), arrays={})
    machine = reference.Machine(network=spiking, feeds={"x": x})
    total, sums = np.zeros_like(wanted), np.zeros_like(x, dtype=float)
    for t in range(6):
        machine.feeds = {"x": (normal(t, *x.shape)).astype(float)}
        sums += machine.feeds["x"]
        total = total + machine.step()["y"]
        assert isinstance(pool, MaxPool)
        np.testing.assert_allclose(total, reference.evaluate_function(pool, [sums], {}, 1.0), atol=1e-12)


def fields(node: Node) -> dict[str, object]:
    return {name: getattr(node, name) for name in type(node).__struct_fields__}


def test_average_instead_is_an_approximation_and_says_so() -> None:
    case = one(POOL, normal(0, 3, 2, 6, 7))
    pool = case.network["y"]
    net = case.apply("rewrite_max_pooling", to="average")
    node = net["y"]
    assert isinstance(node, AveragePool)
    assert isinstance(pool, MaxPool)
    assert not node.count_include_pad
    for name in ("kernel", "stride", "padding", "dilation", "ceil_mode", "shape", "batch"):
        assert getattr(node, name) == getattr(pool, name)
    assert case.notes == [("approximation", "y")]
    check_shapes(net, "rewrite_max_pooling")


def test_without_max_pools_nothing_changes() -> None:
    case = one("y = AveragePool<kernel_shape=[2]>(x)", normal(0, 3, 2, 6))
    before = case.network
    assert case.apply("rewrite_max_pooling") == before


# rewrite_functions


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


@pytest.mark.parametrize(
    ("name", "needs", "gives"),
    [
        ("shift_clips", set(), {"clips"}),
        ("rewrite_max_pooling", set(), {"pooling"}),
        ("rewrite_functions", {"pooling"}, {"functions"}),
    ],
)
def test_contracts(name: str, needs: set[str], gives: set[str]) -> None:
    step = BY_NAME[name]
    assert (step.fidelity, step.needs, step.gives) == (Fidelity.EXACT, needs, gives)


def test_every_kind_that_is_used_here_exists() -> None:
    """The two functions that became others above did so by pass and not by lowering."""
    case = one("a = Relu(x) b = Sigmoid(a) y = Add(b, c)", normal(0, 4, 4), c=normal(1, 4))
    assert [type(n) for n in case.network.nodes if n.inputs] == [Relu, Operator, Affine]
