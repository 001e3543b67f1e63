# SPDX-License-Identifier: Apache-2.0
"""Quantised activations: recognised in files, searched for after training, converted into exact signed neurons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantized_models import EXPORTS, converted, exported, quantized_net
from small_models import dataset, lowered, normal, parsed
from snncc.errors import RecipeError
from snncc.execute import reference
from snncc.ir.nodes import QuantizedRelu, SignedIF
from snncc.ir.text import to_text
from snncc.transform.passes.convert_quantized import input_steps

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("kind", EXPORTS)
def test_every_export_becomes_one_staircase(kind: str) -> None:
    x = normal(3, 4, 2, 5, 5)
    case = lowered(exported(kind), dataset(x=x))
    truth = case.truth.run({"x": x}, ["y"])["y"]
    net = case.apply("recognize_quantized_activations")
    node = net["y"]
    assert isinstance(node, QuantizedRelu)
    assert [type(n).__name__ for n in net.nodes] == ["Input", "Conv", "QuantizedRelu"]
    assert node.levels == (255 if kind == "pair" else 3)
    assert (float(net.arrays[node.step]), float(net.arrays[node.offset])) == (0.5, 0.25)
    assert np.allclose(reference.evaluate(net, {"x": x})["y"], truth, atol=1e-6)
    assert len(np.unique(truth)) > 3
    assert ("approximation", "y") in case.notes if kind in ("lsq", "pair") else not case.notes


@pytest.mark.parametrize(
    "body",
    [
        "d = Div(c, s) a = Add(d, half) f = Floor(a) y = Mul(f, s)",  # negative levels
        "d = Div(c, s) a = Add(d, half) f = Floor(a) k = Clip(f, zero, most) y = Mul(k, s)",  # ends between levels
        "d = Div(c, s) f = Floor(d) k = Clip(f, zero, three) z = Mul(k, s) y = Add(z, half)",  # begins at 1/2
        "n = Neg(c) f = Floor(n) k = Clip(f, zero, three) m = Mul(k, minus) y = Neg(m)",  # falls
    ],
)
def test_what_is_no_staircase_from_zero_stays(body: str) -> None:
    text = f"g (float[N, 3] x) => (float[N, 4] y) {{ c = Gemm(x, w) {body} }}"
    scalars = {"s": 0.5, "half": 0.5, "zero": 0.0, "three": 3.0, "most": 2.5, "minus": -1.0}
    arrays = {k: np.float32(v) for k, v in scalars.items() if f" {k})" in body or f" {k}," in body}
    x = normal(0, 8, 3)
    case = lowered(parsed(text, w=normal(1, 3, 4), **arrays), dataset(x=x))
    net = case.apply("recognize_quantized_activations")
    found = [n for n in net.nodes if isinstance(n, QuantizedRelu)]
    assert not found or found[0].name != "y"  # at most an inner part
    assert np.allclose(reference.evaluate(net, {"x": x})["y"], case.truth.run({"x": x}, ["y"])["y"], atol=1e-6)


def test_a_value_that_others_read_is_not_swallowed() -> None:
    text = """g (float[N, 3] x) => (float[N, 4] y, float[N, 4] f) {
      c = Gemm(x, w) r = Relu(c) a = Add(r, half) f = Floor(a) y = Mul(f, half) }"""
    case = lowered(parsed(text, w=normal(1, 3, 4), half=np.float32(0.5)), dataset(x=normal(0, 8, 3)))
    net = case.apply("recognize_quantized_activations")
    assert isinstance(net["f"], QuantizedRelu)
    assert not isinstance(net["y"], QuantizedRelu)


@pytest.mark.parametrize("bits", [[2, 2, 2, 2], [3, 3, 3, 3], [4, 4, 4, 4], [3, 2, 3, 4], [2, 2, 2, 3]])
@pytest.mark.parametrize("ties", [False, True])
def test_counts_end_on_the_levels(bits: list[int], ties: bool) -> None:
    case, x = quantized_net(bits, seed=sum(bits), ties=ties)
    truth = {name: case.truth.run({"x": x}, [name])[name] for name in ("q0", "q1", "q2", "y")}
    net = converted(case, "qffs")
    steps = net.schedule.steps
    assert steps == 2 ** max(bits[:3]) - 1
    assert [net[n].cap for n in truth] == [2**b - 1 for b in bits]  # type: ignore[attr-defined]
    values = reference.run(net, {"x": x}, steps + 2 + sum(2**b for b in bits))
    for name, level in truth.items():
        assert np.allclose(sum(v[name] for v in values) / steps, level, atol=1e-5), name
    assert sum(float((v["q1"] < 0).sum()) for v in values) > 0  # negative spikes were needed
    assert not any(np.any(values[-1][name]) for name in truth)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_any_duration_is_exact(steps: int) -> None:
    case, x = quantized_net([2, 2, 2, 3])
    truth = case.truth.run({"x": x}, ["y"])["y"]
    net = converted(case, "qffs", convert_quantized={"steps": steps})
    assert (net.schedule.kind, net.schedule.steps) == (("once", 1) if steps == 1 else ("window", steps))
    total = sum(v["y"] for v in reference.run(net, {"x": x}, 30))
    assert np.allclose(total / steps, truth, atol=1e-5)


def test_the_network_text() -> None:
    case, _ = quantized_net([2, 2, 2, 3])
    assert to_text(converted(case, "qffs")) == (GOLDEN / "qffs.txt").read_text()


def relu_net() -> tuple[str, dict[str, np.ndarray]]:
    text = """g (float[N, 6] x) => (float[N, 3] y) {
      a = Gemm(x, w0, b0) r = Relu(a) b = Gemm(r, w1) c = Clip(b, zero, six) y = Gemm(c, w2) }"""
    arrays = {"w0": normal(1, 6, 40), "b0": normal(2, 40), "w1": normal(3, 40, 40) / 4, "w2": normal(4, 40, 3)}
    return text, arrays | {"zero": np.zeros((), np.float32), "six": np.asarray(6, np.float32)}


@pytest.mark.parametrize("bits", [3, 4, 6])
def test_steps_after_training_are_those_of_least_error(bits: int) -> None:
    text, arrays = relu_net()
    x = normal(9, 200, 6)
    case = lowered(parsed(text, **arrays), dataset(x=x))
    net = converted(case, "qffs", quantize_activations={"bits": bits})
    for name in ("r", "c"):
        a, counts = case.truth.run({"x": x}, [name])[name].astype(np.float64), 2**bits - 1
        grid = [f * a.max() / counts for f in np.linspace(1, 0.03, 48)]
        errors = [np.mean((a - s * np.clip(np.floor(a / s + 0.5), 0, counts)) ** 2) for s in grid]
        node = net[name]
        assert isinstance(node, SignedIF)
        assert node.cap == counts
        assert np.allclose(net.arrays[node.threshold], counts * grid[int(np.argmin(errors))], rtol=1e-5)
        assert ("approximation", name) in case.notes
    y, total = case.truth.run({"x": x}, ["y"])["y"], sum(v["y"] for v in reference.run(net, {"x": x}, 5 * counts))
    error = np.square(total / counts - y).sum() / np.square(y).sum()
    assert error < {3: 0.08, 4: 0.02, 6: 0.002}[bits]


def test_what_is_not_quantised_is_refused() -> None:
    text, arrays = relu_net()
    case = lowered(parsed(text, **arrays), dataset(x=normal(9, 8, 6)))
    with pytest.raises(RecipeError, match="r is not quantised"):
        converted(case, "zou")
    leaky = parsed("g (float[N, 6] x) => (float[N, 6] y) { a = LeakyRelu(x) y = Gemm(a, w) }", w=normal(1, 6, 6))
    with pytest.raises(RecipeError, match="negative somewhere"):
        converted(lowered(leaky, dataset(x=normal(9, 8, 6))), "qffs")


def test_hidden_layers_set_the_duration() -> None:
    case, _ = quantized_net([2, 3, 2, 5])
    assert input_steps(case.apply("recognize_quantized_activations")) == 7  # not 31, of the output
