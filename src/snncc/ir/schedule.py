# SPDX-License-Identifier: Apache-2.0
"""When a network's input and biases are on."""

from __future__ import annotations

from typing import Literal

import msgspec


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The input schedule: the input and every constant enter at step t (from 1) multiplied by `gate(t)`.

    The divisor D(t) = gate(1) + ... + gate(t) turns an accumulated value into the value that the ANN computes:

        constant  D(t) = t             constant current
        window    D(t) = min(t, steps) constant current for `steps` steps, then silence
        once      D(t) = 1             everything at the first step

    Outputs are read as X(t) / D(t), X the running sum; with `readout_after` k > 0 (constant current only), from step
    k + 1 on, as (X(t) - X(k)) / (D(t) - D(k)): the steps in which spikes are still on their way do not count.
    """

    kind: Literal["constant", "window", "once"] = "constant"
    steps: int = 1
    readout_after: int = 0

    def divisor(self, t: int) -> int:
        """D(t); t = 0 gives 0."""
        return t if self.limit is None else min(t, self.limit)

    def gate(self, t: int) -> int:
        """D(t) - D(t-1): 1 while the input is on, 0 afterwards."""
        return self.divisor(t) - self.divisor(t - 1)

    @property
    def limit(self) -> int | None:
        """The step after which the input is silent, or None."""
        return {"constant": None, "window": self.steps, "once": 1}[self.kind]
