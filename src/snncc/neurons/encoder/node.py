# SPDX-License-Identifier: Apache-2.0
"""The node of spikes for an input."""

from __future__ import annotations

from typing import ClassVar, Literal

from snncc.neurons.node import Spiking


class Encoder(Spiking, frozen=True, kw_only=True, tag=True):
    """Spikes of amplitude `scale` for an input x, with the sign of x; p = min(1, |x| / scale).

    poisson: a spike with probability p at each step while the input is on, from the random stream `key`.
    uniform: at fixed intervals, floor(D(t) p + phase) - floor(D(t-1) p + phase) spikes at step t.
    """

    kind: Literal["poisson", "uniform"]
    scale: str
    phase: float = 0.5
    key: int = 0
    ARRAYS: ClassVar[tuple[str, ...]] = ("scale",)
    PLACE: ClassVar[tuple[str, ...]] = ("samples", "axis", "first_sample", "first_step")

    @property
    def random(self) -> bool:
        """Whether it is a Poisson process."""
        return self.kind == "poisson"
