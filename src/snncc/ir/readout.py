# SPDX-License-Identifier: Apache-2.0
"""How the output of a network is read: one row per sample, and the class that it chooses."""

from __future__ import annotations

import numpy as np

from snncc.ir.network import Array
from snncc.ir.nodes import Node


def choices(output: Array) -> Array:
    """What each sample chose: the arg max of its output, or the output itself where that is an index."""
    flat = output.reshape(len(output), -1)
    return flat[:, 0].round().astype(np.int64) if flat.shape[1] == 1 else flat.argmax(1)


def output_first(array: Array, node: Node, samples: int = 1) -> Array:
    """(N, ...) from the value of a node, the rows of one sample on an axis of their own; `samples` may share it."""
    if node.batch is None:
        return np.broadcast_to(array.reshape(-1, *node.shape), (samples, *node.shape))
    split = (*array.shape[: node.batch], -1, node.shape[node.batch], *array.shape[node.batch + 1 :])
    return np.moveaxis(array.reshape(split), node.batch, 0)
