# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire over T steps in torch; see `neurons.state`."""

from __future__ import annotations

import torch
from torch import Tensor

from snncc.neurons.state import State, start


def if_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    *,
    reset: str,
    burst: int = 1,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Integrate and fire with soft (subtract) or hard (zero) reset; fires where u >= threshold > 0."""
    u, n = start(current, v_init, state)
    fires_at = torch.where(threshold > 0, threshold, float("inf"))
    for t in range(len(current)):
        u += current[t]
        z = (u >= fires_at).to(u.dtype) if burst == 1 else torch.floor(u / fires_at).clamp_(0, burst)
        u -= z * threshold if reset == "subtract" else (z > 0) * u
        torch.mul(z, amplitude, out=current[t])
    return current, (u, n)
