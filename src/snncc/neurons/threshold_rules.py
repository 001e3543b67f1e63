# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with thresholds that change from step to step: Chen 2022, and MSAT (He 2024).

Sources: https://github.com/RPDS2020/Adaptively-adjusted-threshold-for-SCNN and the `msat_conversion` example of
https://github.com/BrainCog-X/Brain-Cog.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def normalized(x: Array, threshold: Array) -> Array:
    """x / threshold, and 0 where the threshold is 0."""
    return np.asarray(np.where(threshold > 0, x / np.where(threshold > 0, threshold, 1), 0), x.dtype)


def adapted(
    c: Array,
    current: Array,
    *,
    threshold: Array,
    eta: float,
    rule: Literal["running_max", "alg2"],
    samples: int,
    axis: int,
) -> Array:
    """The factor c of the firing threshold, (samples,), after the current of one step.

        m = max_i x_i / threshold_i per sample;  c <- min(1, max(c, m)) [running_max] or m where eta < m < 1 [alg2]

    Shapes: current (..., samples k, ...) on `axis`; samples = 1 takes one maximum over everything. Neurons with
    threshold 0 do not count.
    """
    x = np.where(threshold > 0, normalized(current, threshold), -np.inf)
    m = np.moveaxis(x, axis, 0).reshape(samples, -1).max(1)
    if rule == "running_max":
        return np.asarray(np.minimum(1, np.maximum(c, m)), c.dtype)
    return np.asarray(np.where((m > eta) & (m < 1), m, c), c.dtype)


def adaptive_if_step(
    u: Array, current: Array, c: Array, *, threshold: Array, subtract: Literal["vmax", "vcur", "graded"]
) -> tuple[Array, Array]:
    """One step with the firing threshold c threshold; returns (z, u), z in multiples of the amplitude.

        u <- u + current;  s = 1 where u >= c threshold
        u <- u - s threshold [vmax] or u - s c threshold [vcur, graded];  z = s [vmax, vcur] or s c [graded]

    Shapes: u, current: (N, *shape); c broadcasts against them, as threshold does. Threshold 0: never fires.
    """
    u = u + current
    s = ((u >= c * threshold) & (threshold > 0)).astype(u.dtype)
    u = u - s * (threshold if subtract == "vmax" else c * threshold)
    return (s * c if subtract == "graded" else s), u


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
