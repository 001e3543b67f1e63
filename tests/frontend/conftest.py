# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import three_ways


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """Each test draws the same numbers, whichever ran before it."""
    three_ways.RNG.bit_generator.state = np.random.default_rng(7).bit_generator.state
