# SPDX-License-Identifier: Apache-2.0
"""The pass `recognize_quantized_activations`."""

from __future__ import annotations

import numpy as np
import pytest

from quantized_models import EXPORTS, exported
from small_models import dataset, lowered, normal, parsed
from snncc.execute import reference
from snncc.ir.nodes import QuantizedRelu


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
