# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire whose count may be negative: LeakyRelu, PRelu, Abs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.leaky_if.node import LeakyIF
from snncc.neurons.node import Place

Array: TypeAlias = npt.NDArray[Any]


def leaky_if_step(
    u: Array,
    n: Array,
    current: Array,
    *,
    threshold: Array,
    negative: Literal["signed", "early"],
    levels: int,
) -> tuple[Array, Array, Array]:
    """One step of the two-sided signed IF neuron, whose count n may be negative; returns (z, u, n).

    As `signed_if_step` without the condition n > 0; the value emitted is phi(n[t]) - phi(n[t-1]), see `phi`.
    """
    u = u + current
    alive = threshold > 0
    if levels == 1:
        below = (u < 0) if negative == "early" else (u <= -threshold)
        z = ((u >= threshold).astype(u.dtype) - below.astype(u.dtype)) * alive
    else:
        z = np.clip(np.floor(u / np.where(alive, threshold, 1)), -levels, levels) * alive
    return z, u - z * threshold, n + z


def phi(n: Array, *, slope: Array) -> Array:
    """n where n >= 0, slope n below."""
    return np.where(n >= 0, n, slope * n)


def step(node: LeakyIF, current: Array, state: Any, arrays: Mapping[str, Array], place: Place) -> tuple[Array, Any]:
    """One step of a node; the state is u and n."""
    u, before = state or (np.zeros_like(current) + arrays[node.v_init], np.zeros_like(current))
    slope = arrays[node.slope]
    options: dict[str, Any] = node.options()
    _, u, n = leaky_if_step(u, before, current, threshold=arrays[node.threshold], **options)
    return (phi(n, slope=slope) - phi(before, slope=slope)) * arrays[node.amplitude], (u, n)
