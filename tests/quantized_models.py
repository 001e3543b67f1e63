# SPDX-License-Identifier: Apache-2.0
"""Quantised networks as the files of trainers have them, and their values in plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx

from small_models import Case, dataset, lowered, normal, parsed
from snncc.conversion import recipe
from snncc.ir.network import Network

#: Floor(v/s + 1/2), LSQ with Round, QCFS, a ReLU before, and a QuantizeLinear pair: levels 3, steps 0.5 and 0.25.
EXPORTS = {
    "floor": "d = Div(c, s) a = Add(d, half) f = Floor(a) k = Clip(f, zero, three) y = Mul(k, s)",
    "relu": "r = Relu(c) d = Div(r, s) a = Add(half, d) k = Clip(a, zero, threehalf) f = Floor(k) y = Mul(s, f)",
    "lsq": "d = Div(c, s) k = Clip(d, zero, three) f = Round(k) y = Mul(f, s)",
    "qcfs": "d = Div(c, lam) e = Mul(d, three) a = Add(e, half) f = Floor(a) g = Div(f, three) k = Clip(g, zero, one)"
    " y = Mul(k, lam)",
    "pair": "r = Relu(c) q = QuantizeLinear(r, s, code) y = DequantizeLinear(q, s, code)",
}


def exported(kind: str, step: float = 0.5) -> onnx.ModelProto:
    """Conv and one quantised activation."""
    scalars = {"s": step, "half": 0.5, "zero": 0.0, "three": 3.0, "threehalf": 3.75, "one": 1.0, "lam": 3 * step}
    text = f"g (float[N, 2, 5, 5] x) => (float[N, 3, 5, 5] y) {{ c = Conv <pads=[1,1,1,1]> (x, w, b) {EXPORTS[kind]} }}"
    used = set(re.findall(r"\w+", text))
    arrays: dict[str, Any] = {name: np.float32(value) for name, value in scalars.items() if name in used}
    if kind == "pair":
        arrays["code"] = np.zeros((), np.uint8)
    return parsed(text, w=normal(1, 3, 2, 3, 3), b=normal(2, 3), **arrays)


def converted(case: Case, method: str, **options: dict[str, Any]) -> Network:
    """A lowered model through the recipe of a method; options by pass."""
    for entry in recipe.load_method(method).passes:
        case.apply(entry.use, **{**entry.options, **options.get(entry.use, {})})
    return case.network


def quantized_net(bits: list[int], *, seed: int = 0, ties: bool = False) -> tuple[Case, np.ndarray]:
    """Conv, max pool, a residual sum and two matrices with activations of the given bits: x -> y."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray:
        w = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return np.asarray(np.round(w * 8) / 8 if ties else w, np.float32)

    def quant(v: str, y: str, i: int) -> str:
        rounded = f"d{i} = Div({v}, s{i}) a{i} = Add(d{i}, half) f{i} = Floor(a{i})"
        return f"{rounded} k{i} = Clip(f{i}, zero, m{i}) {y} = Mul(k{i}, s{i})"

    text = f"""g (float[N, 2, 6, 6] x) => (float[N, 5] y) {{
      c = Conv <pads=[1,1,1,1]> (x, w0, b0) {quant("c", "q0", 0)}
      p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (q0)
      e = Conv <pads=[1,1,1,1]> (p, w1, b1) z = Add(e, p) {quant("z", "q1", 1)}
      l = Flatten(q1) g = Gemm(l, w2, b2) {quant("g", "q2", 2)} h = Gemm(q2, w3, b3) {quant("h", "y", 3)} }}"""
    steps = [0.5, 0.25, 0.25, 0.125] if ties else [0.41, 0.37, 0.29, 0.13]
    arrays: dict[str, Any] = {f"s{i}": np.float32(s) for i, s in enumerate(steps)}
    arrays |= {f"m{i}": np.float32(2**b - 1) for i, b in enumerate(bits)}
    arrays |= {"half": np.float32(0.5), "zero": np.float32(0)}
    arrays |= {"w0": weight(4, 2, 3, 3), "w1": weight(4, 4, 3, 3), "w2": weight(36, 8) * 3, "w3": weight(8, 5)}
    arrays |= {f"b{i}": weight(n, 1)[:, 0] / 4 for i, n in enumerate((4, 4, 8, 5))}
    x = rng.standard_normal((16, 2, 6, 6)).astype(np.float32)
    x = np.round(x * 2) / 2 if ties else x
    return lowered(parsed(text, **arrays), dataset(x=x), timesteps=8), x


def ternary_net(k: int, *, seed: int = 0, integer_pixels: bool = False) -> tuple[Case, dict[str, Any], np.ndarray]:
    """The encoder (real convolution, 0..4), two ternary layers with BatchNorm at 2^k levels per unit, a real read-out.

    Of the second layer's channels one has gamma < 0 and one gamma = 0.
    """
    rng = np.random.default_rng(seed)
    unit = 2.0**k

    def norm(i: int, channels: int, gain: float) -> dict[str, Any]:
        return {
            f"g{i}": rng.uniform(0.5, 1.5, channels),
            f"e{i}": rng.normal(0.3, 0.3, channels),
            f"m{i}": rng.normal(0, gain / 4, channels),
            f"v{i}": rng.uniform(0.5, 1.5, channels) * gain**2,
        }

    def block(i: int, source: str, levels: int, clip: str) -> str:
        return (
            f"n{i} = BatchNormalization (c{i}, g{i}, e{i}, m{i}, v{i}) t{i} = Mul(n{i}, u{i}) a{i} = Add(t{i}, half) "
            f"f{i} = Floor(a{i}) z{i} = Clip(f{i}, zero{clip}) y{i} = Div(z{i}, u{i}) "
        )

    text = f"""g (float[N, 2, 9, 9] x) => (float[N, 3] y) {{
      c0 = Conv (x, w0) {block(0, "x", 4, ", four")}
      c1 = Conv <strides=[2,2]> (y0, w1) {block(1, "y0", 0, "")}
      c2 = Conv (y1, w2) {block(2, "y1", 0, "")}
      l = Flatten(y2) y = Gemm(l, w3, b3) }}"""
    arrays: dict[str, Any] = {"half": 0.5, "zero": 0.0, "four": 4.0, "u0": 1.0, "u1": unit, "u2": unit}
    arrays = {name: np.float32(value) for name, value in arrays.items()}
    arrays |= {"w0": rng.normal(0, 0.4, (4, 2, 3, 3)), "w1": rng.integers(-1, 2, (6, 4, 3, 3)) * 1.0}
    arrays |= {"w2": rng.integers(-1, 2, (5, 6, 3, 3)) * 1.0, "w3": rng.normal(0, 1, (5, 3)), "b3": rng.normal(0, 1, 3)}
    arrays |= norm(0, 4, 1.0) | norm(1, 6, 4.0) | norm(2, 5, 4.0)
    arrays["g1"][1], arrays["g1"][2] = -0.8, 0.0
    arrays["e1"][2] = 0.9
    x = rng.uniform(0, 1, (24, 2, 9, 9)).astype(np.float32)
    return lowered(parsed(text, opset=15, **arrays), dataset(x=x), timesteps=8), arrays, x
