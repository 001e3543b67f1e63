# SPDX-License-Identifier: Apache-2.0
"""The lines of the layer table against few-line NumPy transcriptions of their definitions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_reports import bundle, labelled

from small_models import dataset, normal, parsed
from snncc.bundles.bundle import open_bundle
from snncc.reports.document import Layer, report_of

T = 8
GRAPH = (
    "g (float[N, 5] x) => (float[N, 3] y) { a = Gemm(x, w, b) p = Relu(a) c = Gemm(p, v) q = Relu(c) y = Gemm(q, u) }"
)
WEIGHTS = {"w": normal(1, 5, 9), "b": normal(2, 9), "v": normal(3, 9, 7) / 2, "u": normal(4, 7, 3)}


def fire(current: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Spike values (T, N, n) of soft-reset neurons from zero, and the potential at the end."""
    u, out = np.zeros_like(current[0]), []
    for x in current:
        u = u + x
        z = u >= threshold
        u = u - threshold * z
        out.append(threshold * z)
    return np.stack(out), u


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Layer], dict[str, Any], Any]:
    model = parsed(GRAPH, **WEIGHTS)
    data = labelled(model, dataset(x=normal(5, 40, 5)))
    some = [("balance_thresholds", "percentile", 95.0)]  # no value equals a threshold, which rounding would decide
    opened = open_bundle(bundle(tmp_path_factory.mktemp("layers"), model, data, timesteps=T, options=some))
    net, x = opened.network, data.inputs["x"].astype(np.float64)
    w = {name: a.astype(np.float64) for name, a in WEIGHTS.items()}
    steps = lambda value: np.repeat(value[None], T, 0)  # noqa: E731
    ann = {"a": x @ w["w"] + w["b"]}
    ann["p"] = np.maximum(ann["a"], 0)
    ann["c"] = ann["p"] @ w["v"]
    ann["q"] = np.maximum(ann["c"], 0)
    th = {name: float(net.arrays[f"{name}/threshold"].item()) for name in "pq"}
    p, _ = fire(steps(ann["a"]), th["p"])
    q, uq = fire(p @ w["v"], th["q"])
    alone, _ = fire(steps(ann["c"]), th["q"])
    found = {**ann, "p": p, "q": q, "alone": alone, "uq": uq, "th": th, "y": q.mean(0) @ w["u"]}
    return {layer.name: layer for layer in report_of(opened).layers}, found, report_of(opened)


def relative(y: np.ndarray, a: np.ndarray) -> float:
    return float(np.square(y - a).sum() / np.square(a).sum())


def test_errors(measured: Any) -> None:
    lines, found, _ = measured
    q = found["q"].mean(0)
    assert lines["q"].cumulative == pytest.approx(relative(q, np.maximum(found["c"], 0)), rel=1e-4)
    assert lines["q"].isolated == pytest.approx(relative(found["alone"].mean(0), np.maximum(found["c"], 0)), rel=1e-4)
    a = np.maximum(found["c"], 0)
    assert lines["q"].correlation == pytest.approx(np.corrcoef(a.ravel(), q.ravel())[0, 1], rel=1e-4)
    y = a @ WEIGHTS["u"].astype(np.float64)
    assert lines["y"].cumulative == pytest.approx(relative(found["y"], y), rel=1e-4)
    assert lines["y"].isolated == pytest.approx(0, abs=1e-10)
    assert lines["p"].cumulative == lines["p"].isolated  # constant current: there is no timing to get wrong


def test_limits_and_spikes(measured: Any) -> None:
    lines, found, _ = measured
    a, q, th = np.maximum(found["c"], 0), found["q"], found["th"]["q"]
    excess = np.maximum(a - th, 0)
    fired = (q != 0).any(0)
    active = fired | (a > 0)
    line = lines["q"]
    assert line.saturated == pytest.approx((excess > 0).mean(), rel=1e-4)
    assert line.clipping == pytest.approx(np.square(excess).sum() / np.square(a).sum(), rel=1e-4)
    assert line.sin == pytest.approx((fired & (found["c"] < 0)).mean(), rel=1e-4)
    assert line.dead == pytest.approx((~fired.any(0) & (a > 0).any(0)).mean(), rel=1e-4)
    assert line.residual == pytest.approx(np.abs(found["uq"] / th)[active].mean(), rel=1e-3)
    assert line.rate == pytest.approx((q != 0).mean(), rel=1e-4)
    assert line.positive == pytest.approx((q != 0).sum() / len(a), rel=1e-4)
    assert line.negative == 0
    assert line.synaptic_operations == pytest.approx((q != 0).sum() * 3 / len(a), rel=1e-4)
    assert lines["p"].synaptic_operations == pytest.approx((found["p"] != 0).sum() * 7 / len(a), rel=1e-4)


def test_histogram_and_raster(measured: Any) -> None:
    lines, found, report = measured
    a, h = np.maximum(found["c"], 0), lines["q"].histogram
    assert h.zero + sum(h.activations) == a.size
    assert h.zero == (a == 0).sum()
    assert sum(h.thresholds) == lines["q"].thresholds.count == 1
    for raster in report.rasters:
        first = found[raster.layer][:, 0]
        for neuron, row in zip(raster.neurons, raster.rows, strict=True):
            assert row == "".join("+" if s else "." for s in first[:, neuron])
        assert set(raster.neurons) == set(np.flatnonzero(first.any(0)))
    assert [r.layer for r in report.rasters] == ["p", "q"]
    assert len(report.rasters[0].neurons) > 1


def test_the_quantised_reference_at_every_step_of_the_curve(measured: Any) -> None:
    _, found, report = measured
    w = {name: a.astype(np.float64) for name, a in WEIGHTS.items()}
    truth, curve = np.maximum(found["c"], 0) @ w["u"], report.curves[0]
    assert [p.t for p in curve.points] == list(range(1, T + 1))
    for p in curve.points:
        first, _ = fire(np.repeat(found["a"][None], p.t, 0), found["th"]["p"])
        second, _ = fire(np.repeat((first.mean(0) @ w["v"])[None], p.t, 0), found["th"]["q"])
        y = second.mean(0) @ w["u"]
        assert p.reference == pytest.approx((y.argmax(1) == truth.argmax(1)).mean(), rel=1e-4)
        assert p.reference_error == pytest.approx(relative(y, truth), rel=1e-3)
        assert p.quantisation + p.asynchrony == pytest.approx(curve.ann - p.value, abs=1e-5)
        assert p.asynchrony == pytest.approx(p.reference - p.value, abs=1e-5)


def test_shifted_values_are_found_from_the_known_ones(tmp_path: Path) -> None:
    graph = """
    g (float[N, 5] x) => (float[N, 3] y) {
      low = Constant<value_float: float = -0.5>() high = Constant<value_float: float = 0.75>()
      a = Gemm(x, w, b) p = Clip(a, low, high) y = Gemm(p, u)
    }
    """
    model = parsed(graph, w=WEIGHTS["w"], b=WEIGHTS["b"], u=normal(9, 9, 3))
    x = normal(5, 40, 5)
    opened = open_bundle(bundle(tmp_path, model, dataset(x=x), timesteps=32, method="dnisnm"))
    line = next(layer for layer in report_of(opened).layers if layer.name == "p.clipped")
    a = np.clip(x @ WEIGHTS["w"] + WEIGHTS["b"], -0.5, 0.75) + 0.5
    assert line.cumulative is not None
    assert line.cumulative < 0.01
    assert line.histogram.zero == (a <= 1e-7).sum()
