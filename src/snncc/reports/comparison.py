# SPDX-License-Identifier: Apache-2.0
"""`compare.json`: several methods on one network, side by side."""

from __future__ import annotations

import msgspec

from snncc.data.description import Samples
from snncc.reports.document import Curve

SCHEMA = "snncc/compare/1"


class MethodRun(msgspec.Struct, frozen=True, kw_only=True):
    """One conversion and its curve up to the design T. `prefix`: the points before the design T are those of a network
    made for the design T, not what the method gives when it is converted for them. `energy`: the SNN over the quantised
    ANN by the models "integer" and "integer and memory"."""

    method: str
    design: int
    prefix: bool
    curve: Curve
    firing_rate: float | None
    synaptic_operations: float
    energy: tuple[float, float]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A method at a T: from the run that was converted for it, or from the only run where T changes nothing."""

    method: str
    timesteps: int
    value: float
    low: float
    high: float


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A method that does not convert this network, and why."""

    method: str
    reason: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare` measured: `entries` is the table, `runs` what it and the curves come from."""

    schema: str = SCHEMA
    name: str
    metric: str
    ann: float
    timesteps: tuple[int, ...]
    calibration: Samples
    data: Samples
    entries: tuple[Entry, ...]
    runs: tuple[MethodRun, ...]
    refused: tuple[Refusal, ...]
