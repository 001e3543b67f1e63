# SPDX-License-Identifier: Apache-2.0
"""Thresholds that halve over T steps in torch; see `neurons.state`."""

from __future__ import annotations

import torch
from torch import Tensor

from snncc.neurons.state import State, start


def multi_threshold_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    *,
    sizes: int,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Thresholds of either sign that halve; the largest that |u| reaches to three quarters fires and is subtracted."""
    u, n = start(current, v_init, state)
    alive = threshold > 0
    for t in range(len(current)):
        u = u + current[t]
        z = torch.zeros_like(u)
        for i in range(sizes):
            z = torch.where((z == 0) & (u.abs() >= threshold * (0.75 * 2.0**-i)), 2.0**-i, z)
        z = z * u.sign() * alive
        u = u - z * threshold
        n = n + z
        current[t] = z * amplitude
    return current, (u, n)
