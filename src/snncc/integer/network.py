# SPDX-License-Identifier: Apache-2.0
"""`IntegerNetwork` and `lower`, which makes one from a spiking network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from snncc.data.dataset import Dataset
from snncc.errors import EmitError, UsageError
from snncc.integer.covariance import input_covariances
from snncc.integer.folding import fold_affines
from snncc.integer.inputs import InputScale, input_scale
from snncc.integer.lowering import ROUTES, Lowering
from snncc.integer.upsampling import spread_repeats
from snncc.integer.weights import LARGEST, Precision
from snncc.integer.widths import Width, proved_widths
from snncc.ir.check import check
from snncc.ir.network import Array, Network, frozen
from snncc.ir.nodes import Differential, Operator

MAX_TIMESTEPS = 256
#: Functions at the very end that do not change which entry is the largest.
MONOTONE = ("softmax", "log_softmax", "sigmoid")


@dataclass(frozen=True, kw_only=True)
class IntegerNetwork:
    """A network of whole numbers and what they stand for.

    `input`: the byte of a real input. The sum of an output over the steps, times its `output_scale` and divided by
    D(t), approximates the ANN's output. `widths`: the proved range of every accumulator and membrane for all inputs and
    every T up to `max_timesteps`.
    """

    network: Network
    widths: tuple[Width, ...]
    input: InputScale
    output_scale: Mapping[str, float]
    weights: Precision = "int8"
    max_timesteps: int = MAX_TIMESTEPS
    #: By output of the network in floats: the output here, and the functions left out behind it.
    readout: Mapping[str, tuple[str, tuple[Operator, ...]]] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user must know."""
        left = [node for _, functions in self.readout.values() for node in functions]
        return tuple(f"{node.name} is left out: the largest entry is the same without it" for node in left)

    def quantized(self, x: Array) -> Array:
        """An input as the bytes that the network reads."""
        return self.input.quantized(x)

    @property
    def input_scale(self) -> float | tuple[float, ...]:
        """The scale of the input, or one per channel."""
        return self.input.scale[0] if len(self.input.scale) == 1 else self.input.scale

    def refuse_longer(self, timesteps: int) -> None:
        """Raise UsageError for a T beyond the one for which the widths are proved."""
        if timesteps > self.max_timesteps:
            raise UsageError(
                f"T={timesteps}: the widths of the integer network are proved for T up to {self.max_timesteps}",
                cure="simulate fewer steps, or emit it with a larger --max-timesteps",
            )


def without_softmax(net: Network) -> tuple[Network, dict[str, tuple[str, tuple[Operator, ...]]]]:
    """The network whose outputs are what the last softmax (or sigmoid) reads, where the largest entry is the same one.

    Also by output of `net`: the new output, and the functions that stood behind it.
    """
    found: dict[str, tuple[str, tuple[Operator, ...]]] = {}
    for name in net.outputs:
        node, functions = net[name], tuple[Operator, ...]()
        while isinstance(node, Differential) and isinstance(node.function, Operator) and node.function.op in MONOTONE:
            functions = (node.function, *functions)
            node = net[node.inputs[0]]
        found[name] = node.name, functions
    return replace(net, outputs=tuple(dict.fromkeys(name for name, _ in found.values()))).pruned(), found


def uniform_values(net: Network) -> frozenset[str]:
    """The values that must have one unit: outputs and what routes bring to them."""
    found = set(net.outputs)
    for node in reversed(net.nodes):
        if node.name in found and isinstance(node, ROUTES):
            found.update(node.inputs)
    return frozenset(found)


def lower(
    network: Network, samples: Dataset, *, weights: Precision = "int8", max_timesteps: int = MAX_TIMESTEPS
) -> IntegerNetwork:
    """The integer form of a spiking network. `samples` give the range of the input and what the weights multiply, by
    which they are rounded (`rounding`).

    Raises EmitError naming the node that has no integer form or whose values fit no int32, UsageError for T < 1.
    """
    if max_timesteps < 1:
        raise UsageError(f"--max-timesteps must be at least 1, not {max_timesteps}", cure="give a positive number")
    if network.analog_tail is not None:
        raise EmitError(
            "the network ends in a graph of floats", cure="export the model without what follows its outputs"
        )
    net, readout = without_softmax(network)
    net = fold_affines(spread_repeats(net))
    varying = [node for node in net.inputs if node.name in net.varying]
    if len(net.inputs) != 1 or len(varying) != 1:
        raise EmitError(
            f"the network has {len(net.inputs)} inputs; an integer network has one, of floats",
            cure="export a model with one float input",
        )
    given = input_scale(samples, varying[0].name)
    lowering = Lowering(
        net=net,
        largest=LARGEST[weights],
        given=given,
        covariances=input_covariances(net, samples),
        uniform=uniform_values(net),
    )
    lowering.run()
    lowered = Network(
        nodes=tuple(lowering.nodes),
        outputs=net.outputs,
        arrays={name: frozen(a) for name, a in lowering.arrays.items()},
        schedule=net.schedule,
        stage="integer",
    ).pruned()
    check(lowered, "integer lowering")
    return IntegerNetwork(
        network=lowered,
        widths=proved_widths(lowered, max_timesteps),
        input=given,
        output_scale={name: output_unit(name, lowering.scales[name]) for name in net.outputs},
        weights=weights,
        max_timesteps=max_timesteps,
        readout=readout,
    )


def output_unit(name: str, scale: Array) -> float:
    """The one unit of an output; raises EmitError where its entries have several."""
    if not np.allclose(scale, scale.flat[0], rtol=1e-6):
        raise EmitError(f"the entries of the output {name} have several units", cure="convert with --granularity layer")
    return float(scale.flat[0])
