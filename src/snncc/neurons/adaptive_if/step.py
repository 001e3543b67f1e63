# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with thresholds that change from step to step: Chen 2022, and MSAT (He 2024).

Sources: https://github.com/RPDS2020/Adaptively-adjusted-threshold-for-SCNN and the `msat_conversion` example of
https://github.com/BrainCog-X/Brain-Cog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.adaptive_if.node import AdaptiveIF
from snncc.neurons.node import Place

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


def step(node: AdaptiveIF, current: Array, state: Any, arrays: Mapping[str, Array], place: Place) -> tuple[Array, Any]:
    """One step of a node; the state is u and c, one number per sample or one for all."""
    threshold, at = arrays[node.threshold], node.placed(place)
    samples, axis = at["samples"], at["axis"]
    u, c = state or (np.zeros_like(current) + arrays[node.v_init], np.full(samples, node.eta, current.dtype))
    if node.adapt:
        c = adapted(c, current, threshold=threshold, eta=node.eta, rule=node.rule, samples=samples, axis=axis)
    shape = [-1 if i == axis else 1 for i in range(current.ndim)]
    factor = np.repeat(c, current.shape[axis] // samples).reshape(shape)
    z, u = adaptive_if_step(u, current, factor, threshold=threshold, subtract=node.subtract)
    return z * arrays[node.amplitude], (u, c)
