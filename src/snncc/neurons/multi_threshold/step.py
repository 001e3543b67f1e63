# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with thresholds that halve: one event per step, whose payload is a power of two (ECMT).

Source: arXiv:2502.21193.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.multi_threshold.node import MultiThreshold
from snncc.neurons.node import Place

Array: TypeAlias = npt.NDArray[Any]


def multi_threshold_step(u: Array, current: Array, *, threshold: Array, sizes: int) -> tuple[Array, Array]:
    """One step of the multi-threshold neuron; returns (z, u).

        u <- u + current;  z = sign(u) 2^-i with the smallest i < sizes for which |u| >= 3/4 threshold 2^-i, else 0
        u <- u - z threshold

    Shapes: u, current: (N, *shape); threshold broadcasts; a threshold of 0 marks a neuron that never fires.
    """
    u = u + current
    z = np.zeros_like(u)
    for i in range(sizes):
        z = np.where((z == 0) & (np.abs(u) >= threshold * (0.75 * 2.0**-i)), 2.0**-i, z).astype(u.dtype)
    z = z * np.sign(u) * (threshold > 0)
    return z, u - z * threshold


def step(
    node: MultiThreshold, current: Array, state: Any, arrays: Mapping[str, Array], place: Place
) -> tuple[Array, Any]:
    """One step of a node; the state is u."""
    (u,) = state or (np.zeros_like(current) + arrays[node.v_init],)
    z, u = multi_threshold_step(u, current, threshold=arrays[node.threshold], sizes=node.sizes)
    return z * arrays[node.amplitude], (u,)
