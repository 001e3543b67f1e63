# SPDX-License-Identifier: Apache-2.0
"""NIR files read back by an interpreter of NIR's rules, which is compared with the network and with sums by hand."""

from __future__ import annotations

import sys

import nir
import numpy as np
import pytest
from nir_networks import BOTH, IMAGES, residual, series
from spiking_networks import normal

from snncc.backends.nir.graph import NEVER, nir_bytes, nir_graph, package
from snncc.backends.nir.interpreter import NirMachine, read
from snncc.backends.nir.lowering import applied, sayable
from snncc.errors import UsageError
from snncc.execute import reference
from snncc.ir.network import Network
from snncc.ir.nodes import IF

T = 12


def lowered(net: Network) -> Network:
    return applied(sayable(net, BOTH), "hard-reset")


@pytest.mark.parametrize(
    ("net", "feeds"),
    [(residual(), IMAGES), (series(), {"x": np.abs(normal(3, 2, 9))})],
    ids=["residual", "series"],
)
def test_the_file_means_the_network(net: Network, feeds: dict[str, np.ndarray]) -> None:
    """With hard resets and no potential at its threshold, NIR's rules are those of the network: spike for spike."""
    low = lowered(net)
    graph, values = nir_graph(low)
    machine, names = NirMachine(read(nir_bytes(graph)), feeds), {value: name for name, value in values.items()}
    spikes = 0.0
    for step in reference.run(low, feeds, T, np.float32):
        found = machine.step()
        for node in low.nodes:
            if isinstance(node, IF):
                np.testing.assert_array_equal(found[names[node.name]], step[node.name])
                spikes += float(step[node.name].sum())
        for output in low.outputs:
            np.testing.assert_allclose(found[names[f"{output}.output"]], step[output], rtol=1e-4, atol=1e-5)
    assert spikes > 100


def test_the_neuron_by_hand() -> None:
    """v = 0.5, 1.0 (at the threshold: silent), 1.5 (fires, and is set to 0.25), 0.75, 1.25 (fires)."""
    neuron = nir.IF(r=np.array([2.0]), v_threshold=np.array([1.0]), v_reset=np.array([0.25]))
    graph = nir.NIRGraph(
        nodes={"x": nir.Input(np.array([1])), "n": neuron, "y": nir.Output(np.array([1]))},
        edges=[("x", "n"), ("n", "y")],
    )
    machine = NirMachine(read(nir_bytes(graph)), {"x": np.array([[0.25]])})
    seen = [(float(machine.step()["y"][0, 0]), float(machine.potentials["n"][0, 0])) for _ in range(5)]
    assert seen == [(0, 0.5), (0, 1.0), (1, 0.25), (0, 0.75), (1, 0.25)]


def test_nodes_by_hand() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    nodes = {
        "x": nir.Input(np.array([1, 4, 4])),
        "sum": nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "mean": nir.AvgPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([1, 1])),
        "flat": nir.Flatten(np.array([1, 2, 2]), start_dim=0),
        "times": nir.Linear(np.eye(4)[::-1].copy()),
        "plus": nir.Scale(np.array([1.0, 2.0, 3.0, 4.0])),
        "y": nir.Output(np.array([4])),
    }
    edges = [("x", "sum"), ("x", "mean"), ("sum", "flat"), ("flat", "times"), ("flat", "plus"), ("times", "y")]
    graph = nir.NIRGraph(nodes=nodes, edges=[*edges, ("plus", "y")], type_check=False)
    found = NirMachine(graph, {"x": x}).step()
    assert found["sum"].tolist() == [[[[10, 18], [42, 50]]]]
    assert found["mean"].tolist() == [[[[0, 0.75, 0.75], [3, 7.5, 4.5], [3, 6.75, 3.75]]]]
    assert found["y"].tolist() == [[50 + 10, 42 + 36, 18 + 126, 10 + 200]]


def test_thresholds_per_neuron_and_neurons_that_never_fire() -> None:
    graph, values = nir_graph(lowered(residual()))
    name = next(name for name, value in values.items() if value == "/a/relu")
    neuron = graph.nodes[name]
    assert neuron.v_threshold.shape == (4, 6, 6)
    assert neuron.v_threshold[0, 0, 0] == np.float32(NEVER)
    assert len(np.unique(neuron.v_threshold)) == neuron.v_threshold.size


def test_names_are_identifiers_and_the_bytes_are_the_same() -> None:
    graph, values = nir_graph(lowered(residual()))
    assert all(name.isidentifier() for name in graph.nodes)
    assert values["a_relu"] == "/a/relu"
    again, _ = nir_graph(lowered(residual()))
    assert nir_bytes(graph) == nir_bytes(again)


def test_the_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(UsageError, match=r"pip install 'snncc\[nir\]'"):
        package()
