# SPDX-License-Identifier: Apache-2.0
"""Every node type, and the groups that passes and executors speak of."""

from __future__ import annotations

from snncc.ir.differential import Differential
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
from snncc.neurons.adaptive_if.node import AdaptiveIF
from snncc.neurons.encoder.node import Encoder
from snncc.neurons.integrate_and_fire.node import IF
from snncc.neurons.leaky_if.node import LeakyIF
from snncc.neurons.msat.node import MsatIF
from snncc.neurons.multi_threshold.node import MultiThreshold
from snncc.neurons.node import Attribute, Call, Ints, Neuron, Node, Spiking
from snncc.neurons.signed_if.node import CentredIF, SignedIF

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
    "SOURCES",
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
    "Spiking",
    "Sum",
    "Transpose",
    "Window",
]
