# SPDX-License-Identifier: Apache-2.0
"""How time lies in a tensor: steps folded into the batch axis, step-major, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Layout = Literal["steady", "series", "mean"]


@dataclass(slots=True)
class Value:
    """A tensor and how time lies in it."""

    data: Tensor
    layout: Layout


@dataclass(slots=True)
class Activity:
    """What a source of events emitted, summed over samples and steps."""

    #: Events per neuron: steps with a value other than zero, (*shape) per sample.
    events: Tensor
    positive: float = 0.0
    negative: float = 0.0


@dataclass(slots=True)
class Run:
    """The outcome of a run: `outputs[name]` is (checkpoints, N, ...) already divided by D(t)."""

    outputs: dict[str, Tensor]
    activity: dict[str, Activity] = field(default_factory=dict)
    clamps: dict[str, int] = field(default_factory=dict)


def unfold(x: Tensor, axis: int | None, steps: int) -> Tensor:
    """Series to (T, ...)."""
    return x if axis is None else x.unflatten(axis, (steps, -1)).movedim(axis, 0)


def fold(x: Tensor, axis: int | None) -> Tensor:
    """(T, ...) to series."""
    return x if axis is None else x.movedim(0, axis).flatten(axis, axis + 1)


def stepwise(weights: Tensor, steps: Tensor) -> Tensor:
    """One weight per step, shaped to multiply (T, ...)."""
    return weights.to(steps).reshape(-1, *[1] * (steps.ndim - 1))


def spread(x: Tensor, axis: int | None, weights: Tensor) -> Tensor:
    """A steady value times one weight per step, as a series."""
    series = x.unsqueeze(0) * weights.to(x).reshape(-1, *[1] * x.ndim)
    return fold(series, axis)
