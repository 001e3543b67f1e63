# SPDX-License-Identifier: Apache-2.0
"""The pass `absorb_batchnorm`."""

from __future__ import annotations

import numpy as np

from small_models import dataset, lowered, normal, parsed
from snncc.ir.nodes import BatchNorm


def test_batchnorm_elsewhere_is_left_to_folding() -> None:
    text = """g (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y) {
      c = Conv <pads=[1,1,1,1]> (x, w) n = BatchNormalization (c, g, e, m, v) z = Add(n, x) a = Add(z, half)
      f = Floor(a) y = Clip(f, zero) }"""
    arrays = {"w": normal(1, 2, 2, 3, 3), "g": normal(2, 2), "e": normal(3, 2), "m": normal(4, 2)}
    arrays |= {"v": np.ones(2), "half": np.float32(0.5), "zero": np.float32(0)}
    case = lowered(parsed(text, opset=15, **arrays), dataset(x=normal(5, 4, 2, 4, 4)))
    case.apply("recognize_quantized_activations")
    net = case.apply("absorb_batchnorm")
    assert any(isinstance(n, BatchNorm) for n in net.nodes)
