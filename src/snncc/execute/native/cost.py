# SPDX-License-Identifier: Apache-2.0
"""What a layer costs, as `simulate --profile` shows it."""

from __future__ import annotations

import msgspec


class LayerCost(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the generated C over a simulation.

    density: events per entry and step of what its convolutions read (None: it reads no events); synaptic_operations:
    additions of a weight, all samples and steps; rate: those per second; share: the rate over the machine's dense
    multiply-accumulates per second; kernel: what computes it.
    """

    layer: str
    kernel: str
    density: float | None
    synaptic_operations: float
    seconds: float
    rate: float
    share: float
