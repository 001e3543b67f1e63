# SPDX-License-Identifier: Apache-2.0
"""The node of the multi-stage adaptive threshold."""

from __future__ import annotations

from typing import ClassVar

from snncc.neurons.node import Neuron


class MsatIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire with the multi-stage adaptive threshold; potentials in units of `threshold`.

    v += x / threshold; th = 1 at the first step, then sigmoid(DTT + DET) with d = v_last - mean of the residuals,
    DTT = tau_mp (alpha d + v_t + k_a ln(1 + exp(d / k_i))), DET = tau_rd exp(-x / (threshold c)), each 0 where it is
    switched off (both off: th = 1); z = min(burst, floor(v / th)), kept with probability `confidence` in the first
    `unsure` steps; v -= th z; y = amplitude th z. `key` names the random stream.
    """

    alpha: float
    k_a: float
    k_i: float
    c: float
    tau_mp: float
    tau_rd: float
    v_t: float = -1.0
    dtt: bool = True
    det: bool = True
    burst: int = 1
    confidence: float = 1.0
    unsure: int = 16
    key: int = 0
    PLACE: ClassVar[tuple[str, ...]] = ("samples", "axis", "first_sample", "first_step")

    @property
    def levels(self) -> int:
        """Several spikes catch up."""
        return self.burst

    @property
    def random(self) -> bool:
        """Whether spikes of the first steps are kept at random."""
        return self.confidence < 1 and self.unsure > 0

    @property
    def graded(self) -> bool:
        """A spike carries the threshold of its step."""
        return True
