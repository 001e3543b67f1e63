# SPDX-License-Identifier: Apache-2.0
"""The pass `select_adaptive_neuron`."""

from __future__ import annotations

import numpy as np
import pytest
from two_layers import ann, two_layers

from snncc.ir.nodes import AdaptiveIF


def test_chen_takes_the_percentile_of_what_is_positive() -> None:
    made = two_layers()
    for name in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
        made.apply(name)
    made.apply("select_adaptive_neuron", eta=0.8, subtract="graded")
    net = made.apply("balance_thresholds", granularity="layer", percentile=99.9, nonzero=True)
    a = np.sort(ann(made, "r").ravel())
    positive = a[a > 0]
    wanted = positive[int(np.ceil(0.999 * len(positive))) - 1]
    assert net.arrays["r/threshold"].item() == pytest.approx(wanted, rel=0.01)
    node = net["r"]
    assert isinstance(node, AdaptiveIF)
    assert (node.eta, node.subtract, node.adapt, node.graded) == (0.8, "graded", True, True)
    assert ("information", "y") in made.notes  # the baselines beside it
