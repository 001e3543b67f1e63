# SPDX-License-Identifier: Apache-2.0
"""The node of the two-sided signed neuron."""

from __future__ import annotations

from typing import ClassVar, Literal

from snncc.neurons.node import Neuron


class LeakyIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Two-sided `SignedIF` whose count n may be negative; y = phi(n[t]) - phi(n[t-1]).

    phi(n) = amplitude n for n >= 0 and slope amplitude n below (LeakyRelu, PRelu, Abs).
    """

    slope: str
    negative: Literal["signed", "early"] = "signed"
    levels: int = 1
    ARRAYS: ClassVar[tuple[str, ...]] = ("threshold", "amplitude", "v_init", "slope")
    SIGNED: ClassVar[bool] = True
    TWO_SIDED: ClassVar[bool] = True

    @property
    def at_once(self) -> int:
        """As many as it has levels."""
        return self.levels

    @property
    def free(self) -> bool:
        """It has no cap."""
        return True

    @property
    def graded(self) -> bool:
        """Negative values are multiples of slope amplitude."""
        return True
