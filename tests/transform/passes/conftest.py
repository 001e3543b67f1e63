# SPDX-License-Identifier: Apache-2.0
"""The network that tests of neuron passes share."""

from __future__ import annotations

import pytest
from three_activations import TEXT, WEIGHTS, X

from small_models import Case, dataset, lowered, parsed


@pytest.fixture
def case() -> Case:
    """A lowered network of three activations."""
    return lowered(parsed(TEXT, **WEIGHTS), dataset(x=X))
