# SPDX-License-Identifier: Apache-2.0
"""With true-maximum thresholds calibrated on the inputs under test, the error falls as 1/T."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from small_models import dataset, lowered, normal, parsed, ran
from snncc.conversion.recipe import load_method, steps, with_options
from snncc.execute import reference
from snncc.execute.torch.engine import Engine

STEPS = (16, 64, 256, 512)

RESIDUAL = """g (float[N,2,6,6] x) => (float[] y) {
    c1 = Conv<pads=[1,1,1,1]>(x, w1, b1)  n1 = BatchNormalization(c1, g, b, m, v)  r1 = Relu(n1)
    c2 = Conv<pads=[1,1,1,1]>(r1, w2)  s2 = Add(c2, r1)  r2 = LeakyRelu<alpha=0.2>(s2)
    p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r2)
    f = Flatten(p)  h = Gemm(f, w3, b3)  r3 = Clip(h, low, high)  y = Gemm(r3, w4, b4)
}"""
ANALOG = """g (float[N,4,6] x) => (float[] y) {
    q = MatMul(x, w1)  rq = Relu(q)  k = MatMul(x, w2)  rk = Relu(k)  t = Transpose<perm=[0,2,1]>(rk)
    s = MatMul(rq, t)  a = Softmax<axis=-1>(s)  o = MatMul(a, rq)  r = Relu(o)  h = MatMul(r, w3)  e = Sigmoid(h)
    u = Mul(e, r)  l = ReduceMean<axes=[1], keepdims=0>(u)  y = MatMul(l, w4)
}"""


def residual(seed: int) -> dict[str, np.ndarray]:
    s = 100 * seed
    return {
        "w1": normal(s, 4, 2, 3, 3) / 3, "b1": normal(s + 1, 4) / 4, "g": normal(s + 2, 4), "b": normal(s + 3, 4) / 4,
        "m": normal(s + 4, 4) / 4, "v": np.abs(normal(s + 5, 4)) + 0.5, "w2": normal(s + 6, 4, 4, 3, 3) / 4,
        "w3": normal(s + 7, 36, 8) / 4, "b3": normal(s + 8, 8) / 4, "w4": normal(s + 9, 8, 3), "b4": normal(s + 10, 3),
        "low": np.float32(-0.5), "high": np.float32(1.5),
    }  # fmt: skip


def analog(seed: int) -> dict[str, np.ndarray]:
    s = 100 * seed
    return {
        "w1": normal(s, 6, 6) / 2, "w2": normal(s + 1, 6, 6) / 2, "w3": normal(s + 2, 6, 6), "w4": normal(s + 3, 6, 3),
    }  # fmt: skip


MODELS = {"residual": (RESIDUAL, residual, (2, 6, 6)), "analog": (ANALOG, analog, (4, 6))}


def errors(model: str, seed: int, granularity: str, negative: str) -> np.ndarray:
    """Root mean square error of the outputs after STEPS steps, in float64, against the ANN in float64."""
    text, weights, shape = MODELS[model]
    x = normal(seed, 16, *shape)
    case = lowered(parsed(text, **weights(seed)), dataset(x=x))
    recipe = with_options(
        load_method("dnisnm"),
        [
            ("balance_thresholds", "granularity", granularity),
            ("balance_thresholds", "reduce", "max"),
            ("select_neuron", "negative", negative),
        ],
    )
    outcome = ran(case.network, steps(recipe), truth=case.truth, calibration=dataset(x=x), timesteps=8, seed=0)
    wanted = reference.evaluate(case.network, {"x": x})["y"]
    run = Engine(outcome.network, dtype=torch.float64).run({"x": x}, STEPS[-1], checkpoints=STEPS, count=False)
    return np.sqrt(((run.outputs["y"].numpy() - wanted) ** 2).mean(axis=(1, 2)))


@pytest.mark.parametrize("granularity", ["channel", "layer"])
@pytest.mark.parametrize(("model", "negative"), [("residual", "signed"), ("residual", "early"), ("analog", "signed")])
def test_the_error_falls_as_one_over_t(model: str, negative: str, granularity: str) -> None:
    """Eight times the steps: a quarter of the error or less (1/T: an eighth), in the geometric mean over networks."""
    found = np.array([errors(model, seed, granularity, negative) for seed in range(1, 6)])
    mean = np.exp(np.log(found).mean(axis=0))
    assert mean[3] < mean[1] / 4, mean
    assert mean[2] < mean[0] / 6, mean
    slope = np.polyfit(np.log(STEPS), np.log(mean), 1)[0]
    assert -1.4 < slope < -0.75, f"the error falls as T^{slope:.2f}"
