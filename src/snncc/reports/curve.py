# SPDX-License-Identifier: Apache-2.0
"""Accuracy against T: the interval of a proportion, where it comes within reach of the ANN, and the latency C_T."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from snncc.reports.document import Curve, Point, rounded
from snncc.simulation.metrics import latency, lossless
from snncc.simulation.run import Reference, Simulation, settled

#: The 97.5 % quantile of the normal distribution: two-sided 95 %.
Z = 1.959963984540054


def wilson(value: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion `value` out of `count` (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    """
    square = Z * Z / count
    centre = value + square / 2
    width = Z * math.sqrt(max(0.0, value * (1 - value)) / count + square / (4 * count))
    return max(0.0, (centre - width) / (1 + square)), min(1.0, (centre + width) / (1 + square))


@dataclass(frozen=True, slots=True)
class Curves:
    """Accuracy (agreement, without labels) and error by T for one output."""

    metric: Literal["accuracy", "agreement"]
    values: Mapping[str, float]
    error: Mapping[str, float]

    @classmethod
    def of(cls, found: Simulation | Reference, outputs: Sequence[str], name: str) -> Curves:
        """Those of a simulation, or of the quantised reference."""
        accuracy, agreement, error = (
            by_output(value, outputs)[name] for value in (found.accuracy, found.agreement, found.error)
        )
        return cls("accuracy" if accuracy else "agreement", accuracy or agreement, error)


def by_output(value: Any, outputs: Sequence[str]) -> Mapping[str, Any]:
    """A measured quantity by output name, whether there is one output or several."""
    return value if len(outputs) > 1 else {outputs[0]: value}


def point(t: str, curve: Curves, reference: Curves | None, ann: float, samples: int) -> Point:
    """One T, its interval and how its loss splits; `reference` is the curve of the quantised reference."""
    value = curve.values[t]
    low, high = wilson(value, samples)
    layered = None if reference is None else reference.values[t]
    return Point(
        t=int(t),
        value=value,
        low=rounded(low) or 0.0,
        high=rounded(high) or 0.0,
        error=rounded(curve.error[t]) or 0.0,
        reference=layered,
        reference_error=None if reference is None else rounded(reference.error[t]),
        quantisation=None if layered is None else rounded(ann - layered),
        asynchrony=None if layered is None else rounded(layered - value),
    )


def curves(simulation: Simulation, outputs: Sequence[str]) -> tuple[Curve, ...]:
    """The curve of each output of a simulation."""
    found = []
    for name in outputs:
        curve = Curves.of(simulation, outputs, name)
        reference = Curves.of(simulation.reference, outputs, name) if simulation.reference else None
        ann = by_output(simulation.ann_accuracy, outputs)[name] if curve.metric == "accuracy" else 1.0
        by_steps = {int(t): value for t, value in curve.values.items()}
        found.append(
            Curve(
                output=name,
                metric=curve.metric,
                ann=ann,
                samples=simulation.samples,
                points=tuple(point(t, curve, reference, ann, simulation.samples) for t in curve.values),
                within_one_point=settled(curve.values, ann),
                lossless=lossless(by_steps, ann),
                latency=latency(by_steps),
            )
        )
    return tuple(found)
