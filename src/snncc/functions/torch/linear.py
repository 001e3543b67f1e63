# SPDX-License-Identifier: Apache-2.0
"""Linear nodes, and the maximum of a window, in torch. The emitted module contains the sources of those it uses.

`offset` multiplies the constants that a function adds: 1 while the input is on, 0 when it is off, or one number per
row (shaped to broadcast) when steps are folded into the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def pad(
    x: Tensor, *, padding: Sequence[int], mode: str = "constant", value: float = 0.0, offset: Tensor | float = 1.0
) -> Tensor:
    """Padding of every axis: begin..., end...; negative amounts crop."""
    rank = x.ndim
    for axis in range(rank):
        begin, end = padding[axis], padding[rank + axis]
        x = x.narrow(axis, max(0, -begin), x.shape[axis] - max(0, -begin) - max(0, -end))
        begin, end, size = max(0, begin), max(0, end), x.shape[axis]
        if begin == end == 0:
            continue
        if mode == "constant":
            shape = list(x.shape)
            shape[axis] = 1
            fill = (x.new_full(shape, value) * offset).to(x.dtype) if value else x.new_zeros(shape)
            repeats = [1] * rank
            sides = []
            for amount in (begin, end):
                repeats[axis] = amount
                sides.append(fill.repeat(repeats))
            x = torch.cat([sides[0], x, sides[1]], axis)
        else:
            index = torch.arange(-begin, size + end, device=x.device)
            if mode == "edge":
                index = index.clamp(0, size - 1)
            elif mode == "wrap":
                index = index % size
            else:
                period = max(1, 2 * (size - 1))
                index = (index % period).sub(size - 1).abs().neg().add(size - 1)
            x = x.index_select(axis, index)
    return x


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset: Tensor | float = 1.0,
) -> Tensor:
    """Cross-correlation over 1, 2 or 3 axes with padding begin..., end..."""
    n = len(stride)
    begin, end = padding[:n], padding[n:]
    if tuple(begin) != tuple(end):
        x, begin = pad(x, padding=(0, 0, *begin, 0, 0, *end)), [0] * n
    convolve = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    if bias is None or isinstance(offset, float):
        scaled = None if bias is None else bias * offset
        return convolve(x, weight, scaled, tuple(stride), tuple(begin), tuple(dilation), groups)
    y = convolve(x, weight, None, tuple(stride), tuple(begin), tuple(dilation), groups)
    return y + bias.reshape(-1, *[1] * n) * offset


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    output_padding: Sequence[int],
    offset: Tensor | float = 1.0,
) -> Tensor:
    """The adjoint of `convolution`; `padding` crops the full result, `output_padding` extends its end."""
    n = len(stride)
    convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    y = convolve(x, weight, None, tuple(stride), 0, 0, groups, tuple(dilation))
    end = [output_padding[i] - padding[n + i] for i in range(n)]
    y = pad(y, padding=(0, 0, *[-p for p in padding[:n]], 0, 0, *end))
    return y if bias is None else y + bias.reshape(-1, *[1] * n) * offset


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, *, axis: int, offset: Tensor | float = 1.0) -> Tensor:
    """weight x + bias along `axis`."""
    y = F.linear(x.movedim(axis, -1), weight).movedim(-1, axis)
    shape = [1] * y.ndim
    shape[axis] = -1
    return y if bias is None else y + bias.reshape(shape) * offset


def batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float,
    offset: Tensor | float = 1.0,
) -> Tensor:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta per channel."""
    shape = (-1, *[1] * (x.ndim - 2))
    scale = gamma / torch.sqrt(variance + epsilon)
    return x * scale.reshape(shape) + (beta - mean * scale).reshape(shape) * offset


def affine(x: Tensor, scale: Tensor | None, shift: Tensor | None, *, offset: Tensor | float = 1.0) -> Tensor:
    """scale x + shift."""
    y = x if scale is None else x * scale
    return y if shift is None else y + shift * offset


def weighted_sum(*inputs: Tensor, coefficients: Sequence[float]) -> Tensor:
    """sum_i coefficients[i] inputs[i]."""
    terms = [x if c == 1 else x * c for x, c in zip(inputs, coefficients, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def windows(
    x: Tensor,
    fill: float,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Tensor:
    """Every window of the last axes, flattened into one more axis; padding holds `fill`."""
    n = len(kernel)
    lead = x.ndim - n
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    extra = []
    for i in range(n):
        free = x.shape[lead + i] + padding[i] + padding[n + i] - spans[i]
        count = -(-free // stride[i]) if ceil_mode else free // stride[i]
        if ceil_mode and count * stride[i] >= x.shape[lead + i] + padding[i]:
            count -= 1  # a window may not begin in the padding at the end
        extra.append(count * stride[i] - free)
    amounts = (*[0] * lead, *padding[:n], *[0] * lead, *[padding[n + i] + extra[i] for i in range(n)])
    x = pad(x, padding=amounts, value=fill)
    for i in range(n):
        x = x.unfold(lead + i, spans[i], stride[i])[..., :: dilation[i]]
    return x.flatten(lead + n)


def max_pool(
    x: Tensor,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Tensor:
    """Maximum over each window; padding never wins."""
    options = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    return windows(x, float("-inf"), **options).amax(-1)  # type: ignore[arg-type]


def average_pool(
    x: Tensor,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Tensor:
    """Mean over each window, of its real entries or (count_include_pad) of real and padded ones."""
    options = {"kernel": kernel, "stride": stride, "dilation": dilation, "ceil_mode": ceil_mode}
    n = len(kernel)
    if x.ndim == n + 2 and n <= 3 and not any(padding) and not ceil_mode and max(dilation) == 1:
        average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1]
        return average(x, tuple(kernel), tuple(stride))
    total = windows(x, 0.0, padding=padding, **options).sum(-1)  # type: ignore[arg-type]
    ones = torch.ones((1, 1, *x.shape[x.ndim - n :]), dtype=x.dtype, device=x.device)
    if count_include_pad:
        ones, padding = pad(ones, padding=(0, 0, *padding[:n], 0, 0, *padding[n:]), value=1.0), [0] * (2 * n)
    count = windows(ones, 0.0, padding=padding, **options).sum(-1)  # type: ignore[arg-type]
    for axis in range(-n, 0):
        count = count.narrow(axis, 0, total.shape[axis])  # no window begins in the padding at the end
    return total / count


def reduce_mean(x: Tensor, *, axes: Sequence[int], keepdims: bool) -> Tensor:
    """Mean over axes."""
    return x.mean(tuple(axes), keepdim=keepdims) if axes else x


def reduce_sum(x: Tensor, *, axes: Sequence[int], keepdims: bool) -> Tensor:
    """Sum over axes."""
    return x.sum(tuple(axes), keepdim=keepdims) if axes else x


def concatenate(*inputs: Tensor, axis: int) -> Tensor:
    """Inputs joined along an axis."""
    return torch.cat(inputs, axis)


def take_slice(x: Tensor, *, axis: int, start: int, step: int, size: int) -> Tensor:
    """x[start::step] along an axis, `size` entries."""
    return x.index_select(axis, start + step * torch.arange(size, device=x.device))


def reshape(x: Tensor, *, shape: Sequence[int]) -> Tensor:
    """The same entries in another shape."""
    return x.reshape(tuple(shape))


def transpose(x: Tensor, *, permutation: Sequence[int]) -> Tensor:
    """Axes permuted."""
    return x.permute(tuple(permutation))


def expand(x: Tensor, *, shape: Sequence[int]) -> Tensor:
    """Broadcast to a shape; -1 keeps an axis."""
    return x.expand(tuple(shape))
