# SPDX-License-Identifier: Apache-2.0
"""Activations replaced by neurons whose threshold changes with time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from snncc.errors import RecipeError
from snncc.ir.network import Network
from snncc.ir.nodes import ACTIVATIONS, Clip, Node, Relu

BESIDE = "report it beside a constant threshold (method rmp) and a half-threshold start (method opi)"


def replaced_activations(net: Network, name: str, make: Callable[[dict[str, Any]], Node]) -> Network:
    """Every activation replaced by a neuron with threshold 1; refuses activations that emit negative values."""

    def change(node: Node) -> Node:
        if not isinstance(node, ACTIVATIONS) or node.name not in net.varying:
            return node
        if not isinstance(node, Relu | Clip):
            raise RecipeError(
                f"{name}: {node.name} is a {type(node).__name__}, which has no form with a changing threshold",
                cure="convert with select_neuron (methods matched, dnisnm), or retrain with ReLU",
            )
        common = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "batch": node.batch}
        return make({**common, "threshold": "unit", "amplitude": "unit", "v_init": "zero"})

    return net.rewrite(change, {"unit": np.ones((), np.float32), "zero": np.zeros((), np.float32)}, stage="snn")
