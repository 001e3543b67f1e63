# SPDX-License-Identifier: Apache-2.0
"""The node of integrate and fire."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from snncc.neurons.node import Neuron


class IF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire: u += x; z = [u >= threshold]; u -= z threshold (or u = 0); y = amplitude z.

    With `burst` m > 1, z = clip(floor(u / threshold), 0, m): several spikes at once catch up after a late start.
    """

    reset: Literal["subtract", "zero"] = "subtract"
    burst: int = 1
    WHOLE: ClassVar[bool] = True

    @property
    def levels(self) -> int:
        """Several spikes catch up."""
        return self.burst

    @property
    def compiled(self) -> str | None:
        """By its reset."""
        return "soft" if self.reset == "subtract" else "hard"

    @property
    def spikes_in_c(self) -> str | None:
        """See step.h."""
        return f"integrate_and_fire(v, at, {int(self.burst > 1)}, {self.burst})"

    def options(self) -> dict[str, Any]:
        """`burst` where it is more than one."""
        return {"reset": self.reset} | ({"burst": self.burst} if self.burst > 1 else {})
