# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with the multi-stage adaptive threshold: MSAT (He 2024).

Source: the `msat_conversion` example of https://github.com/BrainCog-X/Brain-Cog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.adaptive_if.step import normalized
from snncc.neurons.msat.node import MsatIF
from snncc.neurons.node import Place
from snncc.neurons.random import counters_array, uniform_array

Array: TypeAlias = npt.NDArray[Any]


def msat_threshold(
    d: Array,
    x: Array,
    *,
    alpha: float,
    k_a: float,
    k_i: float,
    c: float,
    tau_mp: float,
    tau_rd: float,
    v_t: float,
    dtt: bool,
    det: bool,
) -> Array:
    """The threshold of MSAT after the first step, in units of the layer's maximum.

        th = sigmoid(DTT + DET);  DTT = tau_mp (alpha d + v_t + k_a ln(1 + exp(d / k_i)));  DET = tau_rd exp(-x / c)

    d: the last residual minus the mean of the residuals so far; x: the current. A part that is off is 0; th = 1
    without both.
    """
    if not (dtt or det):
        return np.ones_like(d)
    total = np.zeros_like(d)
    if dtt:
        total = total + tau_mp * (alpha * d + v_t + k_a * np.logaddexp(d.dtype.type(0), d / k_i))
    if det:
        total = total + tau_rd * np.exp(np.minimum(-x / c, 50))  # at 50 the sigmoid is 1 for long
    return np.asarray(1 / (1 + np.exp(-total)), d.dtype)


def msat_step(v: Array, x: Array, th: Array, *, burst: int, keep: Array | None = None) -> tuple[Array, Array]:
    """One step of MSAT in units of the layer's maximum; returns (th z, v).

        v <- v + x;  z = min(burst, floor(v / th)), at least 0, and 0 where not `keep`;  v <- v - th z

    A spike that is not kept leaves its charge. A threshold never is 0, as a sigmoid is positive; fires at v >= th.
    """
    v = v + x
    z = (v >= th).astype(v.dtype) if burst == 1 else np.clip(np.floor(v / th), 0, burst)
    z = z if keep is None else z * keep
    y = np.asarray(th * z, v.dtype)
    return y, v - y


#: Fields of the node that `msat_threshold` takes.
CONSTANTS = ("alpha", "k_a", "k_i", "c", "tau_mp", "tau_rd", "v_t", "dtt", "det")


def step(node: MsatIF, current: Array, state: Any, arrays: Mapping[str, Array], place: Place) -> tuple[Array, Any]:
    """One step of a node; the state is v and the sum of the residuals, both in units of the threshold."""
    threshold, done = arrays[node.threshold], place.first_step
    start = np.zeros_like(current) + arrays[node.v_init]
    v, total = state or (normalized(start, threshold), np.zeros_like(current))
    x, th, keep = normalized(current, threshold), np.ones_like(v), None
    if done:
        th = msat_threshold(v - total / done, x, **{name: getattr(node, name) for name in CONSTANTS})
    if node.confidence < 1 and done < node.unsure:
        at = node.placed(place)
        streams = counters_array(
            v.shape, node.key, samples=at["samples"], first_sample=at["first_sample"], axis=at["axis"]
        )
        keep = uniform_array(streams, done, v.dtype.type) < node.confidence
    y, v = msat_step(v, x, th, burst=node.burst, keep=keep)
    return y * arrays[node.amplitude], (v, total + v)
