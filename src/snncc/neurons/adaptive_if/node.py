# SPDX-License-Identifier: Apache-2.0
"""The node of integrate and fire with an adaptive threshold."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from snncc.neurons.node import Neuron, Place


class AdaptiveIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire whose firing threshold c threshold adapts to the layer's largest input current.

    m = max_i x_i / threshold_i over the neurons of the sample (or of the batch); c starts at eta and becomes
    min(1, max(c, m)) [running_max] or m where eta < m < 1 [alg2]; without `adapt` it stays. u += x;
    z = [u >= c threshold]; u -= z threshold, y = amplitude z [vmax]; u -= z c threshold, y = amplitude z [vcur]; or
    u -= z c threshold, y = c amplitude z [graded].
    """

    eta: float = 0.7
    rule: Literal["running_max", "alg2"] = "running_max"
    adapt: bool = True
    subtract: Literal["vmax", "vcur", "graded"] = "vmax"
    scope: Literal["sample", "batch"] = "sample"
    PLACE: ClassVar[tuple[str, ...]] = ("samples", "axis")

    @property
    def shared(self) -> str:
        """The scope of the largest current."""
        return self.scope

    def placed(self, place: Place) -> dict[str, int]:
        """One sample where all share a threshold."""
        return Neuron.placed(self, place) | ({"samples": 1} if self.scope == "batch" else {})

    def options(self) -> dict[str, Any]:
        """All but the scope, which is the number of samples."""
        return {name: option for name, option in Neuron.options(self).items() if name != "scope"}

    @property
    def graded(self) -> bool:
        """Whether a spike carries the threshold of its step."""
        return self.subtract == "graded"

    @property
    def compiled(self) -> str | None:
        """By what a spike subtracts."""
        return self.subtract
