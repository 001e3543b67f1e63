# SPDX-License-Identifier: Apache-2.0
"""Spiking networks from a few lines, all numbers small multiples of 1/8: every sum is exact in any order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.execute import reference
from snncc.ir.check import check
from snncc.ir.network import Network, frozen
from snncc.ir.nodes import (
    Affine,
    AveragePool,
    CentredIF,
    Concat,
    Conv,
    Differential,
    Input,
    LeakyIF,
    Linear,
    MaxPool,
    Neuron,
    Node,
    Pad,
    Reduce,
    Reshape,
    SignedIF,
    Slice,
    Sum,
)
from snncc.ir.schedule import Schedule


def eighths(rng: np.random.Generator, shape: tuple[int, ...], largest: int = 4) -> np.ndarray:
    """Random multiples of 1/8."""
    return frozen(rng.integers(-largest, largest + 1, shape).astype(np.float32) / 8)


@dataclass(slots=True)
class Chain:
    """Nodes one after the other; a method adds one and returns its name."""

    shape: tuple[int, ...]
    schedule: Schedule = field(default_factory=Schedule)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    nodes: list[Node] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes.append(Input(name="x", shape=(1, *self.shape), batch=0))

    def shape_of(self, name: str) -> tuple[int, ...]:
        return next(node.shape for node in self.nodes if node.name == name)

    def array(self, name: str, value: np.ndarray) -> str:
        self.arrays[name] = frozen(value)
        return name

    def add(self, kind: Any, sources: str | tuple[str, ...], **fields: Any) -> str:
        """A node whose shape the reference finds out."""
        sources = (sources,) if isinstance(sources, str) else sources
        name = f"n{len(self.nodes)}"
        inputs = [np.zeros(self.shape_of(source), np.float32) for source in sources]
        shape = fields.pop("shape", (1,))
        node = kind(name=name, inputs=sources, shape=shape, batch=0, **fields)
        if not isinstance(node, Neuron):
            found = reference.evaluate_function(node, inputs, self.arrays, 1.0).shape
            node = kind(name=name, inputs=sources, shape=found, batch=0, **fields)
        self.nodes.append(node)
        return name

    def conv(self, source: str, out: int, kernel: int | tuple[int, ...] = 3, groups: int = 1, **fields: Any) -> str:
        """A convolution that keeps the extents unless told otherwise."""
        shape = self.shape_of(source)
        rank = len(shape) - 2
        kernel = (kernel,) * rank if isinstance(kernel, int) else kernel
        defaults = {"stride": (1,) * rank, "dilation": (1,) * rank, "padding": tuple(k // 2 for k in kernel) * 2}
        name = f"n{len(self.nodes)}"
        weight = self.array(f"{name}.w", eighths(self.rng, (out, shape[1] // groups, *kernel)))
        bias = self.array(f"{name}.b", eighths(self.rng, (out,)))
        return self.add(Conv, source, weight=weight, bias=bias, groups=groups, **(defaults | fields))

    def linear(self, source: str, out: int) -> str:
        name = f"n{len(self.nodes)}"
        weight = self.array(f"{name}.w", eighths(self.rng, (out, self.shape_of(source)[1])))
        return self.add(Linear, source, weight=weight, bias=self.array(f"{name}.b", eighths(self.rng, (out,))), axis=1)

    def flat(self, source: str) -> str:
        return self.add(Reshape, source, shape=(1, int(np.prod(self.shape_of(source)))))

    def neuron(self, source: str, kind: Any = SignedIF, per: str = "channel", scale: float = 1.0, **fields: Any) -> str:
        """Neurons with thresholds of 2 to 6 eighths; one of them never fires."""
        shape = self.shape_of(source)
        extents = shape if per == "neuron" else (1, shape[1], *[1] * (len(shape) - 2))
        name = f"n{len(self.nodes)}"
        threshold = (scale * self.rng.integers(2, 7, extents) / 8).astype(np.float32)
        threshold.flat[-1] = 0
        amplitude = (self.rng.integers(2, 7, extents) / 8).astype(np.float32)
        arrays = {"threshold": threshold, "amplitude": amplitude, "v_init": threshold / 2}
        names = {key: self.array(f"{name}.{key}", value) for key, value in arrays.items()}
        if kind is SignedIF:
            fields.setdefault("negative", "early")
        if kind is LeakyIF:
            fields["slope"] = self.array(f"{name}.slope", (self.rng.integers(-2, 5, extents) / 4).astype(np.float32))
        if kind is CentredIF:  # `until` a power of two: rates are exact
            centre = (self.rng.integers(0, 4, extents) * (threshold > 0)).astype(np.float32)
            fields["centre"] = self.array(f"{name}.centre", centre)
        return self.add(kind, source, shape=shape, **names, **fields)

    def max_pool(self, source: str, kernel: int = 2, stride: int = 2, padding: int = 0, dilation: int = 1) -> str:
        rank = len(self.shape_of(source)) - 2
        name = f"n{len(self.nodes)}"
        function = MaxPool(
            name=name,
            inputs=(source,),
            shape=(1,),
            batch=0,
            kernel=(kernel,) * rank,
            stride=(stride,) * rank,
            padding=(padding,) * (2 * rank),
            dilation=(dilation,) * rank,
            ceil_mode=False,
        )
        return self.add(Differential, source, function=function, low=(None,), high=(None,), nonzero=(0.0,))

    def average(self, source: str, kernel: int = 2) -> str:
        rank = len(self.shape_of(source)) - 2
        same: dict[str, Any] = {"kernel": (kernel,) * rank, "stride": (kernel,) * rank, "dilation": (1,) * rank}
        return self.add(AveragePool, source, padding=(0,) * (2 * rank), ceil_mode=False, count_include_pad=True, **same)

    def sum(self, *sources: str, coefficients: tuple[float, ...] | None = None) -> str:
        return self.add(Sum, sources, coefficients=coefficients or (1.0,) * len(sources))

    def concat(self, *sources: str) -> str:
        return self.add(Concat, sources, axis=1)

    def every_second(self, source: str, axis: int) -> str:
        shape = list(self.shape_of(source))
        shape[axis] = -(-shape[axis] // 2)
        node = Slice(
            name=f"n{len(self.nodes)}", inputs=(source,), shape=tuple(shape), batch=0, axis=axis, start=0, step=2
        )
        self.nodes.append(node)
        return node.name

    def more_channels(self, source: str, begin: int, end: int) -> str:
        rank = len(self.shape_of(source))
        padding = (0, begin, *[0] * (rank - 2), 0, end, *[0] * (rank - 2))
        return self.add(Pad, source, padding=padding, mode="constant")

    def affine(self, source: str) -> str:
        channels = self.shape_of(source)[1]
        shape = (1, channels, *[1] * (len(self.shape_of(source)) - 2))
        name = f"n{len(self.nodes)}"
        scale, shift = (self.array(f"{name}.{part}", eighths(self.rng, shape)) for part in ("scale", "shift"))
        return self.add(Affine, source, scale=scale, shift=shift)

    def mean(self, source: str) -> str:
        return self.add(Reduce, source, op="mean", axes=tuple(range(2, len(self.shape_of(source)))), keepdims=True)

    def network(self, *outputs: str) -> Network:
        """The finished network; the outputs are read behind a last convolution or as they are."""
        net = Network(
            nodes=tuple(self.nodes), outputs=outputs, arrays=self.arrays, schedule=self.schedule, stage="snn"
        ).pruned()
        check(net, "building")
        return net


def samples(net: Network, count: int = 3, seed: int = 5) -> dict[str, np.ndarray]:
    """Random inputs, multiples of 1/8."""
    rng = np.random.default_rng(seed)
    return {"x": np.array(eighths(rng, (count, *net["x"].shape[1:]), 12))}
