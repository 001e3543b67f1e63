# SPDX-License-Identifier: Apache-2.0
"""Lowering of arithmetic, activations and the operators that stand at the end of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported
from snncc.frontend.operators.linear import constant
from snncc.ir.nodes import Clip, LeakyRelu, Node, Relu, Repeat

#: onnx.TensorProto element types that `cast` distinguishes.
ELEMENT_TYPES = {
    1: "float32",
    10: "float32",
    11: "float32",
    16: "float32",
    2: "uint8",
    3: "int8",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
}


def is_float(operand: Operand) -> bool:
    """Whether an operand holds floats."""
    if isinstance(operand, Node):
        return operand.dtype == "float32"
    return operand is not None and np.issubdtype(operand.dtype, np.floating)


def legacy(a: Operand, b: Operand, axis: int | None) -> Operand:
    """Operand b of an opset-6 broadcast, which began at `axis`, shaped for today's rule."""
    if axis is None or not isinstance(b, np.ndarray) or a is None:
        return b
    return b.reshape(b.shape + (1,) * (len(a.shape) - axis % len(a.shape) - b.ndim))


def add(g: Builder, a: Operand, b: Operand, *, axis: int | None = None, broadcast: int = 0) -> Node:
    """Add: a shift where one operand is constant, else a sum of two branches."""
    b = legacy(a, b, axis)
    for x, c in ((a, b), (b, a)):
        if isinstance(x, Node) and isinstance(c, np.ndarray) and is_float(x):
            return g.affine(x, None, c)
    return g.sum([g.node(a, "left"), g.node(b, "right")], (1.0, 1.0))


def sub(g: Builder, a: Operand, b: Operand, *, axis: int | None = None, broadcast: int = 0) -> Node:
    """Sub."""
    b = legacy(a, b, axis)
    if isinstance(a, Node) and isinstance(b, np.ndarray) and is_float(a):
        return g.affine(a, None, -b)
    if isinstance(b, Node) and isinstance(a, np.ndarray) and is_float(b):
        return g.affine(b, np.full((), -1, np.float32), a)
    return g.sum([g.node(a, "left"), g.node(b, "right")], (1.0, -1.0))


def mul(g: Builder, a: Operand, b: Operand, *, axis: int | None = None, broadcast: int = 0) -> Node:
    """Mul: a scale where one operand is constant, else a product."""
    b = legacy(a, b, axis)
    for x, c in ((a, b), (b, a)):
        if isinstance(x, Node) and isinstance(c, np.ndarray) and is_float(x):
            return g.affine(x, c, None)
    return g.elementwise("multiply", a, b)


def div(g: Builder, a: Operand, b: Operand, *, axis: int | None = None, broadcast: int = 0) -> Node:
    """Div: a scale where the divisor is constant, else a quotient."""
    b = legacy(a, b, axis)
    if isinstance(a, Node) and isinstance(b, np.ndarray) and is_float(a) and bool(np.all(b != 0)):
        return g.affine(a, 1 / b.astype(np.float64), None)
    return g.elementwise("divide", a, b)


def sum_(g: Builder, *operands: Operand) -> Node:
    """Sum of any number of values."""
    return g.sum([g.node(x, f"term{i}") for i, x in enumerate(operands)], (1.0,) * len(operands))


def mean(g: Builder, *operands: Operand) -> Node:
    """Mean of any number of values."""
    count = len(operands)
    return g.sum([g.node(x, f"term{i}") for i, x in enumerate(operands)], (1.0 / count,) * count)


def neg(g: Builder, x: Operand) -> Node:
    """Neg."""
    return g.sum([g.node(x)], (-1.0,))


def same(g: Builder, x: Operand, *_: Operand, **__: object) -> Node:
    """Identity."""
    x = g.node(x)
    return g.reshape(x, x.shape, batch=x.batch)


def constant_value(g: Builder, **attributes: Any) -> Node:
    """Constant: what is left of it after folding stands behind an output."""
    (value,) = (np.asarray(v) for name, v in attributes.items() if name.startswith("value"))
    node = g.node(value if value.dtype != np.float64 else value.astype(np.float32), "value")
    return g.reshape(node, node.shape)


def dropout(
    g: Builder,
    x: Operand,
    ratio_input: Operand = None,
    training_input: Operand = None,
    *,
    ratio: float = 0.5,
    seed: int | None = None,
) -> list[Node | None]:
    """Dropout at inference: nothing is dropped, and the mask says so."""
    if training_input is not None and bool(constant(training_input, "training_mode").reshape(-1)[0]):
        dropped = 0.5 if ratio_input is None else float(constant(ratio_input, "ratio").reshape(-1)[0])
        if dropped != 0:
            raise Unsupported("training_mode drops values at random", cure="call model.eval() before exporting")
    x = g.node(x)
    results: list[Node | None] = [g.reshape(x, x.shape, batch=x.batch)] if g.results[0][0] else [None]
    if g.select(1):
        kept = g.node(np.ones(x.shape, np.bool_), "kept")
        if x.batch is None:
            results.append(g.reshape(kept, kept.shape))
        else:
            results.append(g.unary(Repeat, kept, shape=x.shape, batch=x.batch, dtype="bool"))
    return results


def cast(g: Builder, x: Operand, *, to: int, saturate: int = 1, round_mode: str = "up") -> Node:
    """Cast; between float types it changes nothing."""
    x = g.node(x)
    if to not in ELEMENT_TYPES and to not in (12, 13):
        raise Unsupported("its type is neither a float of 16 bits or more nor an integer", cure="cast to a wider type")
    target = ELEMENT_TYPES.get(to, "uint32" if to == 12 else "uint64")
    if x.dtype == target:
        return g.reshape(x, x.shape, batch=x.batch)
    return g.operator("cast", x, batch=x.batch, dtype=target, to=target)


def cast_like(g: Builder, x: Operand, like: Operand, *, saturate: int = 1, round_mode: str = "up") -> Node:
    """CastLike: Cast to the type of another value."""
    names = {name: code for code, name in reversed(ELEMENT_TYPES.items())}
    return cast(g, x, to=names.get(g.node(like).dtype, 1))


def relu(g: Builder, x: Operand) -> Node:
    """Relu."""
    x = g.node(x)
    return g.unary(Relu, x, shape=x.shape)


def clip(
    g: Builder,
    x: Operand,
    low_input: Operand = None,
    high_input: Operand = None,
    *,
    min: float | None = None,  # noqa: A002  (ONNX's name)
    max: float | None = None,  # noqa: A002
) -> Node:
    """Clip with constant bounds; [0, infinity) is a Relu."""
    x = g.node(x)
    low = min if low_input is None else float(constant(low_input, "minimum").reshape(-1)[0])
    high = max if high_input is None else float(constant(high_input, "maximum").reshape(-1)[0])
    unbounded = 3.0e38
    low = None if low is None or low < -unbounded else low
    high = None if high is None or high > unbounded else high
    if low == 0 and high is None:
        return relu(g, x)
    return g.unary(Clip, x, shape=x.shape, dtype=x.dtype, low=low, high=high)


def leaky(g: Builder, x: Operand, slope: np.ndarray) -> Node:
    """x where x >= 0, slope x elsewhere."""
    x = g.node(x)
    own = None if x.batch is None else x.batch - len(x.shape) + slope.ndim
    if own is not None and own >= 0 and slope.shape[own] > 1:
        raise MixesSamples("its slopes differ along the samples' axis")
    return g.unary(LeakyRelu, x, shape=x.shape, slope=g.array("slope", slope))


def leaky_relu(g: Builder, x: Operand, *, alpha: float = 0.01) -> Node:
    """LeakyRelu."""
    return leaky(g, x, np.asarray(alpha, np.float32))


def prelu(g: Builder, x: Operand, slope: Operand) -> Node:
    """PRelu with a constant slope."""
    return leaky(g, x, constant(slope, "slope"))


def along_axes(g: Builder, op: str, x: Operand, axis: int | None, to_the_end: int) -> Node:
    """An operator over one axis; before opset 13 over that axis and all that follow."""
    x = g.node(x)
    rank = len(x.shape)
    if g.opset < 13:
        axes: Sequence[int] = range((1 if axis is None else axis) % rank, rank)
    else:
        axes = [(-1 if axis is None else axis) % rank]
    if x.batch in axes:
        raise MixesSamples("it normalises over the samples' axis")
    return g.operator(op, x, batch=x.batch, axes=tuple(axes))


def softmax(g: Builder, x: Operand, *, axis: int | None = None) -> Node:
    """Softmax."""
    return along_axes(g, "softmax", x, axis, 1)


def log_softmax(g: Builder, x: Operand, *, axis: int | None = None) -> Node:
    """LogSoftmax."""
    return along_axes(g, "log_softmax", x, axis, 1)


def extreme(g: Builder, x: Operand, axis: int, keepdims: int, last: int, largest: bool) -> Node:
    """ArgMax or ArgMin."""
    x = g.node(x)
    axis %= len(x.shape)
    if x.batch == axis:
        raise MixesSamples("it searches along the samples' axis")
    batch = x.batch if x.batch is None or keepdims or x.batch < axis else x.batch - 1
    return g.operator("arg_max", x, batch=batch, axis=axis, keepdims=bool(keepdims), last=bool(last), largest=largest)


def arg_max(g: Builder, x: Operand, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Node:
    """ArgMax."""
    return extreme(g, x, axis, keepdims, select_last_index, True)


def arg_min(g: Builder, x: Operand, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Node:
    """ArgMin."""
    return extreme(g, x, axis, keepdims, select_last_index, False)


def sigmoid(g: Builder, x: Operand) -> Node:
    """Sigmoid."""
    return g.elementwise("sigmoid", x)


def tanh(g: Builder, x: Operand) -> Node:
    """Tanh."""
    return g.elementwise("tanh", x)


def exp(g: Builder, x: Operand) -> Node:
    """Exp."""
    return g.elementwise("exp", x)


LOWERINGS: dict[str, Lowering] = {
    "Add": add,
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "Cast": cast,
    "CastLike": cast_like,
    "Clip": clip,
    "Constant": constant_value,
    "Div": div,
    "Dropout": dropout,
    "Exp": exp,
    "Identity": same,
    "LeakyRelu": leaky_relu,
    "LogSoftmax": log_softmax,
    "Mean": mean,
    "Mul": mul,
    "Neg": neg,
    "PRelu": prelu,
    "Relu": relu,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
    "Sub": sub,
    "Sum": sum_,
    "Tanh": tanh,
}
