# SPDX-License-Identifier: Apache-2.0
"""`select_neuron`, `balance_thresholds` and `initialize_membrane`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from small_models import Case, dataset, lowered, normal, parsed
from snncc.conversion.recipe import BY_NAME
from snncc.errors import RecipeError
from snncc.execute import reference
from snncc.ir.check import check, check_shapes
from snncc.ir.network import Network
from snncc.ir.nodes import IF, LeakyIF, Neuron, SignedIF
from snncc.transform.base import Fidelity

X = normal(0, 40, 3, 4, 5)
TEXT = """g (float[N,3,4,5] x) => (float[] y) {
    c1 = Conv<pads=[1,1,1,1]>(x, w, b)  r1 = Relu(c1)
    c2 = Conv(r1, w2)  r2 = LeakyRelu<alpha=0.25>(c2)
    r3 = Clip(r2, zero, six)
    f = Flatten(r3)  y = Gemm(f, w3)
}"""
WEIGHTS = {
    "w": normal(1, 4, 3, 3, 3) / 4,
    "b": np.float32([0, 0.2, -0.1, -100]),  # the last channel never fires
    "w2": normal(2, 2, 4, 2, 2) / 3,
    "w3": normal(3, 24, 3),
    "zero": np.float32(0),
    "six": np.float32(0.3),
}


@pytest.fixture
def case() -> Case:
    return lowered(parsed(TEXT, **WEIGHTS), dataset(x=X))


def neurons(net: Network) -> dict[str, Neuron]:
    return {n.name: n for n in net.nodes if isinstance(n, Neuron)}


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


# balance_thresholds

AXES = {"layer": (0, 1, 2, 3), "channel": (0, 2, 3), "neuron": (0,)}


@pytest.mark.parametrize("granularity", AXES)
@pytest.mark.parametrize(("percentile", "nonzero"), [(100.0, False), (99.0, False), (90.0, True), (50.0, True)])
def test_percentiles_against_numpy(case: Case, granularity: str, percentile: float, nonzero: bool) -> None:
    case.spiking()
    values = case.context.values.run({"x": X}, ["r1", "c2", "r3"])
    values["r2"] = np.abs(values.pop("c2"))  # leaky: magnitudes of the pre-activation
    net = case.apply("balance_thresholds", granularity=granularity, percentile=percentile, nonzero=nonzero)
    for name, node in neurons(net).items():
        found, value = net.arrays[node.threshold], values[name]
        assert net.arrays[node.amplitude] is found
        axes = AXES[granularity]
        assert found.shape == tuple(1 if i in axes else d for i, d in enumerate(value.shape))
        rows = np.moveaxis(value, axes, range(-len(axes), 0)).reshape(found.size, -1).astype(float)
        for row, threshold in zip(rows, found.reshape(-1), strict=True):
            kept = row[row != 0] if nonzero else row
            if not kept.any():
                assert threshold == 0
                continue
            # the order statistics around the percentile: definitions of interpolation differ
            position = percentile / 100 * (len(kept) - 1)
            around = np.sort(kept)[[max(0, int(position) - 1), min(len(kept) - 1, int(position) + 2)]]
            if name == "r3":
                around = np.minimum(around, 0.3)
                assert threshold <= np.float32(0.3)
            assert around[0] * 0.985 - 1e-6 <= threshold <= around[1] * 1.015 + 1e-6
            if percentile == 100:
                assert threshold == np.float32(min(kept.max(), 0.3 if name == "r3" else np.inf))


def test_the_maximum_whatever_the_percentile(case: Case) -> None:
    case.spiking()
    net = case.apply("balance_thresholds", granularity="neuron", reduce="max", percentile=50.0)
    top = case.context.values.run({"x": X}, ["r1"])["r1"].max(axis=0, keepdims=True)
    assert np.array_equal(net.arrays["r1/threshold"], top)


def test_a_clip_caps_its_threshold(case: Case) -> None:
    case.spiking()
    net = case.apply("balance_thresholds", percentile=100.0)
    assert net.arrays["r3/threshold"].item() == np.float32(0.3)
    assert case.context.values.run({"x": X}, ["r2"])["r2"].max() > 0.3


def test_dead_neurons_are_noted_and_never_fire(case: Case) -> None:
    case.spiking()
    net = case.apply("balance_thresholds", granularity="channel", percentile=100.0)
    assert net.arrays["r1/threshold"].reshape(-1)[3] == 0
    (note,) = (n for n in case.context.notes if n.node == "r1")
    assert note.kind == "information"
    assert note.text.startswith("1 of 4 thresholds are 0")
    steps = reference.run(net, {"x": 1000 + 0 * X[:2]}, 3)
    assert not any(values["r1"][:, 3].any() for values in steps)
    assert any(values["r1"][:, :3].any() for values in steps)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_several_levels_share_the_threshold(case: Case, levels: int) -> None:
    case.spiking(levels=levels, negative="early")
    net = case.apply("balance_thresholds", percentile=100.0)
    top = case.context.values.run({"x": X}, ["r1"])["r1"].max()
    assert net.arrays["r1/threshold"].item() == top / np.float32(levels)


def test_the_calibration_decides_and_not_the_batch_size() -> None:
    found = []
    for size in (1, 7, 64):
        case = lowered(parsed(TEXT, **WEIGHTS), dataset(x=X))
        case.context.batch_size = size
        case.spiking()
        net = case.apply("balance_thresholds", granularity="neuron", percentile=99.0)
        found.append({n: net.arrays[node.threshold].tobytes() for n, node in neurons(net).items()})
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("granularity", ["layer", "channel", "neuron"])
@pytest.mark.parametrize("percentile", [100.0, 99.0])
@pytest.mark.parametrize(
    "text",
    [
        "r = Reshape(x, rows) n = Relu(r) y = Reshape(n, back)",  # two channels merged into the samples' axis
        "t = Transpose<perm=[1,0,2]>(x) n = Relu(t) y = Transpose<perm=[1,0,2]>(n)",
        "t = Transpose<perm=[2,0,1]>(x) u = Unsqueeze(t, last) n = Relu(u) y = Transpose<perm=[1,2,0,3]>(n)",
        "t = Transpose<perm=[1,2,0]>(x) n = Relu(t) y = Transpose<perm=[2,0,1]>(n)",
    ],
    ids=["merged", "axis1", "axis1-rank4", "axis2"],
)
def test_thresholds_wherever_the_samples_lie(text: str, granularity: str, percentile: float) -> None:
    """They broadcast against any number of samples, and each is that of its own entries."""
    constants = {"rows": np.array([-1, 5]), "back": np.array([-1, 2, 5]), "last": np.array([3])}
    used = {n: v for n, v in constants.items() if f"{n})" in text}
    x = normal(4, 9, 2, 5)
    case = lowered(parsed(f"g (float[N,2,5] x) => (float[] y) {{ {text} }}", **used), dataset(x=x))
    case.spiking()
    case.apply("balance_thresholds", granularity=granularity, percentile=percentile)
    net = case.apply("initialize_membrane")
    for count in (1, 2, 9):
        steps = reference.run(net, {"x": x[:count]}, 60)
        rate = sum(v["y"] for v in steps).reshape(count, 2, 5) / 60
        if percentile == 100:  # no activation is above its threshold, so the rate comes near
            top = float(net.arrays[net["n"].threshold].max())
            assert np.abs(rate - np.maximum(x[:count], 0)).max() <= 1.01 * top / 60 + 1e-6
    check_shapes(net, "thresholds", samples=3)


# initialize_membrane


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


@pytest.mark.parametrize(
    ("name", "needs", "gives"),
    [
        ("select_neuron", {"pooling", "functions"}, {"neurons"}),
        ("balance_thresholds", {"neurons"}, {"thresholds"}),
        ("initialize_membrane", {"thresholds"}, {"membrane"}),
    ],
)
def test_contracts(name: str, needs: set[str], gives: set[str]) -> None:
    step = BY_NAME[name]
    assert (step.fidelity, step.needs, step.gives) == (Fidelity.EMPIRICAL, needs, gives)
