# SPDX-License-Identifier: Apache-2.0
"""What a search for a method has tried, as a part of the report."""

from __future__ import annotations

import msgspec


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One network that `--method auto` tried. drop: points below the ANN. front: on the Pareto front of `value`
    against `synaptic_operations`."""

    method: str
    timesteps: int
    granularity: str
    levels: int
    value: float
    drop: float
    synaptic_operations: float
    firing_rate: float | None
    front: bool = False
    chosen: bool = False


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What `--method auto` tried on held-back calibration samples, and the target in words."""

    metric: str
    ann: float
    samples: int
    target: str
    trials: tuple[Trial, ...]
