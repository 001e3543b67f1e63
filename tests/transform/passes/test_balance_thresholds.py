# SPDX-License-Identifier: Apache-2.0
"""The pass `balance_thresholds`."""

from __future__ import annotations

import numpy as np
import pytest
from three_activations import TEXT, WEIGHTS, X, neurons
from two_layers import two_layers

from small_models import Case, dataset, lowered, normal, parsed
from snncc.conversion.shapes import check_shapes
from snncc.execute import reference


def test_reduce_and_percentile_are_the_same_at_one_hundred() -> None:
    found = []
    for options in ({"reduce": "max", "percentile": 50.0}, {"percentile": 100.0}, {"percentile": 50.0}):
        made = two_layers()
        made.spiking(kind="if")
        found.append(made.apply("balance_thresholds", granularity="neuron", **options).arrays["r/threshold"])
    assert np.array_equal(found[0], found[1])
    assert (found[2] < found[1]).any()


def test_burst_thresholds_are_those_of_one_spike() -> None:
    found = []
    for burst in (1, 5):
        made = two_layers()
        net = made.spiking(kind="if", burst=burst)
        assert net["r"].burst == burst  # type: ignore[attr-defined]
        found.append(made.apply("balance_thresholds", reduce="max").arrays["r/threshold"])
    assert found[0] == found[1]


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
