# SPDX-License-Identifier: Apache-2.0
"""The node of thresholds that halve."""

from __future__ import annotations

from typing import ClassVar

from snncc.neurons.node import Neuron


class MultiThreshold(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire with `sizes` thresholds of either sign that halve; one event per step.

    u += x; z = sign(u) 2^-i with the smallest i < sizes for which |u| >= 3/4 threshold 2^-i, else 0;
    u -= z threshold; y = amplitude z.
    """

    sizes: int = 6
    SIGNED: ClassVar[bool] = True
    TWO_SIDED: ClassVar[bool] = True
    CHARGED: ClassVar[bool] = False

    @property
    def levels(self) -> int:
        """The sizes."""
        return self.sizes

    @property
    def at_once(self) -> int:
        """One event."""
        return 1

    @property
    def graded(self) -> bool:
        """An event carries a power of two times the amplitude."""
        return True

    @property
    def compiled(self) -> str | None:
        """Its thresholds halve."""
        return "halving"
