# SPDX-License-Identifier: Apache-2.0
"""Fan-out against connections counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from small_models import dataset, lowered, normal, parsed
from snncc.execute.synapses import fan_out
from snncc.ir.network import Network


def spiking(text: str, x: np.ndarray, **weights: np.ndarray) -> Network:
    case = lowered(parsed(text, **weights), dataset(x=x))
    case.spiking(kind="if")
    return case.apply("balance_thresholds", percentile=100.0)


def test_a_padded_convolution_has_fewer_connections_at_its_borders() -> None:
    text = "g (float[N,2,4,4] x) => (float[] y) { a = Relu(x) y = Conv<pads=[1,1,1,1], strides=[2,2]>(a, w) }"
    net = spiking(text, normal(0, 8, 2, 4, 4), w=normal(1, 3, 2, 3, 3))
    counted = np.zeros((4, 4))
    for oy in range(2):
        for ox in range(2):
            for ky in range(3):
                for kx in range(3):
                    iy, ix = 2 * oy + ky - 1, 2 * ox + kx - 1
                    if 0 <= iy < 4 and 0 <= ix < 4:
                        counted[iy, ix] += 3
    assert np.array_equal(fan_out(net)["a"], np.broadcast_to(counted, (1, 2, 4, 4)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ a = Relu(x) y = Gemm(a, w) }", 5),
        ("{ a = Relu(x) b = Gemm(a, v) c = Relu(b) d = Add(c, a) e = Relu(d) y = Gemm(e, w) }", 6 + 1),
        ("{ a = Relu(x) c = Concat<axis=1>(a, a) s = Split<axis=1>(c) y = Add(s, s) }", 0),
        ("{ a = Relu(x) b = Mul(a, a) y = Gemm(b, w) }", 0),
    ],
    ids=["linear", "shortcut", "no weights", "behind a function"],
)
def test_routes(text: str, expected: int) -> None:
    text = text.replace("s = Split<axis=1>(c) y = Add(s, s)", "y = Identity(c)")
    net = spiking(f"g (float[N,6] x) => (float[] y) {text}", normal(0, 8, 6), w=normal(1, 6, 5), v=normal(2, 6, 6))
    assert np.array_equal(np.unique(fan_out(net)["a"]), [expected])


def test_pooling_passes_each_event_on_once_per_window() -> None:
    text = (
        "g (float[N,1,5] x) => (float[] y) "
        "{ a = Relu(x) p = AveragePool<kernel_shape=[3]>(a) f = Flatten(p) y = Gemm(f, w) }"
    )
    net = spiking(text, normal(0, 8, 1, 5), w=normal(1, 3, 2))
    assert np.array_equal(fan_out(net)["a"][0, 0], [2, 4, 6, 4, 2])
