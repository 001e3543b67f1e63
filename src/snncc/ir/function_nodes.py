# SPDX-License-Identifier: Apache-2.0
"""Nonlinear nodes of the ANN stage: activations, max pooling and the operators of `ir.operators`."""

from __future__ import annotations

import msgspec

from snncc.ir.linear_nodes import Window
from snncc.ir.operators import OPERATORS
from snncc.neurons.node import Attribute, Call, Ints, Node


class Relu(Node, frozen=True, kw_only=True, tag=True):
    """y = max(x, 0)."""

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="relu")


class Clip(Node, frozen=True, kw_only=True, tag=True):
    """y = min(max(x, low), high); ReLU6 is Clip(0, 6)."""

    low: float | None
    high: float | None

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="clip", options={"low": self.low, "high": self.high})


class LeakyRelu(Node, frozen=True, kw_only=True, tag=True):
    """y = x for x >= 0, slope x below (LeakyRelu, PRelu; Abs is slope -1)."""

    slope: str
    ARRAYS = ("slope",)

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="leaky_relu", arrays=(self.slope,))


class QuantizedRelu(Node, frozen=True, kw_only=True, tag=True):
    """A staircase: y = amplitude clip(floor((x + offset) / step), 0, levels); step > 0.

    offset = step / 2 rounds half up; amplitude = step is a quantised ReLU. `levels` None: no upper end. The arrays
    broadcast against the node's shape.
    """

    step: str
    offset: str
    amplitude: str
    levels: int | None = None
    ARRAYS = ("step", "offset", "amplitude")

    def call(self) -> Call:
        """See `Node.call`."""
        arrays = (self.step, self.offset, self.amplitude)
        return Call(function="quantized_relu", arrays=arrays, options={"levels": self.levels})


class MaxPool(Window, frozen=True, kw_only=True, tag=True):
    """Maximum over each window; padding never wins."""

    kernel: Ints
    ceil_mode: bool

    def call(self) -> Call:
        """See `Node.call`."""
        options = {
            "kernel": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }
        return Call(function="max_pool", options=options)


class Operator(Node, frozen=True, kw_only=True, tag=True):
    """Any other operator that `ir.operators` knows: `op` names the function, `attributes` its keyword arguments."""

    op: str
    attributes: dict[str, Attribute] = msgspec.field(default_factory=dict)

    def linear_in(self) -> tuple[Ints, ...]:
        """From the table of operators."""
        return OPERATORS[self.op].linear

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function=self.op, options=dict(self.attributes))


class Foreign(Node, frozen=True, kw_only=True, tag=True):
    """An ONNX node that onnxruntime evaluates: output number `output` of the one-node model in the array `model`."""

    operator: str
    model: str
    output: int
    ARRAYS = ("model",)

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="foreign", arrays=(self.model,), options={"output": self.output})
