# SPDX-License-Identifier: Apache-2.0
"""A trained network as an ONNX model, written as exporters write it where `functions.onnx` writes what emits spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

from snncc.errors import UsageError
from snncc.execute.onnx.step import info, model_of, shown, started
from snncc.functions.onnx.graph import Graph
from snncc.functions.onnx.table import FUNCTIONS
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Constant, Foreign, Input, Node, Repeat

TEXT = "A network trained for a spiking one: quantised activations are Floor(v/s + 1/2), so that ties round up."


def linear(g: Graph, node: Node, x: str, weight: Array, bias: Array | None, *, axis: int, offset: None) -> str:
    """Gemm on matrices."""
    if len(node.shape) == 2 and axis == 1:
        return g.op("Gemm", x, weight, *([] if bias is None else [bias]), transB=1)
    return FUNCTIONS["linear"](g, node, x, weight, bias, axis=axis, offset=offset)


def batch_norm(g: Graph, node: Node, x: str, *arrays: Array, epsilon: float, offset: None) -> str:
    """BatchNormalization, with the network's own gamma, beta, mean and variance."""
    return g.op("BatchNormalization", x, *arrays, epsilon=epsilon)


def pool(g: Graph, operator: str, x: str, kernel: Sequence[int], window: dict[str, Any], **options: int) -> str:
    """A pool that pads by itself: Pad with -inf in front of one could not spike."""
    named = {"strides": window["stride"], "pads": window["padding"], "dilations": window["dilation"]}
    return g.op(operator, x, kernel_shape=kernel, ceil_mode=int(window["ceil_mode"]), **named, **options)


def max_pool(g: Graph, node: Node, x: str, *, kernel: Sequence[int], **window: Any) -> str:
    """MaxPool."""
    return pool(g, "MaxPool", x, kernel, window)


def average_pool(g: Graph, node: Node, x: str, *, kernel: Sequence[int], count_include_pad: bool, **window: Any) -> str:
    """AveragePool."""
    return pool(g, "AveragePool", x, kernel, window, count_include_pad=int(count_include_pad))


def clip(g: Graph, node: Node, x: str, *, low: float | None, high: float | None) -> str:
    """Clip."""
    return g.op("Clip", x, *[None if end is None else g.constant(float(end)) for end in (low, high)])


def softmax(g: Graph, node: Node, x: str, *, axes: Sequence[int]) -> str:
    """Softmax, along one axis."""
    return g.op("Softmax", x, axis=axes[0]) if len(axes) == 1 else FUNCTIONS["softmax"](g, node, x, axes=axes)


def log_softmax(g: Graph, node: Node, x: str, *, axes: Sequence[int]) -> str:
    """LogSoftmax, along one axis."""
    return g.op("LogSoftmax", x, axis=axes[0]) if len(axes) == 1 else FUNCTIONS["log_softmax"](g, node, x, axes=axes)


def quantized_relu(
    g: Graph, node: Node, x: str, step: Array, offset: Array, amplitude: Array, *, levels: int | None
) -> str:
    """amplitude Clip(Floor(v / step + 1/2), 0, levels)."""
    if not np.allclose(offset, step / 2):
        raise UsageError(f"{node.name} does not round half up", cure="write it before absorb_batchnorm")
    count = g.op("Floor", g.op("Add", g.op("Div", x, step), 0.5))
    return g.op("Mul", clip(g, node, count, low=0.0, high=levels), amplitude)


#: What the functions are as layers, as exporters write them and passes look for them.
LAYERS: dict[str, Callable[..., str]] = {
    **FUNCTIONS,
    **{f.__name__: f for f in (linear, batch_norm, max_pool, average_pool, clip, softmax, log_softmax, quantized_relu)},
}


def to_onnx(net: Network, name: str) -> onnx.ModelProto:
    """The model; raises UsageError for a node that it cannot write."""
    g, values = started(net, np.float32, [])
    for node in net.nodes:
        g.scope = node.name
        if isinstance(node, Input):
            continue
        if isinstance(node, Constant):
            value = g.op("Identity", net.arrays[node.value])
        elif isinstance(node, Repeat | Foreign):
            raise UsageError(
                f"{node.name}: {type(node).__name__} cannot be written", cure="finetune knows layered nets"
            )
        else:
            call = node.call()
            arrays = [None if key is None else net.arrays[key] for key in call.arrays]
            extra = {"offset": None} if call.offset else {}
            value = LAYERS[call.function](g, node, *[values[n] for n in node.inputs], *arrays, **call.options, **extra)
        values[node.name] = g.rename_last(value, node.name)
    outputs = [(shown(g, net, values[output], output), net[output]) for output in net.outputs]
    model = model_of(
        g,
        name,
        [info(g, node.name, node.shape, node.batch) for node in net.inputs],
        [info(g, value, node.shape, node.batch) for value, node in outputs],
        TEXT,
        {},
    )
    onnx.checker.check_model(model)
    return model
