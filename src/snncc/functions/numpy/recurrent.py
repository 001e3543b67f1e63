# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers in plain NumPy: their definition. Names and options as in `functions.torch.recurrent`.

Each sequence of the batch runs on its own, as long as it is; `scan` does what the three cells have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Cell: TypeAlias = Callable[[Array, list[Array]], list[Array]]


def act(name: str, alpha: float, beta: float, x: Array) -> Array:
    """One activation by its ONNX name in lower case."""
    match name:
        case "affine":
            y = alpha * x + beta
        case "elu":
            y = np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))
        case "hardsigmoid":
            y = np.minimum(np.maximum(alpha * x + beta, 0), 1)
        case "leakyrelu":
            y = np.where(x < 0, alpha * x, x)
        case "relu":
            y = np.maximum(x, 0)
        case "scaledtanh":
            y = alpha * np.tanh(beta * x)
        case "sigmoid":
            y = 0.5 * (1 + np.tanh(0.5 * x))
        case "softplus":
            y = np.logaddexp(0, x)
        case "softsign":
            y = x / (1 + np.abs(x))
        case "tanh":
            y = np.tanh(x)
        case "thresholdedrelu":
            y = x * (x > alpha)
        case _:
            raise ValueError(name)
    return np.asarray(y)


def scan(
    gates: Array,
    hidden: int,
    states: Sequence[Array],
    lengths: Array,
    reverse: Sequence[bool],
    cells: Sequence[Cell],
    output: str,
) -> Array:
    """Run `cells[d]` over each sequence in direction d; state 0 is the output of a step."""
    length, count, width = gates.shape[0], gates.shape[1], gates.shape[2] // len(reverse)
    y = np.zeros((length, len(reverse), count, hidden), gates.dtype)
    last = np.zeros((len(states), len(reverse), count, hidden), gates.dtype)
    for d, cell in enumerate(cells):
        for n in range(count):
            state = [s[d, n if s.shape[1] > 1 else 0] for s in states]
            own = int(lengths[n if len(lengths) > 1 else 0])
            order = range(own - 1, -1, -1) if reverse[d] else range(own)
            for t in order:
                state = cell(gates[t, n, d * width : (d + 1) * width], state)
                y[t, d, n] = state[0]
            last[:, d, n] = state
    return y if output == "y" else last[1 if output == "y_c" else 0]


def bounded(x: Array, clip: float | None) -> Array:
    """x in [-clip, clip]."""
    return x if clip is None else np.minimum(np.maximum(x, -clip), clip)


def lstm(
    gates: Array,
    weight: Array,
    peephole: Array,
    h0: Array,
    c0: Array,
    lengths: Array,
    *,
    reverse: Sequence[bool],
    activations: Sequence[str],
    alpha: Sequence[float],
    beta: Sequence[float],
    clip: float | None,
    input_forget: bool,
    output: str,
) -> Array:
    """i, f = act(x + R h + P C); C' = f C + i act(x + R h); o = act(x + R h + P C'); h = o act(C')."""
    size = weight.shape[-1]

    def cell(d: int) -> Cell:
        f, g, out = [(activations[k], alpha[k], beta[k]) for k in range(3 * d, 3 * d + 3)]
        r, p = weight[d].reshape(4, size, size), peephole[d].reshape(3, size)

        def step(x: Array, state: list[Array]) -> list[Array]:
            h, c = state
            x = x.reshape(4, size)
            i = act(*f, bounded(x[0] + r[0] @ h + p[0] * c, clip))
            forget = 1 - i if input_forget else act(*f, bounded(x[2] + r[2] @ h + p[2] * c, clip))
            c = forget * c + i * act(*g, bounded(x[3] + r[3] @ h, clip))
            o = act(*f, bounded(x[1] + r[1] @ h + p[1] * c, clip))
            return [o * act(*out, c), c]

        return step

    return scan(gates, size, [h0, c0], lengths, reverse, [cell(d) for d in range(len(reverse))], output)


def gru(
    gates: Array,
    weight: Array,
    bias: Array,
    h0: Array,
    lengths: Array,
    *,
    reverse: Sequence[bool],
    activations: Sequence[str],
    alpha: Sequence[float],
    beta: Sequence[float],
    clip: float | None,
    reset_after: bool,
    output: str,
) -> Array:
    """z, r = act(x + R h); h' = act(x + R (r h) + b), or act(x + r (R h + b)); h = (1 - z) h' + z h."""
    size = weight.shape[-1]

    def cell(d: int) -> Cell:
        f, g = [(activations[k], alpha[k], beta[k]) for k in range(2 * d, 2 * d + 2)]
        rec = weight[d].reshape(3, size, size)

        def step(x: Array, state: list[Array]) -> list[Array]:
            (h,) = state
            x = x.reshape(3, size)
            z = act(*f, bounded(x[0] + rec[0] @ h, clip))
            r = act(*f, bounded(x[1] + rec[1] @ h, clip))
            inner = r * (rec[2] @ h + bias[d]) if reset_after else rec[2] @ (r * h) + bias[d]
            return [(1 - z) * act(*g, bounded(x[2] + inner, clip)) + z * h]

        return step

    return scan(gates, size, [h0], lengths, reverse, [cell(d) for d in range(len(reverse))], output)


def rnn(
    gates: Array,
    weight: Array,
    h0: Array,
    lengths: Array,
    *,
    reverse: Sequence[bool],
    activations: Sequence[str],
    alpha: Sequence[float],
    beta: Sequence[float],
    clip: float | None,
    output: str,
) -> Array:
    """h = act(x + R h)."""

    def cell(d: int) -> Cell:
        return lambda x, state: [act(activations[d], alpha[d], beta[d], bounded(x + weight[d] @ state[0], clip))]

    cells = [cell(d) for d in range(len(reverse))]
    return scan(gates, weight.shape[-1], [h0], lengths, reverse, cells, output)
