# SPDX-License-Identifier: Apache-2.0
"""NIR graphs in plain NumPy, step by step and by NIR's own rules: what an exported file means.

The neuron in steps of length 1 with R = r: v <- v + r I; z = [v > v_threshold]; v <- v_reset where z. A node computes
the sum of its incoming edges; every node is evaluated once per step, without delay.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.backends.nir.graph import package
from snncc.functions.numpy.linear import convolution, windows

Array = npt.NDArray[Any]


def read(data: bytes) -> Any:
    """The graph in the bytes of a file."""
    return package().read(io.BytesIO(data))


def pair(value: Any, axes: int) -> tuple[int, ...]:
    """A number or vector as one number per axis."""
    return tuple(int(v) for v in np.broadcast_to(np.asarray(value), (axes,)))


@dataclass(slots=True)
class NirMachine:
    """A graph on a batch of samples, whose inputs are constant; `step()` gives the value of every node by name."""

    graph: Any
    feeds: Mapping[str, Array]
    dtype: Any = np.float32
    potentials: dict[str, Array] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    inputs: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs = {name: [a for a, b in self.graph.edges if b == name] for name in self.graph.nodes}
        self.order = tuple(TopologicalSorter(self.inputs).static_order())

    def step(self) -> dict[str, Array]:
        """One step of every node; neurons give their spikes."""
        values: dict[str, Array] = {}
        for name in self.order:
            if not self.inputs[name]:
                values[name] = np.asarray(self.feeds[name], self.dtype)
                continue
            first, *more = [values[source] for source in self.inputs[name]]
            values[name] = self.value(name, sum(more, first))
        return values

    def value(self, name: str, x: Array) -> Array:
        """What a node makes of the sum of its inputs, (N, ...)."""
        node = self.graph.nodes[name]

        def array(key: str) -> Array:
            return np.asarray(getattr(node, key), self.dtype)

        match type(node).__name__:
            case "Output":
                return x
            case "IF":
                v = self.potentials.get(name, np.zeros_like(x)) + array("r") * x
                z = v > array("v_threshold")
                self.potentials[name] = np.where(z, array("v_reset"), v)
                return np.asarray(z, self.dtype)
            case "Affine":
                return np.asarray(x @ array("weight").T + array("bias"))
            case "Linear":
                return np.asarray(x @ array("weight").T)
            case "Scale":
                return np.asarray(x * array("scale"))
            case "Conv1d" | "Conv2d":
                axes = node.weight.ndim - 2
                padding = pair(node.padding, axes)
                return convolution(
                    x,
                    array("weight"),
                    array("bias"),
                    stride=pair(node.stride, axes),
                    padding=padding * 2,
                    dilation=pair(node.dilation, axes),
                    groups=int(node.groups),
                )
            case "AvgPool2d" | "SumPool2d" as kind:
                kernel, stride, padding = (pair(getattr(node, k), 2) for k in ("kernel_size", "stride", "padding"))
                view = windows(x, 0.0, kernel=kernel, stride=stride, padding=padding * 2, dilation=(1, 1))
                return np.asarray(view.mean(axis=(-2, -1)) if kind == "AvgPool2d" else view.sum(axis=(-2, -1)))
            case "Flatten":
                begin, end = int(node.start_dim), int(node.end_dim)
                rank = x.ndim - 1
                begin, end = begin % rank + 1, end % rank + 1
                return x.reshape(*x.shape[:begin], -1, *x.shape[end + 1 :])
        raise TypeError(f"{name}: NIR's {type(node).__name__} is not among the nodes that snncc writes")
