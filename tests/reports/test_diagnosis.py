# SPDX-License-Identifier: Apache-2.0
"""The rules: each fires on the numbers it is for, and on those alone."""

from __future__ import annotations

from typing import Any

import pytest

from snncc.conversion.recipe import load_method
from snncc.reports.diagnosis import RULES, losses
from snncc.reports.document import Attribution, Layer, Spread, Substitution

GOOD = {
    "name": "conv1",
    "kind": "IF",
    "role": "spiking",
    "neurons": 10,
    "isolated": 0.001,
    "cumulative": 0.002,
    "correlation": 0.99,
    "saturated": 0.0,
    "clipping": 0.0,
    "dead": 0.0,
    "residual": 0.3,
    "sin": 0.0,
    "rate": 0.1,
    "positive": 3.0,
    "negative": 0.0,
    "thresholds": Spread(count=1, min=1, low=1, median=1, high=1, max=1),
}


def fired(**changed: Any) -> dict[str, str]:
    """The rules that fire for a layer, with their cures."""
    layer = Layer(**{**GOOD, **changed})
    return {a.rule: a.cure for rule in RULES for a in rule([layer], load_method("rate"))}


def test_a_good_layer_needs_no_advice() -> None:
    assert fired() == {}


@pytest.mark.parametrize(
    ("rule", "numbers", "cure"),
    [
        ("saturation", {"saturated": 0.12, "clipping": 0.03, "isolated": 0.035}, "percentile above 99.9"),
        ("coarse", {"isolated": 0.05, "clipping": 0.001}, "fraction=0.5"),
        ("dead", {"dead": 0.2}, "--granularity"),
        ("wrong spikes", {"sin": 0.2, "cumulative": 0.3}, "signed_if"),
        ("late charge", {"residual": 2.5, "cumulative": 0.3}, "larger T"),
    ],
)
def test_rules(rule: str, numbers: dict[str, float], cure: str) -> None:
    found = fired(**numbers)
    assert rule in found
    assert cure in found[rule]
    assert len(found) == 1


def test_signed_neurons_are_not_told_to_be_signed() -> None:
    assert "wrong spikes" not in fired(sin=0.2, cumulative=0.3, negative=5.0)


def test_losses_name_points_and_skip_noise() -> None:
    lines = [
        Substitution(layer=n, regained=0.0, cost=c, error=0.0) for n, c in (("a", 0.041), ("b", 0.001), ("c", 0.018))
    ]
    found = Attribution(metric="accuracy", samples=1000, timesteps=8, runs=4, snn=0.85, ann=0.91, layers=tuple(lines))
    said = [a.finding for a in losses(found)]
    assert len(said) == 2
    assert said[0].startswith("a costs 4.1 of the 6.0 points of accuracy lost")
