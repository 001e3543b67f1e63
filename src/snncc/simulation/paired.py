# SPDX-License-Identifier: Apache-2.0
"""The network in floats beside its integer form, on the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from snncc.execute.protocol import Counted, EarlyExecutor, Executor, Undecided
from snncc.ir.network import Array, Network
from snncc.ir.readout import choices, output_first


class FloatRun(msgspec.Struct, frozen=True, kw_only=True):
    """The spiking network in floats: its accuracy by T, and how often the integer network chooses the same; by output
    where there are several."""

    accuracy: Any
    agreement: Any


class PairedExecutor:
    """Runs two executors; the counts and outputs are those of the first, and the choices of both are kept."""

    def __init__(self, integer: EarlyExecutor, floats: Executor, network: Network) -> None:
        self.integer, self.floats, self.network = integer, floats, network
        self.points: tuple[int, ...] = ()
        self.chosen: dict[str, list[tuple[Array, Array]]] = {name: [] for name in network.outputs}

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch."""
        found = self.integer.run(feeds, timesteps, checkpoints, first_sample=first_sample)
        floats = self.floats.run(feeds, timesteps, checkpoints, first_sample=first_sample)
        self.points = tuple(checkpoints)
        for name, kept in self.chosen.items():
            one, other = (
                np.stack([choices(output_first(y, self.network[name])) for y in counted.outputs[name]])
                for counted in (found, floats)
            )
            kept.append((one, other))
        return found

    def run_early(
        self, feeds: Mapping[str, Array], timesteps: int, undecided: Undecided, *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch of the first alone, whose samples leave when they are decided."""
        return self.integer.run_early(feeds, timesteps, undecided, first_sample=first_sample)

    def summary(self, accuracy: Any, labels: Array | None) -> FloatRun:
        """What was measured; `accuracy`: of the integer network, None where outputs are no classes."""
        rights, agreements = {}, {}
        for name, kept in self.chosen.items():
            one, other = (np.concatenate([pair[i] for pair in kept], axis=1) for i in (0, 1))
            classifies = (accuracy[name] if len(self.chosen) > 1 else accuracy) is not None
            right = (other == labels).mean(1) if classifies else None
            rights[name] = None if right is None else self.by_step(right)
            agreements[name] = self.by_step((one == other).mean(1))
        if len(self.chosen) > 1:
            return FloatRun(accuracy=rights, agreement=agreements)
        return FloatRun(accuracy=next(iter(rights.values())), agreement=next(iter(agreements.values())))

    def by_step(self, values: Array) -> dict[str, float]:
        """A quantity per T."""
        return {str(t): float(v) for t, v in zip(self.points, values, strict=True)}
