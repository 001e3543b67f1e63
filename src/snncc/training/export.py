# SPDX-License-Identifier: Apache-2.0
"""A trained network as an ONNX model; quantised activations as Floor(v/s + 1/2), so that ties round up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from snncc.errors import UsageError
from snncc.ir.network import Network
from snncc.ir.nodes import (
    Affine,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Input,
    Linear,
    MaxPool,
    Node,
    Operator,
    Pad,
    QuantizedRelu,
    Reduce,
    Relu,
    Reshape,
    Slice,
    Sum,
    Transpose,
    Window,
)

OPSET = 17
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32}


@dataclass(slots=True)
class Writer:
    """The nodes and initializers written so far."""

    net: Network
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """An initializer."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def array(self, name: str) -> str:
        """An array of the network."""
        return self.constant(name, self.net.arrays[name], self.net.arrays[name].dtype)

    def put(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def window(node: Window) -> dict[str, Any]:
    """The attributes of a convolution or pool."""
    return {"strides": node.stride, "pads": node.padding, "dilations": node.dilation}


def conv(w: Writer, node: Conv) -> None:
    """Conv."""
    arrays = [w.array(name) for name in (node.weight, node.bias) if name]
    kernel = w.net.arrays[node.weight].shape[2:]
    w.put("Conv", [*node.inputs, *arrays], node.name, **window(node), group=node.groups, kernel_shape=kernel)


def conv_transpose(w: Writer, node: ConvTranspose) -> None:
    """ConvTranspose."""
    arrays = [w.array(name) for name in (node.weight, node.bias) if name]
    options = {"group": node.groups, "output_padding": node.output_padding}
    w.put("ConvTranspose", [*node.inputs, *arrays], node.name, **window(node), **options)


def linear(w: Writer, node: Linear) -> None:
    """Gemm on matrices, else MatMul along the last axis."""
    weight, bias = w.net.arrays[node.weight], node.bias
    if len(node.shape) == 2 and node.axis == 1:
        w.put("Gemm", [*node.inputs, *[w.array(n) for n in (node.weight, bias) if n]], node.name, transB=1)
        return
    if node.axis != len(node.shape) - 1:
        raise UsageError(f"{node.name}: a matrix along axis {node.axis} cannot be written", cure="see `finetune`")
    matrix = w.constant(f"{node.name}/matrix", weight.T)
    if bias is None:
        w.put("MatMul", [*node.inputs, matrix], node.name)
    else:
        w.put("Add", [w.put("MatMul", [*node.inputs, matrix], f"{node.name}/product"), w.array(bias)], node.name)


def batch_norm(w: Writer, node: BatchNorm) -> None:
    """BatchNormalization."""
    arrays = [w.array(name) for name in (node.gamma, node.beta, node.mean, node.variance)]
    w.put("BatchNormalization", [*node.inputs, *arrays], node.name, epsilon=node.epsilon)


def affine(w: Writer, node: Affine) -> None:
    """Mul and Add."""
    value = node.inputs[0]
    if node.scale:
        value = w.put("Mul", [value, w.array(node.scale)], f"{node.name}/scaled" if node.shift else node.name)
    if node.shift:
        w.put("Add", [value, w.array(node.shift)], node.name)
    if not node.scale and not node.shift:
        w.put("Identity", [value], node.name)


def weighted_sum(w: Writer, node: Sum) -> None:
    """Add of scaled branches."""
    terms = []
    for i, (name, c) in enumerate(zip(node.inputs, node.coefficients, strict=True)):
        scale = w.constant(f"{node.name}/coefficient{i}", c)
        terms.append(name if c == 1 else w.put("Mul", [name, scale], f"{node.name}/term{i}"))
    w.put("Sum", terms, node.name)


def average_pool(w: Writer, node: AveragePool) -> None:
    """AveragePool."""
    options = {"kernel_shape": node.kernel, "strides": node.stride, "pads": node.padding}
    flags = {"ceil_mode": int(node.ceil_mode), "count_include_pad": int(node.count_include_pad)}
    if any(d != 1 for d in node.dilation):
        raise UsageError(f"{node.name}: an average pool with dilation cannot be written", cure="use a convolution")
    w.put("AveragePool", list(node.inputs), node.name, **options, **flags)


def max_pool(w: Writer, node: MaxPool) -> None:
    """MaxPool."""
    w.put(
        "MaxPool", list(node.inputs), node.name, **window(node), kernel_shape=node.kernel, ceil_mode=int(node.ceil_mode)
    )


def reduce(w: Writer, node: Reduce) -> None:
    """ReduceMean, ReduceSum."""
    if node.op == "mean":
        w.put("ReduceMean", list(node.inputs), node.name, axes=node.axes, keepdims=int(node.keepdims))
        return
    axes = w.constant(f"{node.name}/axes", node.axes, np.int64)
    w.put("ReduceSum", [*node.inputs, axes], node.name, keepdims=int(node.keepdims))


def take_slice(w: Writer, node: Slice) -> None:
    """Slice."""
    stop = node.start + node.step * node.shape[node.axis]
    given = {"start": node.start, "stop": stop if stop >= 0 else -(2**62), "axis": node.axis, "step": node.step}
    parts = [w.constant(f"{node.name}/{key}", [value], np.int64) for key, value in given.items()]
    w.put("Slice", [*node.inputs, *parts], node.name)


def pad(w: Writer, node: Pad) -> None:
    """Pad."""
    parts = [w.constant(f"{node.name}/pads", node.padding, np.int64), w.constant(f"{node.name}/value", node.value)]
    w.put("Pad", [*node.inputs, *parts], node.name, mode=node.mode)


def reshape(w: Writer, node: Reshape) -> None:
    """Reshape with the samples' axis free."""
    shape = w.constant(f"{node.name}/shape", node.call().options["shape"], np.int64)
    w.put("Reshape", [*node.inputs, shape], node.name)


def clip(w: Writer, node: Clip) -> None:
    """Clip."""
    bounds = [("low", node.low), ("high", node.high)]
    parts = ["" if value is None else w.constant(f"{node.name}/{key}", value) for key, value in bounds]
    w.put("Clip", [*node.inputs, *parts], node.name)


def quantized(w: Writer, node: QuantizedRelu) -> None:
    """amplitude Clip(Floor(v / step + 1/2), 0, levels)."""
    arrays = w.net.arrays
    if not np.allclose(arrays[node.offset], arrays[node.step] / 2):
        raise UsageError(f"{node.name} does not round half up", cure="write it before absorb_batchnorm")
    name = node.name
    value = w.put("Div", [node.inputs[0], w.array(node.step)], f"{name}/ratio")
    value = w.put("Add", [value, w.constant(f"{name}/half", 0.5)], f"{name}/shifted")
    value = w.put("Floor", [value], f"{name}/floor")
    ends = [w.constant(f"{name}/zero", 0.0), *([w.constant(f"{name}/levels", node.levels)] if node.levels else [])]
    value = w.put("Clip", [value, *ends], f"{name}/level")
    w.put("Mul", [value, w.array(node.amplitude)], name)


def operator(w: Writer, node: Operator) -> None:
    """The operators of classifiers' ends."""
    if node.op not in ("softmax", "log_softmax"):
        raise UsageError(f"{node.name}: the operator {node.op} cannot be written", cure="finetune knows layered nets")
    axes = node.attributes["axes"]
    kind = "Softmax" if node.op == "softmax" else "LogSoftmax"
    w.put(kind, list(node.inputs), node.name, axis=axes[0] if isinstance(axes, tuple) else -1)


def relu(w: Writer, node: Relu) -> None:
    """Relu."""
    w.put("Relu", list(node.inputs), node.name)


def concat(w: Writer, node: Concat) -> None:
    """Concat."""
    w.put("Concat", list(node.inputs), node.name, axis=node.axis)


def transpose(w: Writer, node: Transpose) -> None:
    """Transpose."""
    w.put("Transpose", list(node.inputs), node.name, perm=node.permutation)


def constant(w: Writer, node: Constant) -> None:
    """A constant value."""
    w.put("Identity", [w.array(node.value)], node.name)


def source(w: Writer, node: Input) -> None:
    """An input needs no node."""


WRITERS: dict[type[Node], Callable[[Writer, Any], None]] = {
    Conv: conv,
    ConvTranspose: conv_transpose,
    Linear: linear,
    BatchNorm: batch_norm,
    Affine: affine,
    Sum: weighted_sum,
    AveragePool: average_pool,
    MaxPool: max_pool,
    Reduce: reduce,
    Slice: take_slice,
    Pad: pad,
    Reshape: reshape,
    Clip: clip,
    QuantizedRelu: quantized,
    Operator: operator,
    Relu: relu,
    Concat: concat,
    Transpose: transpose,
    Constant: constant,
    Input: source,
}


def to_onnx(net: Network, name: str) -> onnx.ModelProto:
    """The model; raises UsageError for a node that it cannot write."""
    writer = Writer(net)
    for node in net.nodes:
        if type(node) not in WRITERS:
            raise UsageError(
                f"{node.name}: {type(node).__name__} cannot be written", cure="finetune knows convolutional nets"
            )
        WRITERS[type(node)](writer, node)

    def info(node: Node) -> onnx.ValueInfoProto:
        shape = ["N" if i == node.batch and extent == 1 else extent for i, extent in enumerate(node.shape)]
        return helper.make_tensor_value_info(node.name, TYPES[node.dtype], shape)

    graph = helper.make_graph(
        writer.nodes,
        name,
        [info(node) for node in net.inputs],
        [info(net[output]) for output in net.outputs],
        list(writer.initializers.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="snncc")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model
