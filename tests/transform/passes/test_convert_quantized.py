# SPDX-License-Identifier: Apache-2.0
"""The pass `convert_quantized`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantized_models import converted, quantized_net
from small_models import dataset, lowered, normal, parsed
from snncc.errors import RecipeError
from snncc.execute import reference
from snncc.ir.text import to_text
from snncc.transform.passes.convert_quantized import input_steps

GOLDEN = Path(__file__).parents[2] / "golden"


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
