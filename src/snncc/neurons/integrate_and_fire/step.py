# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with spikes 0 and 1 (doi:10.3389/fnins.2017.00682)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.integrate_and_fire.node import IF
from snncc.neurons.node import Place

Array: TypeAlias = npt.NDArray[Any]


def if_step(
    u: Array, current: Array, *, threshold: Array, reset: Literal["subtract", "zero"], burst: int = 1
) -> tuple[Array, Array]:
    """One step of the IF neuron; returns (z, u).

        u <- u + current;  z = 1 where u >= threshold (so u == threshold fires), else 0
        u <- u - z threshold (soft reset) or 0 where z (hard reset)

    With `burst` m > 1: z = clip(floor(u / threshold), 0, m) (arXiv:2204.13271).

    Shapes: u, current: (N, *shape); threshold broadcasts. A threshold of 0 marks a neuron that never fires.
    """
    u = u + current
    alive = threshold > 0
    if burst == 1:
        z = ((u >= threshold) & alive).astype(u.dtype)
    else:
        z = (np.clip(np.floor(u / np.where(alive, threshold, 1)), 0, burst) * alive).astype(u.dtype)
    u = u - z * threshold if reset == "subtract" else np.where(z > 0, 0, u).astype(u.dtype)
    return z, u


def step(node: IF, current: Array, state: Any, arrays: Mapping[str, Array], place: Place) -> tuple[Array, Any]:
    """One step of a node; the state is u."""
    (u,) = state or (np.zeros_like(current) + arrays[node.v_init],)
    z, u = if_step(u, current, threshold=arrays[node.threshold], reset=node.reset, burst=node.burst)
    return z * arrays[node.amplitude], (u,)
