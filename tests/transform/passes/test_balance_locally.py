# SPDX-License-Identifier: Apache-2.0
"""The pass `balance_locally`."""

from __future__ import annotations

import numpy as np
import pytest
from two_layers import ann, two_layers


@pytest.mark.parametrize(("granularity", "axes"), [("layer", (0, 1, 2, 3)), ("channel", (0, 2, 3)), ("neuron", (0,))])
def test_balance_locally(granularity: str, axes: tuple[int, ...]) -> None:
    made = two_layers()
    made.spiking(kind="if")
    net = made.apply("balance_locally", granularity=granularity, eta=0.2, updates=5)
    a, th = ann(made, "r"), np.zeros(())
    for batch in (a[:64], a[64:], a[:64], a[64:], a[:64]):
        excess = np.where(batch > th, batch - th, 0)
        th = th + 2 * 0.2 * excess.mean(axes, keepdims=True)
    np.testing.assert_allclose(net.arrays["r/threshold"], th, rtol=1e-4)
