# SPDX-License-Identifier: Apache-2.0
"""Small spiking networks with one threshold per channel, for the integer lowering."""

from __future__ import annotations

from typing import Any

import numpy as np

from small_models import dataset
from snncc.conversion.shapes import check_shapes
from snncc.data.dataset import Dataset
from snncc.ir.check import check
from snncc.ir.network import Network, frozen
from snncc.ir.nodes import (
    IF,
    Affine,
    AveragePool,
    Concat,
    Conv,
    Differential,
    Input,
    Linear,
    MaxPool,
    Node,
    Pad,
    Reduce,
    Reshape,
    SignedIF,
    Slice,
    Sum,
)
from snncc.ir.schedule import Schedule

NEURONS: dict[str, tuple[type[Node], dict[str, Any]]] = {
    "if": (IF, {}),
    "if_zero": (IF, {"reset": "zero"}),
    "if_burst": (IF, {"burst": 3}),
    "signed": (SignedIF, {"negative": "signed"}),
    "early": (SignedIF, {"negative": "early"}),
    "early_cap": (SignedIF, {"negative": "early", "cap": 3}),
    "early_levels": (SignedIF, {"negative": "early", "levels": 4}),
    "early_levels_cap": (SignedIF, {"negative": "early", "levels": 2, "cap": 5}),
}
WINDOW: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)}


class Small:
    """A network in the making, samples on axis 0."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.arrays: dict[str, np.ndarray] = {}

    def array(self, name: str, values: Any) -> str:
        self.arrays[name] = frozen(np.asarray(values, np.float32))
        return name

    def add(self, kind: Any, name: str, inputs: list[str], shape: tuple[int, ...], **more: Any) -> str:
        self.nodes.append(kind(name=name, inputs=tuple(inputs), shape=shape, batch=0, **more))
        return name

    def conv(self, name: str, source: str, shape: tuple[int, ...], size: tuple[int, ...], **more: Any) -> str:
        weight = self.array(f"{name}/weight", self.rng.standard_normal(size) / np.sqrt(np.prod(size[1:])))
        bias = self.array(f"{name}/bias", 0.1 * self.rng.standard_normal(shape[1]))
        return self.add(Conv, name, [source], shape, **{**WINDOW, "weight": weight, "bias": bias, **more})

    def linear(self, name: str, source: str, size: tuple[int, int]) -> str:
        weight = self.array(f"{name}/weight", self.rng.standard_normal(size) / np.sqrt(size[1]))
        bias = self.array(f"{name}/bias", 0.1 * self.rng.standard_normal(size[0]))
        return self.add(Linear, name, [source], (1, size[0]), weight=weight, bias=bias, axis=1)

    def neuron(self, name: str, source: str, shape: tuple[int, ...], kind: str, *, silent: bool = False) -> str:
        """One threshold per channel; the first channel never fires if `silent`."""
        theta = self.rng.uniform(0.2, 0.6, (1, shape[1], *[1] * (len(shape) - 2))).astype(np.float32)
        if silent:
            theta.flat[0] = 0
        for key, values in {"threshold": theta, "amplitude": theta * np.float32(1.3), "v_init": theta / 2}.items():
            self.array(f"{name}/{key}", values)
        neuron, options = NEURONS[kind]
        names = {key: f"{name}/{key}" for key in ("threshold", "amplitude", "v_init")}
        return self.add(neuron, name, [source], shape, **names, **options)

    def network(self, outputs: list[str], schedule: Schedule) -> Network:
        net = Network(
            nodes=tuple(self.nodes), outputs=tuple(outputs), arrays=self.arrays, schedule=schedule, stage="snn"
        )
        check(net, "building")
        check_shapes(net, "building")
        return net


def images(kind: str, *, seed: int = 0, schedule: Schedule | None = None, silent: bool = False) -> Network:
    """Two residual blocks (identity; 1x1 and padded shortcuts), concatenation, all pools, a read-out."""
    s = Small(seed)
    s.add(Input, "x", [], (1, 2, 6, 6))
    s.conv("c0", "x", (1, 4, 6, 6), (4, 2, 3, 3), padding=(1, 1, 1, 1))
    s.neuron("n0", "c0", (1, 4, 6, 6), kind, silent=silent)
    s.conv("c1", "n0", (1, 4, 6, 6), (4, 1, 3, 3), padding=(1, 1, 1, 1), groups=4)
    s.add(Sum, "a1", ["c1", "n0"], (1, 4, 6, 6), coefficients=(1.0, 1.0))
    s.neuron("n1", "a1", (1, 4, 6, 6), kind)
    pool: dict[str, Any] = {"stride": (2, 2), "padding": (0, 0, 0, 0), "dilation": (1, 1), "kernel": (2, 2)}
    function = MaxPool(name="m", inputs=("n1",), shape=(1, 4, 3, 3), batch=0, ceil_mode=False, **pool)
    s.add(Differential, "m", ["n1"], (1, 4, 3, 3), function=function, low=(None,), high=(None,), nonzero=(0.0,))
    s.conv("c2", "m", (1, 6, 3, 3), (6, 4, 3, 3), padding=(1, 1, 1, 1))
    s.conv("d2", "m", (1, 6, 3, 3), (6, 4, 1, 1))
    s.add(Pad, "p2", ["m"], (1, 6, 3, 3), padding=(0, 1, 0, 0, 0, 1, 0, 0), mode="constant")
    s.add(Sum, "a2", ["c2", "d2", "p2"], (1, 6, 3, 3), coefficients=(1.0, -0.5, 1.0))
    s.neuron("n2", "a2", (1, 6, 3, 3), kind)
    average: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "kernel": (2, 2)}
    s.add(AveragePool, "v", ["n2"], (1, 6, 4, 4), ceil_mode=False, count_include_pad=False, **average)
    s.conv("c3", "v", (1, 4, 2, 2), (4, 6, 3, 3))
    s.neuron("n3", "c3", (1, 4, 2, 2), kind)
    s.add(Slice, "s3", ["n2"], (1, 6, 3, 2), axis=3, start=0, step=2)
    s.add(Slice, "s4", ["s3"], (1, 6, 2, 2), axis=2, start=0, step=2)
    s.add(Concat, "k", ["n3", "s4"], (1, 10, 2, 2), axis=1)
    s.array("h/shift", np.full((1, 10, 1, 1), 0.07))
    s.add(Affine, "h", ["k"], (1, 10, 2, 2), shift="h/shift")
    s.add(Reduce, "g", ["h"], (1, 10), op="mean", axes=(2, 3), keepdims=False)
    s.linear("y", "g", (5, 10))
    return s.network(["y"], schedule or Schedule())


def plain(kind: str, *, seed: int = 0, schedule: Schedule | None = None) -> Network:
    """One fully connected layer, neurons, a read-out."""
    s = Small(seed)
    s.add(Input, "x", [], (1, 2, 3))
    s.add(Reshape, "f", ["x"], (1, 6))
    s.linear("c", "f", (4, 6))
    s.neuron("n", "c", (1, 4), kind)
    s.linear("y", "n", (3, 4))
    return s.network(["y"], schedule or Schedule())


def samples(network: Network, count: int = 16, seed: int = 1) -> Dataset:
    """Normal numbers for the network's input."""
    shape = (count, *network["x"].shape[1:])
    return dataset(x=np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
