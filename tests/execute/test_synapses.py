# SPDX-License-Identifier: Apache-2.0
"""Fan-out against connections counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from small_models import dataset, lowered, normal, parsed
from snncc.execute.executors import ReferenceExecutor, TorchExecutor
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.synapses import fan_out
from snncc.ir.classes import event_products
from snncc.ir.network import Network
from snncc.reports.energy import dense_operations
from snncc.simulation.run import simulate_network


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


PRODUCT = """g (float[N,3,4] x) => (float[] y) {
    q = MatMul(x, w)  a = Relu(q)  k = MatMul(x, v)  b = Relu(k)  t = Transpose<perm=[0,2,1]>(b)
    p = PRODUCT  s = MatMul(p, u)  r = Relu(s)  y = MatMul(r, z)
}"""


@pytest.mark.parametrize("product", ["MatMul(a, t)", 'Einsum<equation="nij,njk->nik">(a, t)'])
def test_events_into_a_product_of_two_values_meet_the_other_as_weights(product: str) -> None:
    """A is 3 x 5 and B 5 x 3: an event in A meets 3 entries of a row of B, and an event in B 3 of a column of A."""
    text = PRODUCT.replace("PRODUCT", product)
    arrays = {"w": normal(1, 4, 5), "v": normal(2, 4, 5), "u": normal(3, 3, 7), "z": normal(4, 7, 2)}
    net = spiking(text, normal(0, 8, 3, 4), **arrays)
    found = fan_out(net)
    assert event_products(net) == {"p"}
    assert np.array_equal(np.unique(found["a"]), [3])
    assert np.array_equal(np.unique(found["b"]), [3])
    assert np.array_equal(np.unique(found["p"]), [7])  # what the product emits meets the next weights
    assert np.array_equal(np.unique(found["r"]), [2])
    assert dense_operations(net, 8) == 2 * 3 * 4 * 5  # the two projections of the input alone


def test_a_product_that_a_current_reaches_is_dense() -> None:
    text = PRODUCT.replace("b = Relu(k)", "b = Identity(k)").replace("PRODUCT", "MatMul(a, t)")
    arrays = {"w": normal(1, 4, 5), "v": normal(2, 4, 5), "u": normal(3, 3, 7), "z": normal(4, 7, 2)}
    net = spiking(text, normal(0, 8, 3, 4), **arrays)
    assert not event_products(net)
    assert np.array_equal(np.unique(fan_out(net)["a"]), [0])
    assert dense_operations(net, 8) == 2 * 3 * 4 * 5 + 8 * 3 * 5 * 3


def test_synaptic_operations_count_the_events_into_products() -> None:
    text = PRODUCT.replace("PRODUCT", "MatMul(a, t)")
    arrays = {"w": normal(1, 4, 5), "v": normal(2, 4, 5), "u": normal(3, 3, 7), "z": normal(4, 7, 2)}
    net, x = spiking(text, normal(0, 8, 3, 4), **arrays), normal(0, 8, 3, 4)
    run = Engine(net).run({"x": x}, 6)
    events = {name: float(found.events.sum()) for name, found in run.activity.items()}
    assert events["a"] > 0
    assert events["b"] > 0
    per_event = {"a": 3, "b": 3, "p": 7, "r": 2}
    case = lowered(parsed(text, **arrays), dataset(x=x))
    measured = simulate_network(
        net, case.truth, dataset(x=x), TorchExecutor(net, device="cpu", steps=6), timesteps=6, batch=8,
        fan_out=fan_out(net), neurons=1, progress=lambda text, done, total: None,
    )  # fmt: skip
    wanted = sum(count * per_event[name] for name, count in events.items()) / 8
    assert measured["synaptic_operations"] == pytest.approx(wanted, rel=1e-6)


def test_engines_count_the_same_events() -> None:
    """Functions of the input and behind the last neuron are computed once and send none."""
    text = """g (float[N,4] x) => (float[] y) {
        f = Sigmoid(x)  h = MatMul(f, w)  a = Relu(h)  t = Tanh(a)  k = MatMul(t, v)  b = Relu(k)  z = MatMul(b, u)
        e = Exp(z)  y = MatMul(e, q)
    }"""
    x = normal(0, 8, 4)
    arrays = {"w": normal(1, 4, 5), "v": normal(2, 5, 5), "u": normal(3, 5, 3), "q": normal(4, 3, 2)}
    net = spiking(text, x, **arrays)
    fast = TorchExecutor(net, device="cpu", steps=4, dtype=torch.float64).run({"x": x}, 8, (8,))
    slow = ReferenceExecutor(net).run({"x": x}, 8, (8,))
    assert fast.events.keys() == slow.events.keys() == {"a", "t", "b"}
    assert all(np.array_equal(fast.events[name], slow.events[name]) for name in fast.events)
