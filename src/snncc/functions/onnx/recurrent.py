# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers as ONNX nodes: their input is the projected gates, so W only picks those of a direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snncc.functions.onnx.graph import Graph
from snncc.neurons.node import Node

#: ONNX's names of the activations, and which of alpha and beta each takes.
ACTIVATIONS = {
    "affine": ("Affine", True, True),
    "elu": ("Elu", True, False),
    "hardsigmoid": ("HardSigmoid", True, True),
    "leakyrelu": ("LeakyRelu", True, False),
    "relu": ("Relu", False, False),
    "scaledtanh": ("ScaledTanh", True, True),
    "sigmoid": ("Sigmoid", False, False),
    "softplus": ("Softplus", False, False),
    "softsign": ("Softsign", False, False),
    "tanh": ("Tanh", False, False),
    "thresholdedrelu": ("ThresholdedRelu", True, False),
}


def per_sequence(g: Graph, value: str, extents: Sequence[int], axis: int, count: str) -> str:
    """A value once per sequence, where it has extent 1 for all of them."""
    if extents[axis] > 1:
        return value
    parts = [count if i == axis else g.shape([extent]) for i, extent in enumerate(extents)]
    return g.op("Expand", value, parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=0))


def layer(
    g: Graph,
    node: Node,
    operator: str,
    gates: str,
    weight: str,
    bias: str | None,
    states: Sequence[tuple[str, int]],
    lengths: tuple[str, int],
    extra: Sequence[str],
    *,
    reverse: Sequence[bool],
    activations: Sequence[str],
    alpha: Sequence[float],
    beta: Sequence[float],
    clip: float | None,
    output: str,
    **attributes: Any,
) -> str:
    """One recurrent operator; `states` and `lengths` with the position of the node's input that they are."""
    directions = len(reverse)
    width = g.shared.shapes[node.inputs[0]][2] // directions
    picks = np.stack([np.eye(directions * width)[d * width : (d + 1) * width] for d in range(directions)])
    count = g.op("Slice", g.op("Shape", gates, kind=np.int64), *[g.shape([i]) for i in (1, 2, 0)])
    shapes = g.shared.shapes
    own = per_sequence(g, g.cast(lengths[0], np.int32), shapes[node.inputs[lengths[1]]], 0, count)
    starts = [per_sequence(g, s, shapes[node.inputs[i]], 1, count) for s, i in states]
    options: dict[str, Any] = {
        "hidden_size": node.shape[-1],
        "direction": "bidirectional" if directions > 1 else "reverse" if reverse[0] else "forward",
        "activations": [ACTIVATIONS[a][0] for a in activations],
        **attributes,
    }
    alphas = [v for a, v in zip(activations, alpha, strict=True) if ACTIVATIONS[a][1]]
    betas = [v for a, v in zip(activations, beta, strict=True) if ACTIVATIONS[a][2]]
    options |= {"activation_alpha": alphas} if alphas else {}
    options |= {"activation_beta": betas} if betas else {}
    options |= {"clip": clip} if clip else {}
    kinds = (g.float_type,) * (1 + len(states))
    results = g.several(operator, [gates, picks, weight, bias, own, *starts, *extra], kinds, **options)
    return results[("y", "y_h", "y_c").index(output)]


def lstm(
    g: Graph,
    node: Node,
    gates: str,
    weight: str,
    peephole: str,
    h0: str,
    c0: str,
    lengths: str,
    *,
    input_forget: bool,
    **options: Any,
) -> str:
    """Long short-term memory."""
    states = [(h0, 3), (c0, 4)]
    options["input_forget"] = int(input_forget)
    return layer(g, node, "LSTM", gates, weight, None, states, (lengths, 5), [peephole], **options)


def gru(
    g: Graph,
    node: Node,
    gates: str,
    weight: str,
    bias: str,
    h0: str,
    lengths: str,
    *,
    reset_after: bool,
    **options: Any,
) -> str:
    """Gated recurrent unit; the gates already hold every bias but that of the recurrent candidate."""
    directions, size, _ = g.shared.shapes[node.inputs[1]]
    full = g.op("Concat", np.zeros((directions, size // 3 * 5), np.float32), bias, axis=1)
    options["linear_before_reset"] = int(reset_after)
    return layer(g, node, "GRU", gates, weight, full, [(h0, 3)], (lengths, 4), [], **options)


def rnn(g: Graph, node: Node, gates: str, weight: str, h0: str, lengths: str, **options: Any) -> str:
    """Simple recurrent layer."""
    return layer(g, node, "RNN", gates, weight, None, [(h0, 2)], (lengths, 3), [], **options)
