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
    def resolution(self) -> int:
        """The levels."""
        return self.levels

    @property
    def free(self) -> bool:
        """It has no cap."""
        return True

    @property
    def graded(self) -> bool:
        """Negative values are multiples of slope amplitude."""
        return True

    @property
    def compiled(self) -> str | None:
        """By when it takes spikes back."""
        return f"leaky_{self.negative}" if self.levels == 1 else "leaky_early"

    @property
    def spikes_in_c(self) -> str | None:
        """See step.h."""
        rule = f"NEGATIVE_{self.negative.upper()}"
        return f"leaky_if(v, at, {rule}, {int(self.levels > 1)}, {self.levels})"
