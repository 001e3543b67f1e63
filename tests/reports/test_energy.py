# SPDX-License-Identifier: Apache-2.0
"""The energy models on a network that can be counted by hand."""

import math
from pathlib import Path

import pytest
from small_reports import bundle

from small_models import dataset, normal, parsed
from snncc.bundles.bundle import open_bundle
from snncc.reports.document import report_of
from snncc.reports.energy import dense_operations, equivalent_bits, product


@pytest.mark.parametrize(
    ("steps", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (15, 4), (16, 5), (255, 8)]
)
def test_bits(steps: int, bits: int) -> None:
    assert equivalent_bits(steps) == bits
    assert 2**bits >= steps + 1 > 2 ** (bits - 1)


def test_products_scale_with_both_widths() -> None:
    assert product(32, 32) == pytest.approx(3.1)
    assert product(8, 8) == pytest.approx(0.2, rel=0.04)  # Horowitz's table
    assert product(4, 8) == product(8, 8) / 2


def test_models_by_hand(tmp_path: Path) -> None:
    graph = (
        "g (float[N, 4] x) => (float[N, 2] y) { a = Gemm(x, w) p = Relu(a) c = Gemm(p, v) q = Relu(c) y = Gemm(q, u) }"
    )
    model = parsed(graph, w=normal(1, 4, 6), v=normal(2, 6, 5), u=normal(3, 5, 2))
    opened = open_bundle(bundle(tmp_path, model, dataset(x=normal(4, 32, 4)), timesteps=8))
    report = report_of(opened)
    e = report.energy
    spikes = {layer.name: layer.positive for layer in report.layers if layer.thresholds}
    additions = spikes["p"] * 5 + spikes["q"] * 2
    assert e.additions == pytest.approx(additions, rel=1e-5)
    assert (e.bits, e.graded, e.dense, e.updates) == (4, 0, 24, 11 * 8)
    assert e.multiply_accumulates == 24 + 30 + 10
    models = {m.name: m for m in e.models}
    per_mac = 3.1 * 64 / 1024 + 0.1
    assert models["integer"].snn == pytest.approx(0.1 * additions + per_mac * 24, rel=1e-4)
    assert models["integer"].ann == pytest.approx(64 * per_mac, rel=1e-4)
    assert models["integer"].quantised == pytest.approx(64 * (3.1 * 32 / 1024 + 0.1), rel=1e-4)
    bits = additions * 72 + 88 * 64 + 24 * 16
    traffic, whole = models["memory traffic"], models["integer and memory"]
    assert (traffic.snn, traffic.ann, traffic.quantised) == pytest.approx((bits, 64 * 16, 64 * 12), rel=1e-5)
    assert whole.snn == pytest.approx(models["integer"].snn + bits * 20 / 64, rel=1e-4)
    assert whole.quantised == pytest.approx(models["integer"].quantised + 64 * 12 * 20 / 64, rel=1e-4)
    assert all(m.source and m.formula and math.isfinite(m.snn) for m in e.models)


def test_functions_emit_values_and_what_no_spike_reaches_is_computed_once(tmp_path: Path) -> None:
    graph = """
    g (float[N, 4] x) => (float[N, 2] y) {
      a = Gemm(x, w) f = Sigmoid(a) c = Gemm(f, v) p = Relu(c) d = Gemm(p, t) s = Sigmoid(d) e = Gemm(s, t) q = Relu(e)
      y = Gemm(q, u)
    }
    """
    model = parsed(graph, w=normal(1, 4, 6), v=normal(2, 6, 5), t=normal(3, 5, 5), u=normal(4, 5, 2))
    opened = open_bundle(bundle(tmp_path, model, dataset(x=normal(5, 32, 4)), timesteps=8))
    e, lines = report_of(opened).energy, {layer.name: layer for layer in report_of(opened).layers}
    assert dense_operations(opened.network, 8) == 24 + 30
    assert lines["s"].synaptic_operations > 0
    assert e.graded == pytest.approx(lines["s"].synaptic_operations, rel=1e-5)
    assert e.additions == pytest.approx(lines["p"].synaptic_operations + lines["q"].synaptic_operations, rel=1e-5)
