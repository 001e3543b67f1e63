# SPDX-License-Identifier: Apache-2.0
"""Networks that NIR can say once their lowerings are named."""

from __future__ import annotations

from typing import Any

import numpy as np
from spiking_networks import Sketch, normal

from snncc.ir.network import Network, frozen
from snncc.ir.nodes import IF, Affine, AveragePool, Conv, Input, Reduce, Reshape, Sum

FLAT = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 1, 1)}
IMAGES = {"x": np.abs(normal(3, 2, 6, 6))}
BOTH = ("hard-reset", "strict-threshold")


def fires(s: Sketch, name: str, source: str, shape: tuple[int, ...], **more: Any) -> str:
    """Integrate and fire with a threshold per neuron, one of them 0, and unit spikes."""
    threshold = s.rng.uniform(0.4, 1.2, (1, *shape[1:])).astype(np.float32)
    threshold.flat[0] = 0
    s.arrays |= {f"{name}/threshold": frozen(threshold), "one": np.ones(1, np.float32), "none": np.zeros(1, np.float32)}
    kind = more.pop("kind", IF)
    start = more.pop("v_init", "none")
    return s.add(kind, name, [source], shape, threshold=f"{name}/threshold", amplitude="one", v_init=start, **more)


def residual() -> Network:
    """Convolutions (one of them in groups), a skip, an average pool, a scale, a mean and a product."""
    s = Sketch(seed=9)
    s.add(Input, "x", [], (1, 2, 6, 6))
    s.add(Conv, "/a/conv", ["x"], (1, 4, 6, 6), weight=s.array("a/w", 4, 2, 3, 3), bias=s.array("a/b", 4), **FLAT)
    fires(s, "/a/relu", "/a/conv", (1, 4, 6, 6))
    s.add(Conv, "b", ["/a/relu"], (1, 4, 6, 6), weight=s.array("b/w", 4, 2, 3, 3), groups=2, **FLAT)
    s.add(Sum, "skip", ["b", "/a/relu"], (1, 4, 6, 6), coefficients=(1.0, 0.5))
    fires(s, "c", "skip", (1, 4, 6, 6))
    s.add(
        AveragePool,
        "pool",
        ["c"],
        (1, 4, 4, 4),
        kernel=(2, 2),
        stride=(2, 2),
        padding=(1, 1, 1, 1),
        dilation=(1, 1),
        ceil_mode=False,
        count_include_pad=True,
    )
    s.add(Affine, "scaled", ["pool"], (1, 4, 4, 4), scale=s.array("scaled/s", 4, 1, 1))
    s.add(Sum, "twice", ["scaled", "scaled"], (1, 4, 4, 4), coefficients=(1.0, 1.0))
    fires(s, "d", "twice", (1, 4, 4, 4))
    strided = {"stride": (2, 2), "dilation": (1, 1), "padding": (0, 0, 0, 0)}
    s.add(Conv, "e", ["d"], (1, 3, 2, 2), weight=s.array("e/w", 3, 4, 1, 1), bias=s.array("e/b", 3), **strided)
    fires(s, "f", "e", (1, 3, 2, 2))
    s.add(Reshape, "flat", ["f"], (1, 12))
    s.linear("g", "flat", (1, 6), 12)
    fires(s, "h", "g", (1, 6))
    s.linear("y", "h", (1, 3), 6, bias=False)
    s.add(Reduce, "mean", ["f"], (1, 3), op="mean", axes=(2, 3), keepdims=False)
    return s.network("y", "mean")


def series() -> Network:
    """A convolution over one axis."""
    s = Sketch(seed=10)
    s.add(Input, "x", [], (1, 2, 9))
    window = {"stride": (2,), "dilation": (2,), "padding": (1, 1)}
    s.add(Conv, "a", ["x"], (1, 3, 4), weight=s.array("a/w", 3, 2, 3), bias=s.array("a/b", 3), **window)
    fires(s, "b", "a", (1, 3, 4))
    s.add(Reshape, "flat", ["b"], (1, 12))
    s.linear("y", "flat", (1, 3), 12)
    return s.network("y")
