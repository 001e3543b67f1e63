# SPDX-License-Identifier: Apache-2.0
"""Lowering of quantised operators: a quantised value is a float that holds its integer code.

q = clamp(round(x / scale) + zero, low, high) is an operator, x = scale (q - zero) a scale; a pair of them is one
`fake_quantize`. Weights are constants by then, so convolutions and products between them are the ordinary ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snncc.frontend.operators.attention import value_named
from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported
from snncc.frontend.operators.linear import constant, conv, matmul
from snncc.ir.network import Array
from snncc.ir.nodes import Constant, Node, Operator

Ints = Sequence[int]
BITS = {f"{sign}int{bits}": (sign == "", bits) for sign in ("", "u") for bits in (2, 4, 8, 16)}


def code_range(dtype: str) -> tuple[float, float]:
    """The smallest and largest code of a type."""
    if dtype not in BITS:
        raise Unsupported(f"codes of type {dtype}", cure="quantise to integers of 2 to 16 bits")
    signed, bits = BITS[dtype]
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)


def floating(array: Array) -> Array:
    """Codes or scales as float32."""
    return np.asarray(array).astype(np.float32)


def spread_out(parameter: Operand, shape: Sequence[int], axis: int, block: int, what: str) -> Operand:
    """A scale or zero point shaped to broadcast against the value: per tensor, per axis or per block."""
    if isinstance(parameter, Node) and any(d > 1 for d in parameter.shape):
        raise Unsupported(f"its {what} is computed at run time", cure=f"export with a constant {what}")
    if not isinstance(parameter, np.ndarray):
        return parameter
    array = floating(parameter)
    if array.size == 1:
        return array.reshape(())
    axis %= len(shape)
    if block:
        return np.take(np.repeat(array, block, axis), range(shape[axis]), axis)
    return array.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def as_codes(g: Builder, x: Operand, name: str) -> Node:
    """A value that holds codes, as floats."""
    node = g.node(floating(x) if isinstance(x, np.ndarray) else x, name)
    if node.dtype == "float32":
        return node
    return g.operator(
        "cast", node, batch=node.batch, shape=node.shape, name=g.fresh(name), dtype="float32", to="float32"
    )


def quantized(g: Builder, op: str, x: Node, scale: Operand, zero: Operand, dtype: str) -> Node:
    """`quantize` or `fake_quantize` of x as the value being lowered."""
    low, high = code_range(dtype)
    parameters = [g.node(scale, "scale"), g.node(np.zeros((), np.float32) if zero is None else zero, "zero")]
    batch = x.batch
    if batch is not None and any(len(p.shape) == len(x.shape) and p.shape[batch] > 1 for p in parameters):
        raise MixesSamples("it has a scale for each sample")
    return g.operator(op, x, *parameters, batch=batch, dtype="float32", low=low, high=high)


def value_of(g: Builder, name: str) -> Array | None:
    """The array of a constant among the nodes so far."""
    node = next((n for n in reversed(g.nodes) if n.name == name), None)
    return g.arrays[node.value] if isinstance(node, Constant) else None


def dequantized(g: Builder, x: Operand, scale: Operand, zero: Operand) -> Node:
    """scale (x - zero) as the value being lowered; directly behind its `quantize` the two become one."""
    zero = np.zeros((), np.float32) if zero is None else zero
    constants = isinstance(scale, np.ndarray) and isinstance(zero, np.ndarray)
    if isinstance(x, Operator) and x.op == "quantize" and constants:
        given = [value_of(g, name) for name in x.inputs[1:]]
        if all(a is not None and np.array_equal(a, np.asarray(b)) for a, b in zip(given, (scale, zero), strict=True)):
            options = {"op": "fake_quantize", "attributes": dict(x.attributes)}
            return g.unary(Operator, x, inputs=x.inputs, shape=x.shape, **options)
    codes = as_codes(g, x, "codes")
    final = g.out
    if isinstance(scale, np.ndarray) and isinstance(zero, np.ndarray):
        return g.affine(codes, scale, None if not zero.any() else -scale * zero)
    value_named(g, g.fresh("centred"), codes.shape)
    centred = g.sum([codes, as_codes(g, zero, "zero")], (1.0, -1.0))
    value_named(g, final, codes.shape)
    return (
        g.affine(centred, scale, None) if isinstance(scale, np.ndarray) else g.elementwise("multiply", centred, scale)
    )


def quantize_linear(
    g: Builder,
    x: Operand,
    y_scale: Operand,
    y_zero_point: Operand = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Node:
    """QuantizeLinear."""
    value = g.node(x)
    if not value.shape:
        axis = 0
    scale = spread_out(y_scale, value.shape, axis, block_size, "scale")
    return quantized(
        g, "quantize", value, scale, spread_out(y_zero_point, value.shape, axis, block_size, "zero"), g.dtype
    )


def dequantize_linear(
    g: Builder,
    x: Operand,
    x_scale: Operand,
    x_zero_point: Operand = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Node:
    """DequantizeLinear."""
    scale = spread_out(x_scale, g.shape, axis, block_size, "scale")
    return dequantized(g, x, scale, spread_out(x_zero_point, g.shape, axis, block_size, "zero"))


def dynamic_quantize_linear(g: Builder, x: Operand) -> list[Node | None]:
    """DynamicQuantizeLinear: codes 0 to 255 over the range of all of x, and that range's scale and zero point."""
    x = g.node(x)
    if x.batch is not None:
        raise MixesSamples("its scale is taken over all samples")
    results: list[Node | None] = [None, None, None]
    name = g.results[0][0] or g.out
    parameters: list[Node] = []
    for i, op in ((1, "dynamic_scale"), (2, "dynamic_zero")):
        own = g.results[i][0] or g.fresh(op)
        parameters.append(g.operator(op, x, batch=None, shape=(), name=own, dtype="float32"))
        results[i] = parameters[-1]
    value_named(g, name, x.shape)
    results[0] = quantized(g, "quantize", x, parameters[0], parameters[1], "uint8")
    return results


def per_channel(array: Array, rank: int) -> Array:
    """One number per output channel, or one for all, against a weight of `rank` axes."""
    array = floating(array)
    return array.reshape(()) if array.size == 1 else array.reshape(-1, *[1] * (rank - 1))


def qlinear_conv(
    g: Builder,
    x: Operand,
    x_scale: Operand,
    x_zero_point: Operand,
    w: Operand,
    w_scale: Operand,
    w_zero_point: Operand,
    y_scale: Operand,
    y_zero_point: Operand,
    b: Operand = None,
    **attributes: Any,
) -> Node:
    """QLinearConv: the convolution of what the codes stand for, quantised."""
    final, shape, dtype = g.out, g.shape, g.dtype
    codes = constant(w, "weight")
    of_input, of_weight = floating(constant(x_scale, "scale")).reshape(()), constant(w_scale, "scale")
    scale = per_channel(of_weight, codes.ndim)
    weight = (floating(codes) - per_channel(constant(w_zero_point, "zero point"), codes.ndim)) * scale
    bias = None if b is None else floating(constant(b, "bias")) * of_input * scale.reshape(-1)
    value_named(g, g.fresh("dequantized"), g.node(x).shape)
    value = dequantized(g, x, of_input, floating(constant(x_zero_point, "zero point")).reshape(()))
    value_named(g, g.fresh("convolved") if final == g.out else f"{final}.convolved", shape)
    y = conv(g, value, weight, bias, **attributes)
    value_named(g, final, shape)
    zero = floating(constant(y_zero_point, "zero point")).reshape(())
    return quantized(g, "quantize", y, floating(constant(y_scale, "scale")).reshape(()), zero, dtype)


def along(array: Operand, axis: int) -> Operand:
    """A scale or zero point of a matrix: for all of it, per row (axis -2) or per column (axis -1)."""
    if not isinstance(array, np.ndarray):
        return array
    array = floating(array)
    if array.size == 1:
        return array.reshape(())
    return array[:, None] if array.ndim == 1 and axis == -2 else array


def matrix(g: Builder, x: Operand, scale: Operand, zero: Operand, axis: int, name: str) -> Operand:
    """What the codes of a matrix stand for."""
    scale, zero = along(scale, axis), along(np.zeros((), np.float32) if zero is None else zero, axis)
    if isinstance(x, np.ndarray) and isinstance(scale, np.ndarray) and isinstance(zero, np.ndarray):
        return (floating(x) - zero) * scale
    value_named(g, g.fresh(name), x.shape if x is not None else ())
    return dequantized(g, x, scale, zero)


def qlinear_matmul(
    g: Builder,
    a: Operand,
    a_scale: Operand,
    a_zero_point: Operand,
    b: Operand,
    b_scale: Operand,
    b_zero_point: Operand,
    y_scale: Operand,
    y_zero_point: Operand,
) -> Node:
    """QLinearMatMul: the product of what the codes stand for, quantised."""
    final, shape, dtype = g.out, g.shape, g.dtype
    left = matrix(g, a, a_scale, a_zero_point, -2, "left")
    value_named(g, final, shape)
    right = matrix(g, b, b_scale, b_zero_point, -1, "right")
    value_named(g, final, shape)
    value_named(g, g.fresh("product"), shape)
    y = matmul(g, left, right)
    value_named(g, final, shape)
    return quantized(g, "quantize", y, along(y_scale, -2), along(y_zero_point, -2), dtype)


def conv_integer(
    g: Builder,
    x: Operand,
    w: Operand,
    x_zero_point: Operand = None,
    w_zero_point: Operand = None,
    **attributes: Any,
) -> Node:
    """ConvInteger: the convolution of codes minus zero points."""
    final, shape, codes = g.out, g.shape, constant(w, "weight")
    weight = floating(codes)
    if w_zero_point is not None:
        weight = weight - per_channel(constant(w_zero_point, "zero point of its weight"), codes.ndim)
    value_named(g, g.fresh("centred"), g.node(x).shape)
    value = dequantized(g, x, np.ones((), np.float32), along(x_zero_point, -1))
    value_named(g, final, shape)
    return conv(g, value, weight, **attributes)


def matmul_integer(
    g: Builder, a: Operand, b: Operand, a_zero_point: Operand = None, b_zero_point: Operand = None
) -> Node:
    """MatMulInteger: the product of codes minus zero points."""
    final, shape, one = g.out, g.shape, np.ones((), np.float32)
    left = matrix(g, a, one, a_zero_point, -2, "left")
    value_named(g, final, shape)
    right = matrix(g, b, one, b_zero_point, -1, "right")
    value_named(g, final, shape)
    return matmul(g, left, right)


LOWERINGS: dict[str, Lowering] = {
    "ConvInteger": conv_integer,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "MatMulInteger": matmul_integer,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "QuantizeLinear": quantize_linear,
}
