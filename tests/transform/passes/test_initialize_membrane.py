# SPDX-License-Identifier: Apache-2.0
"""The pass `initialize_membrane`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from three_activations import neurons

from small_models import Case
from snncc.errors import RecipeError


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.25])
@pytest.mark.parametrize("granularity", ["layer", "neuron"])
def test_initialize_membrane(case: Case, fraction: float, granularity: str) -> None:
    case.spiking()
    before = case.apply("balance_thresholds", granularity=granularity)
    net = case.apply("initialize_membrane", fraction=fraction)
    for name, node in neurons(net).items():
        threshold = before.arrays[neurons(before)[name].threshold]
        assert np.array_equal(net.arrays[node.v_init], threshold * np.float32(fraction))
        assert np.array_equal(net.arrays[node.threshold], threshold)


@pytest.mark.parametrize("fraction", [1.0, -0.1, float("nan"), "half"])
def test_fractions_that_are_none(case: Case, fraction: Any) -> None:
    with pytest.raises(RecipeError, match="fraction"):
        case.apply("initialize_membrane", fraction=fraction)
