# SPDX-License-Identifier: Apache-2.0
"""Every node type, and the groups that passes and executors speak of."""

from __future__ import annotations

from snncc.ir.base import Attribute, Call, Ints, Node
from snncc.ir.function_nodes import Clip, Foreign, LeakyRelu, MaxPool, Operator, QuantizedRelu, Relu
from snncc.ir.linear_nodes import (
    Affine,
    AveragePool,
    BatchNorm,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Expand,
    Input,
    Linear,
    Pad,
    Reduce,
    Repeat,
    Reshape,
    Slice,
    Sum,
    Transpose,
    Window,
)
from snncc.ir.spiking_nodes import (
    IF,
    AdaptiveIF,
    CentredIF,
    Differential,
    Encoder,
    LeakyIF,
    MsatIF,
    MultiThreshold,
    Neuron,
    SignedIF,
)

SOURCES = (Input, Constant)
LINEAR_NODES = (
    Repeat,
    Conv,
    ConvTranspose,
    Linear,
    BatchNorm,
    Affine,
    Sum,
    AveragePool,
    Reduce,
    Concat,
    Slice,
    Pad,
    Reshape,
    Transpose,
    Expand,
)
ACTIVATIONS = (Relu, Clip, LeakyRelu, QuantizedRelu)
NEURONS = (IF, SignedIF, CentredIF, LeakyIF, AdaptiveIF, MsatIF, MultiThreshold)
#: What emits spikes: neurons, and encoders of the input.
SPIKING = (*NEURONS, Encoder)

#: Every node type, as `network.json` may contain it.
AnyNode = (
    Input
    | Constant
    | Repeat
    | Conv
    | ConvTranspose
    | Linear
    | BatchNorm
    | Affine
    | Sum
    | AveragePool
    | Reduce
    | Concat
    | Slice
    | Pad
    | Reshape
    | Transpose
    | Expand
    | Relu
    | Clip
    | LeakyRelu
    | QuantizedRelu
    | MaxPool
    | Operator
    | Foreign
    | IF
    | SignedIF
    | CentredIF
    | LeakyIF
    | AdaptiveIF
    | MsatIF
    | MultiThreshold
    | Encoder
    | Differential
)

__all__ = [
    "ACTIVATIONS",
    "IF",
    "LINEAR_NODES",
    "NEURONS",
    "SOURCES",
    "SPIKING",
    "AdaptiveIF",
    "Affine",
    "AnyNode",
    "Attribute",
    "AveragePool",
    "BatchNorm",
    "Call",
    "CentredIF",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Differential",
    "Encoder",
    "Expand",
    "Foreign",
    "Input",
    "Ints",
    "LeakyIF",
    "LeakyRelu",
    "Linear",
    "MaxPool",
    "MsatIF",
    "MultiThreshold",
    "Neuron",
    "Node",
    "Operator",
    "Pad",
    "QuantizedRelu",
    "Reduce",
    "Relu",
    "Repeat",
    "Reshape",
    "SignedIF",
    "Slice",
    "Sum",
    "Transpose",
    "Window",
]
