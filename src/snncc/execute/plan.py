# SPDX-License-Identifier: Apache-2.0
"""How many samples and steps to hold at once."""

from __future__ import annotations

from snncc.ir.analysis import peak_features
from snncc.ir.network import Network

#: Entries of all values that are alive at once (256 MiB in float32).
BUDGET = 1 << 26


def plan(network: Network, timesteps: int, samples: int, budget: int = BUDGET) -> tuple[int, int]:
    """(samples per batch, steps per piece) such that what is alive stays within the budget where that is possible."""
    rows = max(1, budget // peak_features(network))
    if network.sampled.batch is None:
        return 1, min(timesteps, rows)
    steps = min(timesteps, rows, 32)
    return max(1, min(samples, rows // steps)), steps
