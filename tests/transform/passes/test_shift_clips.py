# SPDX-License-Identifier: Apache-2.0
"""The pass `shift_clips`."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from one_node import kinds

from small_models import dataset, lowered, normal, parsed
from snncc.conversion.shapes import check_shapes
from snncc.execute import reference
from snncc.ir.check import check
from snncc.ir.nodes import Clip


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
