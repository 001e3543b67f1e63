# SPDX-License-Identifier: Apache-2.0
"""Every node type, and the groups that passes and executors speak of."""

from __future__ import annotations

from snncc.ir.base import Attribute, Call, Ints, Node
from snncc.ir.function_nodes import Clip, Foreign, LeakyRelu, MaxPool, Operator, Relu
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
from snncc.ir.spiking_nodes import IF, Differential, LeakyIF, Neuron, SignedIF

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
ACTIVATIONS = (Relu, Clip, LeakyRelu)
NEURONS = (IF, SignedIF, LeakyIF)

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
    | MaxPool
    | Operator
    | Foreign
    | IF
    | SignedIF
    | LeakyIF
    | Differential
)

__all__ = [
    "ACTIVATIONS",
    "IF",
    "LINEAR_NODES",
    "NEURONS",
    "SOURCES",
    "Affine",
    "AnyNode",
    "Attribute",
    "AveragePool",
    "BatchNorm",
    "Call",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Differential",
    "Expand",
    "Foreign",
    "Input",
    "Ints",
    "LeakyIF",
    "LeakyRelu",
    "Linear",
    "MaxPool",
    "Neuron",
    "Node",
    "Operator",
    "Pad",
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
