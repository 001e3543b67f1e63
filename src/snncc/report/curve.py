# SPDX-License-Identifier: Apache-2.0
"""Accuracy against T: the interval of a proportion, where it comes within reach of the ANN, and the latency C_T."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from snncc.metrics import latency, lossless
from snncc.report.document import Curve, Point, rounded
from snncc.simulation import Simulation, settled

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


def by_output(value: Any, outputs: Sequence[str]) -> Mapping[str, Any]:
    """A measured quantity by output name, whether there is one output or several."""
    return value if len(outputs) > 1 else {outputs[0]: value}


def curves(simulation: Simulation, outputs: Sequence[str]) -> tuple[Curve, ...]:
    """The curve of each output of a simulation."""
    found = []
    for name in outputs:
        accuracy = by_output(simulation.accuracy, outputs)[name]
        agreement = by_output(simulation.agreement, outputs)[name]
        error = by_output(simulation.error, outputs)[name]
        ann = by_output(simulation.ann_accuracy, outputs)[name] if accuracy else 1.0
        values = accuracy or agreement
        by_steps = {int(t): float(value) for t, value in values.items()}
        points = []
        for t, value in values.items():
            low, high = wilson(value, simulation.samples)
            points.append(
                Point(
                    t=int(t),
                    value=value,
                    low=rounded(low) or 0.0,
                    high=rounded(high) or 0.0,
                    error=rounded(error[t]) or 0.0,
                )
            )
        found.append(
            Curve(
                output=name,
                metric="accuracy" if accuracy else "agreement",
                ann=ann,
                samples=simulation.samples,
                points=tuple(points),
                within_one_point=settled(values, ann),
                lossless=lossless(by_steps, ann),
                latency=latency(by_steps),
            )
        )
    return tuple(found)
