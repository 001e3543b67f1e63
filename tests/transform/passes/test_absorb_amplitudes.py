# SPDX-License-Identifier: Apache-2.0
"""`absorb_amplitudes`: the same spikes with the value 1, or a refusal that says what would do."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import lowered, normal, parsed
from snncc.errors import EmitError
from snncc.execute.torch.engine import Engine
from snncc.ir.network import Network
from snncc.ir.nodes import LeakyIF, Linear, Neuron, Node, Sum
from snncc.transform.passes.absorb_amplitudes import with_unit_spikes

sys.path.insert(0, str(Path(__file__).parents[2] / "integer"))
from small_networks import NEURONS as KINDS
from small_networks import images, plain, samples


def spikes(net: Network, x: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Spikes by neuron in units of the amplitude, and the output."""
    found: dict[str, np.ndarray] = {}

    def see(node: Node, series: torch.Tensor) -> None:
        if isinstance(node, Neuron):
            amplitude = net.arrays[node.amplitude].astype(np.float64)
            value = series.numpy()
            found[node.name] = np.rint(np.divide(value, amplitude, out=np.zeros_like(value), where=amplitude != 0))

    run = Engine(net, dtype=torch.float64).run({"x": x}, 12, observe=see, count=False)
    return found, run.outputs[net.outputs[0]][0].numpy()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_same_spikes_and_outputs(kind: str) -> None:
    net = images(kind, seed=3)
    unit = with_unit_spikes(net)
    assert all(unit.arrays[n.amplitude].tolist() == 1 for n in unit.nodes if isinstance(n, Neuron))
    x = samples(net, 30).inputs["x"]
    (before, y), (after, z) = spikes(net, x), spikes(unit, x)
    moved = sum(int((before[name] != after[name]).sum()) for name in before)
    assert moved <= 1e-3 * sum(series.size for series in before.values())  # a tie may be rounded to the other side
    assert np.abs(y - z).max() <= (1e-5 if moved == 0 else 0.1) * np.abs(y).max()


def test_shortcuts_get_their_own_factor() -> None:
    unit = with_unit_spikes(images("early"))
    shortcut = next(n for n in unit.nodes if isinstance(n, Sum) and n.name == "a1").inputs[1]
    assert np.array_equal(unit.arrays[f"{shortcut}/scale"], images("early").arrays["n0/amplitude"])


def per_neuron(net: Network, name: str) -> Network:
    """The network with a threshold per neuron in one layer."""
    shape = net[name].shape
    theta = np.random.default_rng(0).uniform(0.2, 0.5, shape).astype(np.float32)
    return net.with_arrays({f"{name}/{key}": theta for key in ("threshold", "amplitude")})


@pytest.mark.parametrize(("neuron", "reader"), [("n0", "c1"), ("n1", "m"), ("n2", "v")])
def test_refuses_thresholds_per_neuron_through_shared_weights(neuron: str, reader: str) -> None:
    with pytest.raises(EmitError, match=rf"^{reader}: .*per neuron.*--granularity channel"):
        with_unit_spikes(per_neuron(images("early"), neuron))


def test_takes_thresholds_per_neuron_into_a_linear_layer() -> None:
    net = per_neuron(plain("early"), "n")
    unit = with_unit_spikes(net)
    node = next(n for n in unit.nodes if n.name == "y")
    assert isinstance(node, Linear)
    assert unit.arrays[node.weight] == pytest.approx(net.arrays["y/weight"] * net.arrays["n/amplitude"])


def test_refuses_neurons_whose_events_carry_values() -> None:
    net = plain("early")
    names = {key: f"n/{key}" for key in ("threshold", "amplitude", "v_init")}
    leaky = LeakyIF(name="n", inputs=("c",), shape=(1, 4), batch=0, slope="n/v_init", **names)
    with pytest.raises(EmitError, match="n: LeakyIF neurons"):
        with_unit_spikes(net.replaced([leaky]))


def test_firing_outputs_keep_their_unit() -> None:
    net = plain("early")
    fired = Network(nodes=net.nodes[:-1], outputs=("n",), arrays=net.arrays, stage="snn").pruned()
    x = samples(net, 20).inputs["x"]
    unit = with_unit_spikes(fired)
    assert unit.outputs == ("n",)
    assert Engine(unit).run({"x": x}, 8).outputs["n"][0].numpy() == pytest.approx(
        Engine(fired).run({"x": x}, 8).outputs["n"][0].numpy(), abs=1e-6
    )


def test_in_a_recipe() -> None:
    model = parsed(
        "g (float[N, 3] x) => (float[N, 2] y) { a = Gemm(x, w) b = Relu(a) y = Gemm(b, v) }",
        w=normal(0, 3, 4),
        v=normal(1, 4, 2),
    )
    from small_models import dataset

    case = lowered(model, dataset(x=normal(2, 20, 3)))
    case.spiking()
    case.apply("balance_thresholds", granularity="neuron")
    case.apply("initialize_membrane")
    unit = case.apply("absorb_amplitudes")
    assert all(unit.arrays[n.amplitude].tolist() == 1 for n in unit.nodes if isinstance(n, Neuron))
