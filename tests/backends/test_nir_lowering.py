# SPDX-License-Identifier: Apache-2.0
"""What NIR cannot say is named, all of it at once; each lowering does what its name says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from nir_networks import BOTH, FLAT, IMAGES, fires, residual
from spiking_networks import Sketch, adaptive, analog, images

from snncc.backends.nir.lowering import LOWERINGS, applied, neuron_needs, reasons, sayable, with_unit_thresholds
from snncc.cli.options import LOWERINGS as OFFERED
from snncc.errors import EmitError
from snncc.execute import reference
from snncc.ir.network import Network
from snncc.ir.nodes import (
    IF,
    Affine,
    Concat,
    Constant,
    Conv,
    Encoder,
    Input,
    Linear,
    Pad,
    Reshape,
    SignedIF,
    Sum,
    Transpose,
)
from snncc.ir.schedule import Schedule


def image(*shape: int) -> Sketch:
    s = Sketch()
    s.add(Input, "x", [], shape or (1, 2, 4, 4))
    return s


def asymmetric(s: Sketch) -> None:
    window = {"stride": (1, 1), "dilation": (1, 1), "padding": (0, 0, 1, 1)}
    s.add(Conv, "y", ["x"], (1, 2, 4, 4), weight=s.array("w", 2, 2, 2, 2), **window)


def oblong(s: Sketch) -> None:
    window = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 0, 1, 0)}
    s.add(Conv, "y", ["x"], (1, 2, 4, 4), weight=s.array("w", 2, 2, 3, 1), **window)


def shifted(s: Sketch) -> None:
    s.add(Affine, "y", ["x"], (1, 2, 4, 4), shift=s.array("s", 2, 1, 1))


def constant(s: Sketch) -> None:
    s.add(Constant, "k", [], (1, 2, 4, 4), batch=None, value=s.array("k/v", 1, 2, 4, 4))
    s.add(Sum, "y", ["x", "k"], (1, 2, 4, 4), coefficients=(1.0, 1.0))


def encoded(s: Sketch) -> None:
    s.add(Encoder, "y", ["x"], (1, 2, 4, 4), kind="uniform", scale=s.array("e", 1))


CASES: dict[str, Callable[[Sketch], Any]] = {
    "pads both ends alike": asymmetric,
    "square kernels": oblong,
    "adds constants in products": shifted,
    "no constants": constant,
    "is not encoded": encoded,
    "one axis of several": lambda s: s.linear("y", "x", (1, 2, 4, 3), 4, axis=3),
    "no Transpose": lambda s: s.add(Transpose, "y", ["x"], (1, 4, 4, 2), permutation=(0, 2, 3, 1)),
    "no Concat": lambda s: s.add(Concat, "y", ["x", "x"], (1, 4, 4, 4), axis=1),
    "no Pad": lambda s: s.add(Pad, "y", ["x"], (1, 2, 5, 4), padding=(0, 0, 1, 0, 0, 0, 0, 0), mode="constant"),
}


@pytest.mark.parametrize("reason", CASES)
def test_refused(reason: str) -> None:
    s = image()
    CASES[reason](s)
    with pytest.raises(EmitError, match=reason):
        sayable(s.network("y"), tuple(LOWERINGS))


def test_constants_go_into_weights() -> None:
    """Behind a convolution and a product that nothing else reads; vectors elsewhere are multiplied by a diagonal."""
    s = image()
    s.add(Conv, "a", ["x"], (1, 3, 4, 4), weight=s.array("w", 3, 2, 3, 3), bias=s.array("b", 3), **FLAT)
    s.add(Affine, "b", ["a"], (1, 3, 4, 4), scale=s.array("b/s", 3, 1, 1), shift=s.array("b/t", 1, 3, 1, 1))
    s.add(Affine, "c", ["b"], (1, 3, 4, 4), shift=s.array("c/t", 1))
    s.add(Reshape, "d", ["c"], (1, 48))
    s.add(Affine, "e", ["d"], (1, 48), scale=s.array("e/s", 48), shift=s.array("e/t", 48))
    s.linear("f", "e", (1, 2), 48, bias=False)
    s.add(Affine, "y", ["f"], (1, 2), shift=s.array("y/t", 2))
    net = s.network("y")
    made = sayable(net, ())
    assert [type(node) for node in made.nodes] == [Input, Conv, Reshape, Linear, Linear]
    feeds = {"x": IMAGES["x"][:, :, :4, :4]}
    for before, after in zip(reference.run(net, feeds, 2), reference.run(made, feeds, 2), strict=True):
        np.testing.assert_allclose(after["y"], before["y"], rtol=1e-5, atol=1e-5)


def test_all_reasons_at_once() -> None:
    net = images(Schedule(kind="once"))
    found = reasons(net, ())
    text = "\n".join(found)
    for part in ("biases never end", "MaxPool: m1", "Pad: p1", "ConvTranspose: t1", "LeakyIF neuron: s2", "Concat: j1"):
        assert part in text
    for lowering in ("unsigned", "zero-start", "hard-reset", "strict-threshold"):
        assert f"(--allow {lowering}): s1" in text
    with pytest.raises(EmitError, match=f"for {len(found)} reasons"):
        sayable(net, ())
    assert "NIR has no AdaptiveIF neuron: spikes2" in "\n".join(reasons(adaptive(), ()))
    assert "this one is static: power" in "\n".join(reasons(analog(), ()))


def test_thresholds_per_neuron_cannot_pass_a_convolution() -> None:
    s = image()
    s.add(Conv, "a", ["x"], (1, 2, 4, 4), weight=s.array("w", 2, 2, 3, 3), **FLAT)
    s.neuron(IF, "b", "a", (1, 2, 4, 4))
    s.add(Conv, "y", ["b"], (1, 2, 4, 4), weight=s.array("v", 2, 2, 3, 3), **FLAT)
    with pytest.raises(EmitError, match="spikes are ones: y"):
        sayable(s.network("y"), tuple(LOWERINGS))


def test_the_command_line_offers_every_lowering() -> None:
    assert tuple(LOWERINGS) == OFFERED


def single(kind: Any, **more: Any) -> Network:
    s = image(1, 3)
    fires(s, "z", "x", (1, 3), kind=kind, v_init=s.array("v", 3), **more)
    return s.network("z")


@pytest.mark.parametrize(
    ("net", "needs"),
    [
        (single(IF, reset="zero", burst=2), ["single-spike", "zero-start", "strict-threshold"]),
        (single(IF), ["zero-start", "hard-reset", "strict-threshold"]),
        (
            single(SignedIF, negative="early", levels=3),
            ["single-spike", "unsigned", "zero-start", "hard-reset", "strict-threshold"],
        ),
    ],
)
def test_lowerings_one_by_one(net: Network, needs: list[str]) -> None:
    assert list(neuron_needs(net, net["z"])) == needs
    for i, lowering in enumerate(needs[:-1]):
        net = applied(net, lowering)
        assert list(neuron_needs(net, net["z"])) == needs[i + 1 :]
    assert net["z"] == msgspec.structs.replace(single(IF)["z"], reset="zero")
    assert not net.arrays["v"].any()


def test_unit_thresholds_keep_every_spike() -> None:
    """Weights absorb the thresholds where they can, elsewhere the current is multiplied; never means never."""
    net = applied(sayable(residual(), BOTH), "hard-reset")
    unit = with_unit_thresholds(net)
    neurons = [node for node in unit.nodes if isinstance(node, IF)]
    assert all(unit.arrays[node.threshold].tolist() == 1 for node in neurons)
    steps = zip(reference.run(net, IMAGES, 10), reference.run(unit, IMAGES, 10), strict=True)
    for before, after in steps:
        for node in neurons:
            assert np.array_equal(before[node.name], after[node.name])
            assert not after[node.name].reshape(3, -1)[:, 0].any()


def test_weights_absorb_thresholds_per_channel() -> None:
    s = image(1, 3)
    s.linear("a", "x", (1, 4), 3)
    fires(s, "z", "a", (1, 4))
    net = with_unit_thresholds(s.network("z"))
    assert [type(node) for node in net.nodes] == [Input, Linear, IF]
    threshold = s.arrays["z/threshold"][0]
    want = s.arrays["a/weight"][1:] / threshold[1:, None]
    np.testing.assert_allclose(net.arrays[net["a"].weight][1:], want, rtol=1e-6)  # type: ignore[attr-defined]
    assert not net.arrays[net["a"].weight][0].any()  # type: ignore[attr-defined]
