# SPDX-License-Identifier: Apache-2.0
"""Weights as small whole numbers: symmetric, one step per output channel."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Precision = Literal["int8", "int4", "ternary"]
#: The largest magnitude of a weight.
LARGEST: dict[Precision, int] = {"int8": 127, "int4": 7, "ternary": 1}
#: Steps that are tried, as fractions of the one that clips nothing.
FRACTIONS = np.linspace(0.2, 1.0, 81)


def codes(weight: Array, step: Array, largest: int) -> Array:
    """clip(round(weight / step), -largest, largest) with one step per row; weight (out, ...), step (out,)."""
    rows = weight.reshape(len(weight), -1) / step[:, None]
    return np.clip(np.rint(rows), -largest, largest).reshape(weight.shape)


def exact_step(rows: Array, largest: int) -> Array:
    """Per row the step of which all weights are multiples up to `largest`, or 0 where there is none."""
    magnitudes = np.abs(rows)
    least = np.where(magnitudes > 0, magnitudes, np.inf).min(1)
    least = np.where(np.isfinite(least), least, 1.0)
    multiples = rows / least[:, None]
    close = np.abs(multiples - np.rint(multiples)) <= 1e-5 * np.maximum(1, np.abs(multiples))
    return np.where(close.all(1) & (np.abs(multiples) <= largest + 0.5).all(1), least, 0.0)


def steps(weight: Array, largest: int, *, shared: bool = False) -> Array:
    """The step of each output channel, (out,), with the least squared error of its weights.

        step = argmin_s sum_i (W[i] - s clip(round(W[i] / s), -m, m))^2

    weight: (out, ...). shared: one step for all channels. Weights that are multiples of one number already keep that
    as their step.
    """
    rows = weight.reshape(1 if shared else len(weight), -1)
    highest = np.abs(rows).max(1)
    highest = np.where(highest > 0, highest, 1.0)
    best, least = highest / largest, np.full(len(rows), np.inf)
    for fraction in FRACTIONS:
        step = fraction * highest / largest
        error = ((rows - step[:, None] * codes(rows, step, largest)) ** 2).sum(1)
        best, least = np.where(error < least, step, best), np.minimum(error, least)
    exact = exact_step(rows, largest)
    found = np.where(exact > 0, exact, best)
    return np.broadcast_to(found, (len(weight),)) if shared else found
