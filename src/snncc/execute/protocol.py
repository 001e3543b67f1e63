# SPDX-License-Identifier: Apache-2.0
"""What every executor promises: a batch simulated, its outputs and its counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from snncc.ir.network import Array

#: Whether each of the samples still running, (N,), goes on after step t, from their outputs by name.
Undecided = Callable[[Mapping[str, Array], int], Array]


class Executor(Protocol):
    """What runs a network: `run` gives the outputs at the checkpoints, (checkpoints, N, ...) by name, and counts."""

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch; `first_sample` is the number of its first sample, for random streams."""


@runtime_checkable
class EarlyExecutor(Executor, Protocol):
    """An executor whose samples can end before T."""

    def run_early(
        self, feeds: Mapping[str, Array], timesteps: int, undecided: Undecided, *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch in short pieces; samples that `undecided` does not keep leave it. Counts, no outputs."""


class Counted(msgspec.Struct, kw_only=True):
    """Outputs over D(t), events per neuron of each source, spikes, and entries clamped, summed over a batch."""

    outputs: dict[str, Any]
    events: dict[str, Any]
    positive: float
    negative: float
    clamped: dict[str, int]
