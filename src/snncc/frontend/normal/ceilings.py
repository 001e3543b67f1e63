# SPDX-License-Identifier: Apache-2.0
"""Pools with ceil_mode whose last window begins in the padding: shape inference counts it, onnxruntime drops it."""

from __future__ import annotations

import math

import onnx_ir as ir

POOLS = ("MaxPool", "AveragePool")


def ending(extent: int, kernel: int, stride: int, dilation: int, begin: int, end: int) -> int | None:
    """The padding at the end with which ceil_mode = 0 gives onnxruntime's windows; None: no window is empty."""
    span = (kernel - 1) * dilation + 1
    last = math.ceil((extent + begin + end - span) / stride)
    if last * stride < extent + begin:
        return None
    return max(0, (last - 1) * stride + span - extent - begin)


def close_ceiling(node: ir.Node, extents: tuple[int, ...]) -> bool:
    """Write such a pool over spatial `extents` with ceil_mode = 0; whether it was one."""
    attributes = node.attributes
    plain = attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
    counted = attributes.get_int("count_include_pad", 0) or 0  # the divisor then depends on where the padding ends
    if node.op_type not in POOLS or not attributes.get_int("ceil_mode", 0) or counted or not plain:
        return False
    n = len(extents)
    kernel = list(attributes.get_ints("kernel_shape", []))
    stride, dilation = (list(attributes.get_ints(name, [1] * n)) for name in ("strides", "dilations"))
    pads = list(attributes.get_ints("pads", [0] * 2 * n))
    if not len(kernel) == len(stride) == len(dilation) == n == len(pads) // 2:
        return False
    places = list(zip(extents, kernel, stride, dilation, pads[:n], pads[n:], strict=True))
    ends = [ending(*place) for place in places]
    if all(end is None for end in ends):
        return False
    for i, (end, (extent, size, step, gap, begin, given)) in enumerate(zip(ends, places, strict=True)):
        span = (size - 1) * gap + 1
        last = math.ceil((extent + begin + given - span) / step)
        pads[n + i] = max(0, last * step + span - extent - begin) if end is None else end
    attributes.add(ir.AttrInt64s("pads", pads))
    attributes.add(ir.AttrInt64("ceil_mode", 0))
    return True
