# SPDX-License-Identifier: Apache-2.0
"""The structural check after every pass: names, order, arrays, shapes, and which nodes a stage may hold."""

from __future__ import annotations

from collections.abc import Iterator

from snncc.errors import InvariantBroken
from snncc.ir.network import Network, Stage
from snncc.ir.nodes import (
    ACTIVATIONS,
    LINEAR_NODES,
    AveragePool,
    BatchNorm,
    ConvTranspose,
    Differential,
    Foreign,
    Input,
    MaxPool,
    Neuron,
    Node,
    Operator,
    Repeat,
    Spiking,
)

#: Linear nodes without an integer form, or replaced by one that has it.
REAL = (Repeat, ConvTranspose, BatchNorm, AveragePool)

#: What a value that carries rates may be computed by, stage by stage. Static values may be computed by anything.
LEGAL: dict[str, tuple[type[Node], ...]] = {
    "ann": (Input, *LINEAR_NODES, *ACTIVATIONS, MaxPool, Operator, Foreign, Differential),
    "snn": (Input, *(kind for kind in LINEAR_NODES if kind is not BatchNorm), Operator, Differential, Spiking),
    "integer": (Input, *(kind for kind in LINEAR_NODES if kind not in REAL), Differential, Neuron),
}


def legal(node: Node, stage: Stage) -> bool:
    """Whether a value that carries rates may be computed by this node; any `Neuron` is one of the snn stage."""
    return isinstance(node, LEGAL[stage]) and (stage != "integer" or not isinstance(node, Neuron) or node.WHOLE)


def check(net: Network, after: str) -> None:
    """Raise InvariantBroken naming the pass `after` which the network is not sound."""
    for reason in (*flaws_of_nodes(net), *flaws_of_the_whole(net)):
        raise InvariantBroken(f"after {after}: {reason}")


def flaws_of_nodes(net: Network) -> Iterator[str]:
    """What is wrong with names, order and nodes."""
    seen: set[str] = set()
    for node in net.nodes:
        if node.name in seen:
            yield f"two nodes compute {node.name}"
        if late := [name for name in node.inputs if name not in seen]:
            yield f"{node.name} reads {late[0]}, which no earlier node computes"
        seen.add(node.name)
        yield from flaws(net, node)


def flaws(net: Network, node: Node) -> Iterator[str]:
    """What is wrong with a node."""
    if gone := [name for name in node.array_names() if name not in net.arrays]:
        yield f"{node.name} refers to the array {gone[0]}, which does not exist"
    if isinstance(node, Differential) and {len(node.low), len(node.high), len(node.nonzero)} != {len(node.inputs)}:
        yield f"{node.name} does not bound each of its {len(node.inputs)} arguments"
    if node.batch is not None and not 0 <= node.batch < len(node.shape):
        yield f"{node.name} has its samples on axis {node.batch} of {list(node.shape)}"
    if node.name in net.varying:
        yield from flaws_in_stage(net, node)


def flaws_in_stage(net: Network, node: Node) -> Iterator[str]:
    """Why a value that carries rates may not be computed so in the network's stage."""
    if not legal(node, net.stage):
        yield f"{type(node).__name__} {node.name} may not stand in the {net.stage} stage"
    if net.stage == "snn" and isinstance(node, Operator) and not net.is_linear(node):
        yield f"{node.op} {node.name} is not linear and has no differential form"
    if net.stage == "integer" and (real := [n for n in node.array_names() if net.arrays[n].dtype.kind != "i"]):
        yield f"the array {real[0]} of {node.name} is not of whole numbers"


def flaws_of_the_whole(net: Network) -> Iterator[str]:
    """What is wrong with outputs, arrays and the analog tail."""
    if not net.outputs or len({*net.outputs}) < len(net.outputs):
        yield "there is no output, or one is listed twice"
    names = {node.name for node in net.nodes}
    if unknown := [name for name in net.outputs if name not in names]:
        yield f"the output {unknown[0]} is not computed"
    if net.arrays.keys() - net.array_names():
        yield "arrays are kept that nothing reads"
    if (tail := net.analog_tail) is not None and not ({*tail.inputs} <= {*net.outputs} and tail.model in net.arrays):
        yield "the analog tail reads what is no output, or its model is gone"
