# SPDX-License-Identifier: Apache-2.0
"""The pass `select_multistage_neuron`."""

from __future__ import annotations

import msgspec
import pytest
from two_layers import TWO_LAYERS, msat, two_layers

from snncc.errors import RecipeError


def test_changing_thresholds_refuse_what_they_cannot_follow() -> None:
    graph = TWO_LAYERS.replace("r = Relu(c)", "r = LeakyRelu <alpha = 0.1> (c)")
    for name in ("select_adaptive_neuron", "select_multistage_neuron"):
        made = two_layers(graph=graph)
        for before in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
            made.apply(before)
        with pytest.raises(RecipeError, match="LeakyRelu"):
            made.apply(name)
    with pytest.raises(RecipeError, match="divide"):
        msat(two_layers(), k_i=0.0)


def test_the_notes_name_the_baselines() -> None:
    made = two_layers()
    msat(made)
    texts = [msgspec.structs.asdict(note)["text"] for note in made.context.notes]
    assert any("rmp" in text and "opi" in text for text in texts)
