# SPDX-License-Identifier: Apache-2.0
"""The nodes of signed integrate and fire."""

from __future__ import annotations

from typing import ClassVar, Literal

from snncc.neurons.node import Neuron


class SignedIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire with negative spikes and a memory n of what was emitted.

    u += x; z = +1 if u >= threshold and n < cap; else z = -1 if n > 0 and (u < 0 [early], u <= 0 [at_zero] or
    u <= -threshold [signed]); u -= z threshold; n += z; y = amplitude z. With `levels` m > 1 (early only),
    z = clip(floor(u/threshold), -min(n, m), min(m, cap - n)).
    """

    negative: Literal["signed", "early", "at_zero"] = "signed"
    cap: int | None = None
    levels: int = 1
    SIGNED: ClassVar[bool] = True
    COUNTED: ClassVar[bool] = True
    WHOLE: ClassVar[bool] = True

    @property
    def resolution(self) -> int:
        """The levels."""
        return self.levels

    @property
    def free(self) -> bool:
        """No cap counts spikes."""
        return self.cap is None

    @property
    def compiled(self) -> str | None:
        """By when it takes spikes back."""
        return self.negative if self.levels == 1 else "early"

    @property
    def spikes_in_c(self) -> str | None:
        """See step.h."""
        cap = "NEVER" if self.cap is None else self.cap
        rule = f"NEGATIVE_{self.negative.upper()}"
        return f"signed_if(v, at, had, {rule}, {int(self.levels > 1)}, {self.levels}, {cap})"


class CentredIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Early `SignedIF` around a resting rate: a constant carries the mean, spikes the deviations from it.

    r[t] = centre / until for t <= until, 0 afterwards; u += x - r threshold; z as of the early `SignedIF` whose count
    starts at n = centre; u -= z threshold; n += z; y = amplitude (z + r). `centre` holds whole numbers; with until = 0
    nothing rests and the count alone starts there.
    """

    centre: str
    until: int
    levels: int = 1
    ARRAYS: ClassVar[tuple[str, ...]] = ("threshold", "amplitude", "v_init", "centre")
    PLACE: ClassVar[tuple[str, ...]] = ("first_step",)
    SIGNED: ClassVar[bool] = True
    COUNTED: ClassVar[bool] = True

    @property
    def resolution(self) -> int:
        """The levels."""
        return self.levels

    @property
    def negative(self) -> str:
        """As the early signed neuron."""
        return "early"

    @property
    def offset(self) -> str | None:
        """The centre."""
        return self.centre

    @property
    def free(self) -> bool:
        """It has no cap."""
        return True

    @property
    def compiled(self) -> str | None:
        """A kind of its own."""
        return "centred"

    @property
    def spikes_in_c(self) -> str | None:
        """As the early signed neuron."""
        return f"signed_if(v, at, had, NEGATIVE_EARLY, {int(self.levels > 1)}, {self.levels}, NEVER)"
