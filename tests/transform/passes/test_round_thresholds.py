# SPDX-License-Identifier: Apache-2.0
"""The pass `round_thresholds`: the signed neuron against the paper's moving integer thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantized_models import converted, ternary_net
from small_models import dataset, lowered, normal, parsed
from snncc.conversion import recipe
from snncc.errors import RecipeError
from snncc.execute import reference
from snncc.ir.nodes import SignedIF
from snncc.ir.text import to_text

GOLDEN = Path(__file__).parents[2] / "golden"


def moving_thresholds(current: np.ndarray, theta: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """The paper's neuron, (T, ...) of synaptic charges to spikes: the potential stays, both thresholds move."""
    v, above, below, spikes = 0.0, theta, theta - delta, []
    floor = below
    for x in current:
        v = v + x
        held = np.maximum(v, floor)
        z = np.where(held >= above, 1, np.where(held < below, -1, 0))
        above, below = above + z * delta, below + z * delta
        spikes.append(z)
    return np.stack(spikes)


def paper_thresholds(a: dict[str, Any], i: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """theta0+ and delta of the paper, where one hidden spike is 1; gamma < 0 flips weights, mean and gamma."""
    g, e, m, v = (np.asarray(a[f"{key}{i}"], np.float32).astype(np.float64) for key in "gemv")
    sigma, sign, g = np.sqrt(v + 1e-5), np.sign(g), np.where(g == 0, 1, np.abs(g))
    return 2.0**k * sign * m + 2.0**k * (1 / 2.0 ** (k + 1) - e) * sigma / g, sigma / g


@pytest.mark.parametrize("k", [0, 1, 2])
def test_spike_trains_are_those_of_moving_integer_thresholds(k: int) -> None:
    case, arrays, x = ternary_net(k, seed=k)
    net = converted(case, "zou")
    values = reference.run(net, {"x": x}, 40)
    assert net.schedule.kind == "once"
    for i, amplitude in ((1, 1.0), (2, 2.0**-k)):  # of the spikes that come in
        live = arrays[f"g{i}"] != 0
        theta, delta = (p[live] for p in paper_thresholds(arrays, i, k))
        node = net[f"y{i}"]
        assert isinstance(node, SignedIF)
        th, v_init = (net.arrays[name].astype(np.float64)[0, live, 0, 0] for name in (node.threshold, node.v_init))
        assert np.array_equal(np.round(th), th)
        assert np.array_equal(np.round(v_init), v_init)
        assert np.abs(th - 1e4 * delta / 2.0**k / amplitude).max() <= 1
        assert np.abs(th - v_init - 1e4 * theta / 2.0**k / amplitude).max() <= 1.5
        current = np.stack([v[node.inputs[0]] for v in values])[:, :, live]
        assert np.array_equal(current % 1e4, np.zeros_like(current))
        expected = moving_thresholds(current, (th - v_init)[:, None, None], th[:, None, None])
        found = np.stack([v[f"y{i}"] for v in values])[:, :, live] * 2.0**k
        assert np.array_equal(found, expected)
        assert (expected < 0).any() or i == 1


@pytest.mark.parametrize("k", [0, 1, 2])
def test_counts_end_on_the_levels_of_the_file(k: int) -> None:
    case, arrays, x = ternary_net(k)
    truth = {name: case.truth.run({"x": x}, [name])[name] for name in ("y0", "y1", "y2", "y")}
    net = converted(case, "zou")
    values = reference.run(net, {"x": x}, 40)
    for name, level in truth.items():
        assert np.allclose(sum(v[name] for v in values), level, atol=1e-5), name
    assert len(np.unique(truth["y2"])) > 2
    assert np.unique(truth["y1"][:, 2]).size == 1  # gamma = 0
    assert truth["y1"][:, 2].min() > 0
    assert not any(np.any(values[4][n]) for n in ("y0",))  # the encoder is silent after four steps
    assert {n for kind, n in case.notes if kind == "information"} >= {"n1", "y0"}
    assert arrays["g1"][1] < 0


def test_rounding_is_an_option() -> None:
    found = {}
    for rounding in ("round", "floor", "ceil"):
        case, _, _ = ternary_net(1)
        net = converted(case, "zou", round_thresholds={"rounding": rounding, "scale": 100})
        found[rounding] = net.arrays["y1/threshold"]
    assert np.array_equal(np.clip(found["round"], found["floor"], found["ceil"]), found["round"])
    assert (found["ceil"] - found["floor"]).max() == 1


def test_thresholds_behind_real_weights_are_rounded_on_request() -> None:
    case, _, _ = ternary_net(1)
    for entry in recipe.load_method("zou").passes:
        if entry.use != "round_thresholds":
            case.apply(entry.use, **entry.options)
    names = {n: case.network[case.network[n].inputs[0]].weight for n in ("y1", "y2")}
    shape = {w: case.network.arrays[w].shape for w in names.values()}
    real = case.network.with_arrays({w: normal(i, *shape[w]) for i, w in enumerate(names.values())})
    with pytest.raises(RecipeError, match="ternary"):
        case.apply("round_thresholds", real)
    rounded = case.apply("round_thresholds", real, real_weights=True, scale=1000)
    for neuron, weight in names.items():
        (amplitude,) = np.unique(real.arrays[real[{"y1": "y0", "y2": "y1"}[neuron]].amplitude])
        factor = 1000 / amplitude
        threshold = rounded.arrays[rounded[neuron].threshold]
        assert np.array_equal(threshold, np.rint(threshold))
        assert np.abs(threshold - real.arrays[real[neuron].threshold] * factor).max() <= 0.5 + 1e-3
        assert np.allclose(rounded.arrays[rounded[rounded[neuron].inputs[0]].weight], real.arrays[weight] * factor)


def test_the_network_text() -> None:
    case, _, _ = ternary_net(1)
    assert to_text(converted(case, "zou")) == (GOLDEN / "zou.txt").read_text()


def test_real_weights_cannot_have_integer_thresholds() -> None:
    text = """g (float[N, 3] x) => (float[N, 2] y) {
      c = Gemm(x, w0) a = Add(c, half) f = Floor(a) r = Clip(f, zero) d = Gemm(r, w1) e = Add(d, half)
      h = Floor(e) q = Clip(h, zero) y = Gemm(q, w2) }"""
    arrays = {"w0": normal(1, 3, 4), "w1": normal(2, 4, 4), "w2": normal(3, 4, 2)}
    arrays |= {"half": np.float32(0.5), "zero": np.float32(0)}
    case = lowered(parsed(text, **arrays), dataset(x=normal(5, 4, 3)))
    with pytest.raises(RecipeError, match="ternary weights"):
        converted(case, "zou")


def test_the_encoder_is_scatter_and_gather() -> None:
    k = 1
    case, a, x = ternary_net(k)
    net = converted(case, "zou")
    values = reference.run(net, {"x": x}, 8)
    sigma = np.sqrt(np.asarray(a["v0"], np.float32).astype(np.float64) + 1e-5)
    delta = (sigma / a["g0"])[None, :, None, None]
    theta = ((0.5 - a["e0"]) * sigma / a["g0"] + a["m0"])[None, :, None, None]
    charge = values[0]["n0.current"]  # the whole image, at the first step
    assert not any(np.any(v["n0.current"]) for v in values[1:])
    for t, v in enumerate(values):
        fires = charge >= theta + t * delta if t < 4 else np.zeros_like(charge)
        assert np.array_equal(v["y0"] != 0, fires)
    assert (sum(v["y0"] for v in values) == 4).any()
