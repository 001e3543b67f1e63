# SPDX-License-Identifier: Apache-2.0
"""The loss by layer: substitution finds the layer that was broken, and what it costs."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from small_reports import bundle, chain, residual

from snncc.bundles.bundle import Bundle, open_bundle
from snncc.reports.attribution import attribute, layers_of, runs_of, substituted
from snncc.reports.document import report_of
from snncc.reports.summary import concluded


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A chain whose second layer has a threshold twenty times too large."""
    opened = open_bundle(bundle(tmp_path_factory.mktemp("broken"), *chain(), method="dnisnm", timesteps=32))
    arrays = {name: opened.network.arrays[name] * 20 for name in ("r/threshold", "r/v_init")}
    return replace(opened, network=opened.network.with_arrays(arrays))


def test_the_broken_layer_costs_the_loss(broken: Bundle) -> None:
    truth = broken.truth()
    found = attribute(broken.network, truth, broken.samples(truth), timesteps=8)
    by_name = {line.layer: line for line in found.layers}
    assert found.metric == "accuracy"
    assert found.ann == 1
    assert max(found.layers, key=lambda line: line.cost).layer == "r"
    assert by_name["r"].cost > 0.5 * (found.ann - found.snn) > 0.05
    assert by_name["r"].regained == pytest.approx(by_name["p"].cost + by_name["r"].cost, abs=1e-5)  # a chain
    assert sum(line.cost for line in found.layers) == pytest.approx(1 - found.snn, abs=1e-5)
    assert found.layers[-1].error == pytest.approx(0, abs=1e-10)
    made = concluded(msgspec.structs.replace(report_of(broken), attribution=found), broken.manifest)
    assert made.advice[0].layer == "r"
    assert " points of accuracy lost" in made.advice[0].finding


def test_chains_need_one_simulation_per_layer(broken: Bundle) -> None:
    assert layers_of(broken.network) == ("p", "r", "s")
    assert runs_of(broken.network) == 4


def test_in_a_residual_network_one_layer_alone_is_another_experiment(tmp_path: Path) -> None:
    opened = open_bundle(bundle(tmp_path, *residual(2), method="dnisnm"))
    net, truth = opened.network, opened.truth()
    assert layers_of(net) == ("r0", "p0", "q0", "p1", "q1")
    inner = substituted(net, {"p0"})
    assert [n.name for n in inner.inputs] == ["x", "p0"]
    assert "r0" in inner.by_name
    assert "a0" not in inner.by_name
    found = attribute(net, truth, opened.samples(truth), timesteps=4)
    assert found.runs == 8  # the plain one, five up to each layer, two inside the blocks alone
    assert all(np.isfinite([line.cost, line.regained, line.error]).all() for line in found.layers)
