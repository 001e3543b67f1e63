# SPDX-License-Identifier: Apache-2.0
"""Means as sums: the divisor goes into the unit of the result."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.errors import EmitError
from snncc.functions.numpy.linear import average_pool, convolution
from snncc.ir.nodes import AveragePool, Conv, Node

Array: TypeAlias = npt.NDArray[np.int64]
#: The largest multiple by which windows of different sizes are brought to one divisor: int16.
LARGEST = 32767


def window_sum(node: AveragePool, source: Node, weight: str) -> Conv:
    """The sum over each window: a depthwise convolution with ones."""
    n = len(node.kernel)
    if len(node.shape) != n + 2 or node.batch != 0:
        raise EmitError(f"{node.name}: an average pool without batch and channel axes", cure="export it as N, C, ...")
    begin, end = node.padding[:n], list(node.padding[n:])
    for i in range(n):  # the last window of ceil_mode may reach further than the padding
        span = (node.shape[2 + i] - 1) * node.stride[i] + (node.kernel[i] - 1) * node.dilation[i] + 1
        end[i] = max(end[i], span - source.shape[2 + i] - begin[i])
    return Conv(
        name=node.name,
        inputs=node.inputs,
        shape=node.shape,
        batch=node.batch,
        stride=node.stride,
        padding=(*begin, *end),
        dilation=node.dilation,
        weight=weight,
        groups=source.shape[1],
    )


def divisors(node: AveragePool, source: Node) -> Array:
    """The divisor of each window, (1, 1, ...) where all are the same."""
    ones = np.ones((1, 1, *source.shape[2:]))
    total = window_sum(node, source, "")
    count = convolution(
        ones,
        np.ones((1, 1, *node.kernel)),
        None,
        stride=node.stride,
        padding=total.padding,
        dilation=node.dilation,
        groups=1,
    )
    found: Array = np.rint(count / average_pool(ones, **node.call().options)).astype(np.int64)
    return found[tuple(slice(0, 1) for _ in found.shape)] if (found == found.flat[0]).all() else found


def common_divisor(node: AveragePool, found: Array) -> int:
    """The least common multiple of the divisors; raises EmitError where it is no int16."""
    least = math.lcm(*(int(d) for d in np.unique(found)))
    if least > LARGEST:
        raise EmitError(
            f"{node.name}: its windows have divisors whose least common multiple is {least}",
            cure="pool without padding or with count_include_pad",
        )
    return least
