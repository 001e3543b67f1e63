# SPDX-License-Identifier: Apache-2.0
"""The pass `select_neuron`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from three_activations import neurons

from small_models import Case, dataset, lowered, normal, parsed
from snncc.conversion.shapes import check_shapes
from snncc.errors import RecipeError
from snncc.ir.check import check
from snncc.ir.nodes import IF, LeakyIF, SignedIF


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, [SignedIF, LeakyIF, SignedIF]),
        ({"kind": "if"}, [IF, LeakyIF, IF]),
        ({"negative": "early", "levels": 3}, [SignedIF, LeakyIF, SignedIF]),
    ],
)
def test_the_kind_of_each_activation(case: Case, options: dict[str, Any], kinds: list[type]) -> None:
    net = case.spiking(**options)
    found = neurons(net)
    assert [type(n) for n in found.values()] == kinds
    assert list(found) == ["r1", "r2", "r3"]
    assert net.stage == "snn"
    check(net, "select_neuron")
    check_shapes(net, "select_neuron")
    for node in found.values():
        before = case.context.ann[node.name]
        assert (node.shape, node.batch, node.inputs) == (before.shape, before.batch, before.inputs)
        for field, value in options.items():
            if field != "kind" and not isinstance(node, IF):
                assert getattr(node, field) == value
    leaky = found["r2"]
    assert isinstance(leaky, LeakyIF)
    assert net.arrays[leaky.slope] == np.float32(0.25)


def test_overrides_go_by_pattern_and_the_first_that_fits_wins(case: Case) -> None:
    overrides = [
        {"match": "r1", "kind": "if", "reset": "zero"},
        {"match": "r*", "negative": "early"},
        {"match": "r3", "kind": "if"},
    ]
    found = neurons(case.spiking(overrides=overrides))
    assert isinstance(found["r1"], IF)
    assert found["r1"].reset == "zero"
    assert isinstance(found["r2"], LeakyIF)
    assert isinstance(found["r3"], SignedIF)
    assert found["r2"].negative == found["r3"].negative == "early"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset": "zero"}, "r1: a signed_if neuron cannot reset to zero"),
        ({"kind": "if", "reset": "zero"}, "r2: a leaky activation needs"),
        ({"kind": "if", "levels": 2}, "several levels"),
        ({"levels": 2, "negative": "signed"}, "several levels"),
        ({"negative": "early", "levels": 2, "overrides": [{"match": "r3", "kind": "if"}]}, "r3: several levels"),
        ({"overrides": [{"match": "r3", "reset": "zero"}]}, "r3: a signed_if neuron cannot reset"),
        ({"overrides": [{"match": "r3", "wobble": 1}]}, "wobble"),
        ({"levels": 5}, "<= 4"),
        ({"kind": "lif"}, "lif"),
    ],
)
def test_pairs_that_do_not_exist(case: Case, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        case.spiking(**options)
    assert caught.value.cure


def test_a_static_activation_stays() -> None:
    text = (
        "g (float[N,4] x, int64[N] i) => (float[] y) { t = Gather<axis=0>(w, i) r = Relu(t) s = Relu(x) y = Add(r, s) }"
    )
    data = dataset(x=normal(0, 6, 4), i=np.arange(6) % 3)
    net = lowered(parsed(text, w=normal(1, 3, 4)), data).spiking()
    assert list(neurons(net)) == ["s"]
    assert "r" in net.by_name
