# SPDX-License-Identifier: Apache-2.0
"""The two-sided signed neuron over T steps in torch; see `neurons.state`."""

from __future__ import annotations

import torch
from torch import Tensor

from snncc.neurons.state import State, start


def leaky_if_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    slope: Tensor,
    *,
    negative: str,
    levels: int,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Two-sided signed IF; emits the change of phi(n) = n for n >= 0, slope n below."""
    u, n = start(current, v_init, state)
    alive = threshold > 0
    divisor = torch.where(alive, threshold, 1)
    for t in range(len(current)):
        u = u + current[t]
        if levels == 1:
            below = (u < 0) if negative == "early" else (u <= -threshold)
            z = ((u >= threshold).to(u.dtype) - below.to(u.dtype)) * alive
        else:
            z = torch.floor(u / divisor).clamp(-levels, levels) * alive
        u = u - z * threshold
        before = torch.where(n >= 0, n, slope * n)
        n = n + z
        current[t] = (torch.where(n >= 0, n, slope * n) - before) * amplitude
    return current, (u, n)
