# SPDX-License-Identifier: Apache-2.0
"""Integer networks built by hand from nodes of the IR, and random ones, for the tests of the C package."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.execute.reference import evaluate_function
from snncc.integer import IntegerNetwork
from snncc.integer.inputs import InputScale
from snncc.integer.widths import proved_widths
from snncc.ir.network import Network, frozen
from snncc.ir.nodes import (
    IF,
    Affine,
    Concat,
    Conv,
    Differential,
    Expand,
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
    Transpose,
)
from snncc.ir.schedule import Schedule

#: The largest magnitude of weights, by how they are packed.
LARGEST = {"int8": 127, "int4": 7, "ternary": 1}


def integer(network: Network, steps: int) -> IntegerNetwork:
    """A network with its proved widths; its input is not scaled."""
    return IntegerNetwork(
        network=network,
        widths=proved_widths(network, steps),
        input=InputScale(scale=(1.0,), zero_point=(0.0,)),
        output_scale=dict.fromkeys(network.outputs, 1.0),
        max_timesteps=steps,
    )


@dataclass
class Builder:
    """Adds nodes whose shapes follow from their inputs; weights, thresholds and initial potentials are random."""

    seed: int
    weights: str = "int8"
    nodes: list[Node] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.arrays["unit"] = np.ones((), np.int32)

    def shape(self, name: str) -> tuple[int, ...]:
        return next(node.shape for node in self.nodes if node.name == name)

    def array(self, name: str, low: int, high: int, shape: tuple[int, ...], dtype: Any = np.int32) -> str:
        self.arrays[name] = self.rng.integers(low, high + 1, shape).astype(dtype)
        return name

    def put(self, kind: type[Node], *inputs: str, name: str | None = None, **fields: Any) -> str:
        """Add a node; its shape is what its function makes of zeros."""
        name = name or f"v{len(self.nodes)}"
        common: dict[str, Any] = {"name": name, "inputs": inputs, "batch": 0, "dtype": "int32"}
        if "shape" not in fields:
            draft = kind(**common, shape=(1,), **fields)
            zeros = [np.zeros(self.shape(n)) for n in inputs]
            fields["shape"] = evaluate_function(draft, zeros, self.arrays, 1.0).shape
        self.nodes.append(kind(**common, **fields))
        return name

    def input(self, *shape: int, name: str = "image") -> str:
        self.nodes.append(Input(name=name, shape=(1, *shape), batch=0, dtype="uint8"))
        return name

    def conv(
        self, x: str, out: int, kernel: tuple[int, ...], *, groups: int = 1, bias: bool = True, **more: Any
    ) -> str:
        n, shape, name = len(kernel), self.shape(x), f"v{len(self.nodes)}"
        m = LARGEST[self.weights]
        fields: dict[str, Any] = {"stride": (1,) * n, "padding": (0,) * 2 * n, "dilation": (1,) * n} | more
        weight = self.array(f"{name}/w", -m, m, (out, shape[1] // groups, *kernel), np.int8)
        at = self.array(f"{name}/b", -50, 50, (out,)) if bias else None
        return self.put(Conv, x, weight=weight, bias=at, groups=groups, **fields)

    def linear(self, x: str, out: int, *, axis: int = 1, bias: bool = True) -> str:
        name, m = f"v{len(self.nodes)}", LARGEST[self.weights]
        weight = self.array(f"{name}/w", -m, m, (out, self.shape(x)[axis]), np.int8)
        at = self.array(f"{name}/b", -50, 50, (out,)) if bias else None
        return self.put(Linear, x, weight=weight, bias=at, axis=axis)

    def scaled(self, x: str, low: int, high: int, *, shift: bool = True) -> str:
        name, shape = f"v{len(self.nodes)}", self.shape(x)
        row = (1, shape[1], *[1] * (len(shape) - 2))
        at = self.array(f"{name}/shift", -20, 20, row) if shift else None
        return self.put(Affine, x, scale=self.array(f"{name}/scale", low, high, row), shift=at)

    def fire(self, x: str, kind: str = "early", *, threshold: int = 200, per: str = "channel", **more: Any) -> str:
        shape, name = self.shape(x), f"v{len(self.nodes)}"
        extents = {"layer": (), "channel": (1, shape[1], *[1] * (len(shape) - 2)), "neuron": shape}[per]
        theta = self.array(f"{name}/threshold", max(1, threshold // 2), threshold, extents)
        if extents and kind != "if":
            self.arrays[theta].flat[0] = 0  # a channel that never fires
        start = f"{name}/v"
        self.arrays[start] = (self.arrays[theta] // 2).astype(np.int32)
        fields: dict[str, Any] = {"threshold": theta, "v_init": start, "amplitude": "unit", "shape": shape} | more
        if kind == "if":
            return self.put(IF, x, **fields)
        return self.put(SignedIF, x, negative=kind, **fields)

    def pool(self, x: str, kernel: tuple[int, ...] = (2, 2), **more: Any) -> str:
        n = len(kernel)
        fields: dict[str, Any] = {"stride": kernel, "padding": (0,) * 2 * n, "dilation": (1,) * n, "ceil_mode": False}
        fields |= more
        name = f"v{len(self.nodes)}"
        inner = MaxPool(name=name, inputs=(x,), shape=(1,), batch=0, kernel=kernel, **fields)
        shape = evaluate_function(inner, [np.zeros(self.shape(x))], {}, 1.0).shape
        inner = MaxPool(name=name, inputs=(x,), shape=shape, batch=0, kernel=kernel, **fields)
        free: dict[str, Any] = {"low": (None,), "high": (None,), "nonzero": (0.0,)}
        return self.put(Differential, x, function=inner, shape=shape, **free)

    def flat(self, x: str) -> str:
        return self.put(Reshape, x, shape=(1, math.prod(self.shape(x))))

    def done(self, *outputs: str, **schedule: Any) -> Network:
        arrays = {name: frozen(a) for name, a in sorted(self.arrays.items())}
        net = Network(
            nodes=tuple(self.nodes), outputs=outputs, arrays=arrays, schedule=Schedule(**schedule), stage="integer"
        )
        return net.pruned()


def residual(**schedule: Any) -> Network:
    """Zero point, strides, a shortcut by Slice and Pad, scaled identity, max pooling, a sum over space, two outputs."""
    b = Builder(1)
    b.arrays["zero point"] = np.asarray(-100, np.int32)
    x = b.put(Affine, b.input(3, 9, 8), shift="zero point", scale=None)
    s = b.fire(b.conv(x, 6, (3, 3), padding=(1, 1, 1, 1)), threshold=9000)
    t = b.fire(b.conv(s, 8, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1)))
    even = b.put(
        Slice, b.put(Slice, s, axis=2, start=0, step=2, shape=(1, 6, 5, 8)), axis=3, start=0, step=2, shape=(1, 6, 5, 4)
    )
    short = b.put(Pad, even, padding=(0, 1, 0, 0, 0, 1, 0, 0), mode="constant")
    branch = b.scaled(b.conv(t, 8, (3, 3), padding=(1, 1, 1, 1), bias=False), 1, 9)
    u = b.fire(b.put(Sum, branch, b.scaled(short, 1, 300, shift=False), coefficients=(1.0, -1.0)), threshold=900)
    v = b.fire(b.put(Sum, u, b.conv(u, 8, (1, 1), bias=False), coefficients=(1.0, 1.0)), "signed")
    p = b.pool(v, (2, 2), stride=(1, 1), padding=(1, 1, 0, 0))
    mean = b.put(Reduce, p, op="sum", axes=(2, 3), keepdims=False)
    return b.done(b.linear(mean, 5), p, **schedule)


def layouts() -> Network:
    """Transposes, concatenation, groups, dilations, a flip, vectors along an axis, an Expand, padding by a value."""
    b = Builder(2, "int4")
    x = b.put(Transpose, b.input(6, 7, 4), permutation=(0, 3, 1, 2))
    x = b.put(Pad, x, padding=(0, 0, 1, 0, 0, 0, 0, 1), mode="constant", value=7.0)
    s = b.fire(b.conv(x, 8, (3, 2), dilation=(1, 2), groups=2), "if", threshold=3000, burst=3)
    t = b.fire(b.conv(s, 16, (2, 2), groups=8), "early", levels=3, cap=6)
    part = b.put(
        Slice,
        b.put(Slice, s, axis=2, start=3, step=-1, shape=(1, 8, 4, 6)),
        axis=3,
        start=1,
        step=1,
        shape=(1, 8, 4, 5),
    )
    both = b.put(Concat, t, part, axis=1)
    flipped = b.put(Transpose, both, permutation=(0, 1, 3, 2))
    u = b.fire(b.conv(b.put(Pad, flipped, padding=(0, 0, 0, 1, 0, 0, 0, 0), mode="edge"), 4, (3, 3)), per="neuron")
    rows = b.put(Reshape, u, shape=(1, 4, math.prod(b.shape(u)[2:])))
    w = b.fire(b.linear(rows, 5, axis=2), "signed")
    column = b.put(Reduce, w, op="sum", axes=(1,), keepdims=True)
    y = b.put(Sum, b.put(Expand, column, shape=(1, 4, 5)), w, coefficients=(1.0, 2.0 - 1.0))
    return b.done(b.linear(b.flat(y), 40))


def one_dimensional() -> Network:
    """1-D convolutions, depthwise and strided, max pooling with a ceiling, a hard reset."""
    b = Builder(3, "ternary")
    s = b.fire(b.conv(b.input(2, 31), 6, (5,), padding=(2, 2)), "if", threshold=700, reset="zero")
    t = b.fire(b.conv(s, 6, (3,), groups=6, stride=(2,), bias=False), threshold=3, per="layer")
    p = b.pool(t, (3,), stride=(2,), padding=(1, 1), ceil_mode=True)
    return b.done(b.linear(b.flat(p), 7))


def currents(**schedule: Any) -> Network:
    """What no neuron stands between: pools and sums of the input itself, convolutions of currents, spikes beside."""
    b = Builder(7, "int4")
    x = b.scaled(b.input(2, 6, 6), -3, 3)
    p = b.pool(x, (2, 2), stride=(1, 1), padding=(0, 0, 1, 1))
    c = b.conv(b.conv(x, 3, (3, 3), padding=(1, 1, 1, 1)), 2, (1, 1), bias=False)
    s = b.fire(b.put(Sum, c, p, coefficients=(1.0, -1.0)), threshold=900)
    q = b.pool(c, (3, 3), stride=(1, 1), padding=(1, 1, 1, 1))
    joined = b.put(Concat, s, x, q, axis=1)
    t = b.fire(b.conv(joined, 4, (3, 3), bias=False), threshold=9000)
    direct = b.put(Reduce, c, op="sum", axes=(1, 3), keepdims=False)
    return b.done(b.linear(b.flat(t), 3), direct, t, **schedule)


def edges() -> Network:
    """Thresholds of a few units, so that potentials often meet them exactly, from above and from below."""
    b = Builder(9, "ternary")
    s = b.fire(b.conv(b.input(1, 8, 8), 6, (1, 1)), threshold=150)
    kinds: dict[str, dict[str, Any]] = {
        "early": {},
        "signed": {},
        "if": {"burst": 2},
        "capped": {"cap": 2},
        "levels": {"levels": 2, "cap": 3},
    }
    parts = [
        b.fire(b.conv(s, 4, (2, 2), bias=False), kind if kind in ("signed", "if") else "early", threshold=4, **more)
        for kind, more in kinds.items()
    ]
    return b.done(b.linear(b.flat(b.put(Concat, *parts, axis=1)), 3))


def silent() -> Network:
    """No neuron at all."""
    b = Builder(8)
    return b.done(b.linear(b.flat(b.input(1, 3, 3)), 4))


def zou() -> Network:
    """Everything enters once: scatter-and-gather encoder, ternary weights, no bias."""
    b = Builder(4)
    e = b.fire(b.conv(b.input(1, 8, 8), 4, (3, 3), bias=False), threshold=20000, cap=4)
    b.weights = "ternary"
    h = b.fire(b.conv(e, 6, (2, 2), stride=(2, 2), bias=False), threshold=2)
    return b.done(b.linear(b.flat(h), 3), kind="once")


def random_network(seed: int) -> Network:
    """A random chain with shortcuts, of all kinds of layers that keep an image an image."""
    rng = np.random.default_rng(seed)
    b = Builder(seed, str(rng.choice(["int8", "int4", "ternary"])))
    x = b.input(int(rng.integers(1, 4)), int(rng.integers(5, 9)), int(rng.integers(5, 9)))
    x = b.fire(b.conv(x, 4, (3, 3), padding=(1, 1, 1, 1)), threshold=2000 * LARGEST[b.weights] // 10 + 20)
    for _ in range(int(rng.integers(2, 6))):
        scale = 10 * LARGEST[b.weights]
        kind = str(rng.choice(["conv", "grouped", "residual", "pool", "concat", "flip", "scaled"]))
        channels = b.shape(x)[1]
        if kind == "conv":
            k = tuple(int(n) for n in rng.integers(1, 4, 2))
            pad = tuple(int(n) for n in rng.integers(1, 3, 4))
            y = b.conv(x, int(rng.integers(1, 4)) * 2, k, padding=pad, stride=(int(rng.integers(1, 3)), 1))
        elif kind == "grouped":
            y = b.conv(x, channels * 2, (3, 3), groups=2 if channels % 2 == 0 else channels, padding=(1, 1, 1, 1))
        elif kind == "residual":
            y = b.put(Sum, x, b.conv(x, channels, (1, 1)), coefficients=tuple(rng.choice([-1.0, 1.0], 2)))
        elif kind == "pool":
            x = b.pool(x, (2, 2), stride=(1, 1), padding=(1, 0, 0, 1))
            continue
        elif kind == "concat":
            x = b.put(Concat, x, b.put(Slice, x, axis=2, start=-1, step=-1, shape=b.shape(x)), axis=1)
            continue
        elif kind == "flip":
            x = b.put(Transpose, x, permutation=(0, 1, 3, 2))
            continue
        else:
            y = b.put(
                Sum,
                b.scaled(b.conv(x, channels, (1, 1), bias=False), -4, 9),
                b.scaled(x, -9, 30),
                coefficients=(1.0, 1.0),
            )
        how = str(rng.choice(["early", "signed", "if", "levels"]))
        more: dict[str, Any] = {"levels": 3, "cap": 5} if how == "levels" else {}
        more |= {"burst": 2, "reset": str(rng.choice(["subtract", "zero"]))} if how == "if" else {}
        x = b.fire(
            y,
            "early" if how == "levels" else how,
            threshold=scale,
            per=str(rng.choice(["layer", "channel", "neuron"])),
            **more,
        )
    schedule = [{}, {"kind": "window", "steps": 3}, {"kind": "once"}, {"readout_after": 2}][int(rng.integers(4))]
    return b.done(b.linear(b.flat(x), 4), **schedule)
