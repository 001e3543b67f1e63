# SPDX-License-Identifier: Apache-2.0
"""The ONNX file of a trained network has its layers: it is read back as the same nodes with the same values."""

from __future__ import annotations

import numpy as np
import pytest

from small_models import normal, parsed
from snncc.ann.truth import Truth
from snncc.errors import UsageError
from snncc.execute import reference
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.network import Network
from snncc.ir.nodes import Clip, Constant, Input, MaxPool, QuantizedRelu, Relu, Repeat, Sum
from snncc.training.export import to_onnx

LAYERS = """g (float[N, 2, 9, 9] x) => (float[N, 3] y) {
  c = Conv <pads=[1, 0, 1, 2]> (x, w0, b0) b = BatchNormalization (c, gamma, beta, mean, variance) r = Relu (b)
  m = MaxPool <kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]> (r)
  a = AveragePool <kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]> (r)
  i = AveragePool <kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1> (r)
  s = Add (m, a) q = Add (s, i) l = Clip (q, low, high) j = Concat <axis=1> (l, m)
  f = Flatten (j) h = Gemm <transB=1> (f, w1, b1) y = Softmax (h) }"""


def network() -> Network:
    arrays = {"w0": normal(1, 4, 2, 3, 3), "b0": normal(2, 4), "w1": normal(3, 3, 8 * 25), "b1": normal(4, 3)}
    arrays |= {"gamma": normal(5, 4), "beta": normal(6, 4), "mean": normal(7, 4), "variance": normal(8, 4) ** 2}
    arrays |= {"low": np.float32(-0.5), "high": np.float32(2.0)}
    return lowered_network(normalize(samples_first(parsed(LAYERS, **arrays))))


def test_the_file_is_read_back_as_the_same_layers() -> None:
    net = network()
    again = lowered_network(normalize(samples_first(to_onnx(net, "g"))))
    assert {n.name: (type(n), n.shape) for n in again.nodes} == {n.name: (type(n), n.shape) for n in net.nodes}
    assert {MaxPool, Clip, Relu, Sum} <= {type(n) for n in again.nodes}
    x = normal(9, 3, 2, 9, 9)
    want = Truth(to_onnx(net, "g")).run({"x": x}, ["y"])["y"]
    assert np.allclose(reference.evaluate(net, {"x": x})["y"], want, atol=1e-5)


def test_quantised_activations_round_half_up_or_are_refused() -> None:
    def quantized(offset: float) -> Network:
        common = {"shape": (1, 4), "batch": 0}
        x = Input(name="x", **common)
        q = QuantizedRelu(name="q", inputs=("x",), step="s", offset="o", amplitude="s", levels=3, **common)
        arrays = {"s": np.float32([0.5]), "o": np.float32([offset])}
        return Network(nodes=(x, q), outputs=("q",), arrays=arrays)

    made = Truth(to_onnx(quantized(0.25), "g"))
    x = np.float32([[-1, 0.24, 0.25, 9], [0.75, 1.2, 1.25, 1.3]])
    assert made.run({"x": x}, ["q"])["q"].tolist() == [[0, 0, 0.5, 1.5], [1, 1, 1.5, 1.5]]
    with pytest.raises(UsageError, match="q does not round half up"):
        to_onnx(quantized(0.0), "g")


def test_what_no_layer_says_is_refused() -> None:
    nodes = (
        Input(name="x", shape=(1, 2), batch=0),
        Constant(name="c", shape=(1, 2), batch=None, value="v"),
        Repeat(name="r", inputs=("c",), shape=(1, 2), batch=0),
        Sum(name="y", inputs=("x", "r"), shape=(1, 2), batch=0, coefficients=(1.0, 1.0)),
    )
    net = Network(nodes=nodes, outputs=("y",), arrays={"v": np.ones((1, 2), np.float32)})
    with pytest.raises(UsageError, match="r: Repeat cannot be written"):
        to_onnx(net, "g")
