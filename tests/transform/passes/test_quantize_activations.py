# SPDX-License-Identifier: Apache-2.0
"""The pass `quantize_activations`."""

from __future__ import annotations

import numpy as np
import pytest

from quantized_models import converted
from small_models import dataset, lowered, normal, parsed
from snncc.execute import reference
from snncc.ir.nodes import SignedIF


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
