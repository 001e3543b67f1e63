# SPDX-License-Identifier: Apache-2.0
"""Normalisations and nonlinear reductions of `Operator` nodes in torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from snncc.functions.torch.linear import windows


def standardize(x: Tensor, *, axes: Sequence[int], epsilon: float, outside: float = 0.0) -> Tensor:
    """(x - mean) / (sqrt(variance + epsilon) + outside) over `axes`."""
    centred = x - x.mean(tuple(axes), keepdim=True)
    variance = (centred * centred).mean(tuple(axes), keepdim=True)
    return centred / (torch.sqrt(variance + epsilon) + outside)


def inverse_deviation(x: Tensor, *, axes: Sequence[int], epsilon: float) -> Tensor:
    """1 / sqrt(variance + epsilon) over `axes`, which stay with extent 1."""
    centred = x - x.mean(tuple(axes), keepdim=True)
    return 1 / torch.sqrt((centred * centred).mean(tuple(axes), keepdim=True) + epsilon)


def divide_by_root_mean_square(x: Tensor, *, axes: Sequence[int], epsilon: float) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) over `axes`."""
    return x / torch.sqrt((x * x).mean(tuple(axes), keepdim=True) + epsilon)


def divide_by_norm(x: Tensor, *, axis: int, p: int) -> Tensor:
    """x / (sum |x|^p)^(1/p) along `axis`; zeros stay zeros."""
    size = x.abs().sum(axis, keepdim=True) if p == 1 else torch.sqrt((x * x).sum(axis, keepdim=True))
    return x / torch.where(size > 0, size, 1)


def local_response(x: Tensor, *, size: int, alpha: float, beta: float, bias: float) -> Tensor:
    """x / (bias + alpha / size s)^beta, s the sum of squares over `size` neighbouring channels (axis 1)."""
    before = (size - 1) // 2
    shape = list(x.shape)
    shape[1] = x.shape[1] + size - 1
    squares = x.new_zeros(shape)
    squares.narrow(1, before, x.shape[1]).copy_(x * x)
    total = squares.unfold(1, size, 1).sum(-1)
    return x / torch.pow(bias + alpha / size * total, beta)


def hardmax(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    """1 at the first largest entry over `axes` (neighbours of one another), 0 elsewhere."""
    flat = x.flatten(axes[0], axes[-1])
    y = torch.zeros_like(flat).scatter(axes[0], flat.argmax(axes[0], keepdim=True), 1)
    return y.reshape(x.shape)


def reduce_max(x: Tensor, *, axes: Sequence[int], keepdims: bool) -> Tensor:
    """The largest entry over `axes`."""
    return x.amax(tuple(axes), keepdim=keepdims) if axes else x


def reduce_min(x: Tensor, *, axes: Sequence[int], keepdims: bool) -> Tensor:
    """The smallest entry over `axes`."""
    return x.amin(tuple(axes), keepdim=keepdims) if axes else x


def reduce_prod(x: Tensor, *, axes: Sequence[int], keepdims: bool) -> Tensor:
    """The product over `axes`."""
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keepdims, dtype=x.dtype)
    return x


def reduce_norm(x: Tensor, *, axes: Sequence[int], keepdims: bool, p: int) -> Tensor:
    """(sum |x|^p)^(1/p) over `axes`."""
    size = x.abs()
    if not axes:
        return size
    if p == 1:
        return size.sum(tuple(axes), keepdim=keepdims, dtype=x.dtype)
    total = torch.pow(size, p).sum(tuple(axes), keepdim=keepdims)
    return torch.pow(total, 1 / p).to(x.dtype)


def reduce_sum_square(x: Tensor, *, axes: Sequence[int], keepdims: bool) -> Tensor:
    """The sum of squares over `axes`."""
    return (x * x).sum(tuple(axes), keepdim=keepdims, dtype=x.dtype) if axes else x * x


def log_sum_exp(x: Tensor, *, axes: Sequence[int], keepdims: bool) -> Tensor:
    """log sum exp(x) over `axes`."""
    return torch.logsumexp(x, tuple(axes), keepdim=keepdims) if axes else x


def lp_pool(
    x: Tensor,
    *,
    p: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Tensor:
    """(sum |x|^p)^(1/p) over each window."""
    options = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    parts = windows(x.abs(), 0.0, **options)  # type: ignore[arg-type]
    total = torch.pow(parts, p).sum(-1)
    return torch.pow(total, 1 / p)


def determinant(x: Tensor) -> Tensor:
    """The determinant of the last two axes."""
    y: Tensor = torch.linalg.det(x)
    return y


def cumulative_sum(x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Running sums along `axis`, from the end if `reverse`, without the entry itself if `exclusive`."""
    y = x.flip(axis) if reverse else x
    total = y.cumsum(axis, dtype=y.dtype)
    total = total - y if exclusive else total
    return total.flip(axis) if reverse else total


def cumulative_product(x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Running products along `axis`, from the end if `reverse`, without the entry itself if `exclusive`."""
    y = x.flip(axis) if reverse else x
    if exclusive:
        size = y.shape[axis]
        y = torch.cat([torch.ones_like(y.narrow(axis, 0, 1)), y.narrow(axis, 0, size - 1)], axis)
    total = y.cumprod(axis, dtype=y.dtype)
    return total.flip(axis) if reverse else total


def einsum(*inputs: Tensor, equation: str) -> Tensor:
    """Products of entries, summed over the letters that the result does not have."""
    return torch.einsum(equation, *inputs)
