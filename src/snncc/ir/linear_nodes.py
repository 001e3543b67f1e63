# SPDX-License-Identifier: Apache-2.0
"""Sources and linear (affine) nodes."""

from __future__ import annotations

from typing import Literal

from snncc.neurons.node import Call, Ints, Node


class Input(Node, frozen=True, kw_only=True, tag=True):
    """A graph input. A float input is rate-coded (y[t] = gate[t] x); an integer input is static."""


class Constant(Node, frozen=True, kw_only=True, tag=True):
    """y = value."""

    value: str
    ARRAYS = ("value",)


class Repeat(Node, frozen=True, kw_only=True, tag=True):
    """A value without a batch axis, once per sample: y = tile(x, samples) along `batch`."""

    LINEAR = ((0,),)


class Window(Node, frozen=True, kw_only=True):
    """Shared by convolutions and pools: windows over the last len(kernel) axes; padding is begin..., end..."""

    stride: Ints
    padding: Ints
    dilation: Ints


class Conv(Window, frozen=True, kw_only=True, tag=True):
    """y = weight * x + bias, cross-correlation; weight: (out, in/groups, *kernel), x: (N, in, *space)."""

    weight: str
    bias: str | None = None
    groups: int = 1
    LINEAR = ((0,),)
    ARRAYS = ("weight", "bias")

    def call(self) -> Call:
        """See `Node.call`."""
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        return Call(function="convolution", arrays=(self.weight, self.bias), options=options, offset=True)


class ConvTranspose(Window, frozen=True, kw_only=True, tag=True):
    """The adjoint of `Conv`, plus bias; weight: (in, out/groups, *kernel); padding crops the full result."""

    weight: str
    bias: str | None = None
    groups: int = 1
    output_padding: Ints
    LINEAR = ((0,),)
    ARRAYS = ("weight", "bias")

    def call(self) -> Call:
        """See `Node.call`."""
        options = {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "output_padding": self.output_padding,
        }
        return Call(function="transposed_convolution", arrays=(self.weight, self.bias), options=options, offset=True)


class Linear(Node, frozen=True, kw_only=True, tag=True):
    """y = weight x + bias along `axis`; weight: (out, in), bias: (out,)."""

    weight: str
    bias: str | None = None
    axis: int
    LINEAR = ((0,),)
    ARRAYS = ("weight", "bias")

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="linear", arrays=(self.weight, self.bias), options={"axis": self.axis}, offset=True)


class BatchNorm(Node, frozen=True, kw_only=True, tag=True):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, per channel (axis 1)."""

    gamma: str
    beta: str
    mean: str
    variance: str
    epsilon: float
    LINEAR = ((0,),)
    ARRAYS = ("gamma", "beta", "mean", "variance")

    def call(self) -> Call:
        """See `Node.call`."""
        arrays = (self.gamma, self.beta, self.mean, self.variance)
        return Call(function="batch_norm", arrays=arrays, options={"epsilon": self.epsilon}, offset=True)


class Affine(Node, frozen=True, kw_only=True, tag=True):
    """y = scale x + shift, with broadcasting; either may be absent."""

    scale: str | None = None
    shift: str | None = None
    LINEAR = ((0,),)
    ARRAYS = ("scale", "shift")

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="affine", arrays=(self.scale, self.shift), offset=True)


class Sum(Node, frozen=True, kw_only=True, tag=True):
    """y = sum_i coefficients[i] x_i, with broadcasting (Add, Sub, Sum, Neg)."""

    coefficients: tuple[float, ...]

    def linear_in(self) -> tuple[Ints, ...]:
        """All inputs jointly."""
        return (tuple(range(len(self.inputs))),)

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="weighted_sum", options={"coefficients": self.coefficients})


class AveragePool(Window, frozen=True, kw_only=True, tag=True):
    """Mean over each window; the divisor counts padding only if `count_include_pad`."""

    kernel: Ints
    ceil_mode: bool
    count_include_pad: bool
    LINEAR = ((0,),)

    def call(self) -> Call:
        """See `Node.call`."""
        options = {
            "kernel": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
        }
        return Call(function="average_pool", options=options)


class Reduce(Node, frozen=True, kw_only=True, tag=True):
    """Mean or sum over `axes`."""

    op: Literal["mean", "sum"]
    axes: Ints
    keepdims: bool
    LINEAR = ((0,),)

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function=f"reduce_{self.op}", options={"axes": self.axes, "keepdims": self.keepdims})


class Concat(Node, frozen=True, kw_only=True, tag=True):
    """Inputs joined along `axis`."""

    axis: int

    def linear_in(self) -> tuple[Ints, ...]:
        """All inputs jointly."""
        return (tuple(range(len(self.inputs))),)

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="concatenate", options={"axis": self.axis})


class Slice(Node, frozen=True, kw_only=True, tag=True):
    """x[start:stop:step] on one axis; a negative step reverses. `size` entries are kept."""

    axis: int
    start: int
    step: int
    LINEAR = ((0,),)

    def call(self) -> Call:
        """See `Node.call`."""
        options = {"axis": self.axis, "start": self.start, "step": self.step, "size": self.shape[self.axis]}
        return Call(function="take_slice", options=options)


class Pad(Node, frozen=True, kw_only=True, tag=True):
    """Padding of every axis, begin..., end... (negative crops)."""

    padding: Ints
    mode: Literal["constant", "reflect", "edge", "wrap"]
    value: float = 0.0
    LINEAR = ((0,),)

    def call(self) -> Call:
        """See `Node.call`."""
        options = {"padding": self.padding, "mode": self.mode, "value": self.value}
        return Call(function="pad", options=options, offset=True)


class Reshape(Node, frozen=True, kw_only=True, tag=True):
    """The same entries in the same order with another shape."""

    LINEAR = ((0,),)

    def call(self) -> Call:
        """See `Node.call`."""
        target = tuple(-1 if axis == self.batch else extent for axis, extent in enumerate(self.shape))
        return Call(function="reshape", options={"shape": target})


class Transpose(Node, frozen=True, kw_only=True, tag=True):
    """Axes permuted: y.shape[i] = x.shape[permutation[i]]."""

    permutation: Ints
    LINEAR = ((0,),)

    def call(self) -> Call:
        """See `Node.call`."""
        return Call(function="transpose", options={"permutation": self.permutation})


class Expand(Node, frozen=True, kw_only=True, tag=True):
    """Broadcast to `shape`."""

    LINEAR = ((0,),)

    def call(self) -> Call:
        """See `Node.call`."""
        target = tuple(-1 if axis == self.batch else extent for axis, extent in enumerate(self.shape))
        return Call(function="expand", options={"shape": target})
