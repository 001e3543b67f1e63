# SPDX-License-Identifier: Apache-2.0
"""The pass `rewrite_max_pooling`."""

from __future__ import annotations

import numpy as np
from one_node import kinds, one

from small_models import normal
from snncc.conversion.shapes import check_shapes
from snncc.execute import reference
from snncc.ir.network import Network
from snncc.ir.nodes import AveragePool, Differential, MaxPool, Node

POOL = "y = MaxPool<kernel_shape=[3,2], strides=[2,2], pads=[1,0,1,1], ceil_mode=1, dilations=[1,2]>(x)"


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
