# SPDX-License-Identifier: Apache-2.0
"""The analog tail of a network on the values at read-out, and how what it gives agrees with the ANN's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from snncc.errors import DataError
from snncc.functions.onnx.runtime import ORT_ERRORS
from snncc.functions.torch.foreign import analog_tail
from snncc.ir.network import Network

Array = npt.NDArray[Any]
#: Where the samples of a value lie: their axis and the rows of each.
Places = dict[str, tuple[int, int]]


class TailAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """Of one output of the tail, by T: the share of samples whose result has the shape of the ANN's, and (for indices
    and truth values) the share whose result is the ANN's altogether."""

    shape: dict[str, float]
    equal: dict[str, float] | None


def places(network: Network) -> Places:
    """Where the samples of the tail's inputs lie in the network's outputs."""
    nodes = [network[name] for name in network.analog_tail.inputs] if network.analog_tail else []
    return {node.name: (node.batch, node.shape[node.batch]) for node in nodes if node.batch is not None}


def evaluate(network: Network, outputs: Mapping[str, Any], where: Places) -> list[dict[str, torch.Tensor]]:
    """What the tail computes for each sample; none where the network has no tail.

    Raises DataError where onnxruntime cannot run the tail on these values.
    """
    if (tail := network.analog_tail) is None:
        return []
    values = {name: torch.as_tensor(outputs[name]) for name in tail.inputs}
    shared = [name for name in tail.inputs if name not in where]
    values |= {name: values[name].reshape(-1, *network[name].shape)[0] for name in shared}
    try:
        return analog_tail(torch.from_numpy(network.arrays[tail.model].copy()), values, where)
    except ORT_ERRORS as error:
        raise DataError(f"onnxruntime cannot run the analog tail ({tail}): {error}") from error


class TailTally:
    """Sums over the batches of how the tail's results agree with those on the ANN's values."""

    def __init__(self, network: Network, points: Sequence[int]) -> None:
        self.network, self.points, self.where = network, points, places(network)
        names = network.analog_tail.outputs if network.analog_tail else ()
        self.shape = {name: np.zeros(len(points), np.int64) for name in names}
        self.equal = {name: np.zeros(len(points), np.int64) for name in names}
        self.samples, self.floats = 0, set[str]()

    def add(self, found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
        """One batch: the network's outputs at each of the points, and the ANN's in the same layout."""
        wanted = evaluate(self.network, expected, self.where)
        self.samples += len(wanted)
        for i in range(len(self.points) if wanted else 0):
            got = evaluate(self.network, {name: values[i] for name, values in found.items()}, self.where)
            for mine, right in zip(got, wanted, strict=True):
                for name, y in mine.items():
                    self.shape[name][i] += y.shape == right[name].shape
                    self.equal[name][i] += torch.equal(y, right[name])
                    if y.is_floating_point():
                        self.floats.add(name)

    def agreement(self) -> dict[str, TailAgreement]:
        """By output of the tail."""

        def by_step(counts: Array) -> dict[str, float]:
            return {str(t): int(n) / self.samples for t, n in zip(self.points, counts, strict=True)}

        return {
            name: TailAgreement(
                shape=by_step(self.shape[name]), equal=None if name in self.floats else by_step(self.equal[name])
            )
            for name in self.shape
        }
