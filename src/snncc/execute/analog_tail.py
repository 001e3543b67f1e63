# SPDX-License-Identifier: Apache-2.0
"""The analog tail of a network, evaluated by onnxruntime on the values at read-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.execute.torch_foreign import foreign_session
from snncc.ir.network import Network

Array = npt.NDArray[Any]
TYPES = {"bool": "bool", "double": "float64", "float": "float32"}


def evaluate(network: Network, outputs: Mapping[str, Array], samples: int) -> list[dict[str, Array]]:
    """What the tail computes for each sample; `outputs`: the network's, with the samples on each value's own axis.

    Raises what onnxruntime raises where the tail cannot take the values.
    """
    tail = network.analog_tail
    if tail is None:
        return []
    session = foreign_session(network.arrays[tail.model].tobytes())
    kinds = {i.name: i.type.removeprefix("tensor(").removesuffix(")") for i in session.get_inputs()}
    results = []
    for sample in range(samples):
        feeds = {n: one(network, n, outputs[n], sample).astype(TYPES.get(k, k)) for n, k in kinds.items()}
        results.append(dict(zip(tail.outputs, session.run(list(tail.outputs), feeds), strict=True)))
    return results


def one(network: Network, name: str, value: Array, sample: int) -> Array:
    """A value of one sample, its axis kept."""
    node = network[name]
    if node.batch is None:
        return np.asarray(value).reshape(node.shape)
    extent = node.shape[node.batch]
    return np.asarray(value).take(range(sample * extent, (sample + 1) * extent), node.batch)
