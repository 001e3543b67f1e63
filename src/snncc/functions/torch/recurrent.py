# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers in torch. Gates come projected (X W^T + b): (length, N, directions x gates x hidden)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def recurrent_activation(x: Tensor, kind: Sequence[str | float]) -> Tensor:
    """The activation that `kind` = (name, alpha, beta) names."""
    name, alpha, beta = str(kind[0]), float(kind[1]), float(kind[2])
    functions = {
        "affine": lambda: alpha * x + beta,
        "elu": lambda: torch.where(x > 0, x, alpha * torch.expm1(x)),
        "hardsigmoid": lambda: (alpha * x + beta).clamp(0, 1),
        "leakyrelu": lambda: torch.where(x >= 0, x, alpha * x),
        "relu": lambda: torch.relu(x),
        "scaledtanh": lambda: alpha * torch.tanh(beta * x),
        "sigmoid": lambda: torch.sigmoid(x),
        "softplus": lambda: torch.nn.functional.softplus(x),
        "softsign": lambda: x / (1 + x.abs()),
        "tanh": lambda: torch.tanh(x),
        "thresholdedrelu": lambda: torch.where(x > alpha, x, 0),
    }
    return functions[name]()


def recurrent_kinds(
    activations: Sequence[str], alpha: Sequence[float], beta: Sequence[float], direction: int, count: int
) -> list[tuple[str, float, float]]:
    """The activations of one direction."""
    begin, end = direction * count, (direction + 1) * count
    return list(zip(activations[begin:end], alpha[begin:end], beta[begin:end], strict=True))


def recurrent_clip(x: Tensor, clip: float | None) -> Tensor:
    """x in [-clip, clip]."""
    return x if clip is None else x.clamp(-clip, clip)


def recurrent_output(sequences: Sequence[Tensor], last: Sequence[Tensor], output: str) -> Tensor:
    """Y (length, directions, N, hidden), or the last state (directions, N, hidden)."""
    return torch.stack(list(sequences), 1) if output == "y" else torch.stack(list(last))


def recurrent_live(t: int, lengths: Tensor) -> Tensor:
    """Which sequences are not yet over at step t: (N, 1)."""
    return (t < lengths).unsqueeze(-1)


def lstm(
    gates: Tensor,
    weight: Tensor,
    peephole: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor,
    *,
    reverse: Sequence[bool],
    activations: Sequence[str],
    alpha: Sequence[float],
    beta: Sequence[float],
    clip: float | None,
    input_forget: bool,
    output: str,
) -> Tensor:
    """LSTM; (i, o, f, c) = gates + h R^T; C = f c + i g; h = o act(C). A finished sequence keeps its state, Y is 0."""
    steps, size = range(gates.shape[0]), weight.shape[-1]
    sequences, last_h, last_c = [], [], []
    for d, backwards in enumerate(reverse):
        f_act, g_act, h_act = recurrent_kinds(activations, alpha, beta, d, 3)
        own = gates[..., 4 * size * d : 4 * size * (d + 1)]
        h, c = h0[d] + torch.zeros_like(own[0, :, :size]), c0[d] + torch.zeros_like(own[0, :, :size])
        p_i, p_o, p_f = peephole[d].chunk(3)
        ys: list[Tensor] = []
        for t in reversed(steps) if backwards else steps:
            i, o, f, g = (own[t] + h @ weight[d].T).chunk(4, -1)
            i = recurrent_activation(recurrent_clip(i + p_i * c, clip), f_act)
            f = 1 - i if input_forget else recurrent_activation(recurrent_clip(f + p_f * c, clip), f_act)
            new_c = f * c + i * recurrent_activation(recurrent_clip(g, clip), g_act)
            o = recurrent_activation(recurrent_clip(o + p_o * new_c, clip), f_act)
            new_h = o * recurrent_activation(new_c, h_act)
            live = recurrent_live(t, lengths)
            h, c = torch.where(live, new_h, h), torch.where(live, new_c, c)
            ys.append(torch.where(live, new_h, 0))
        sequences.append(torch.stack(ys[::-1] if backwards else ys))
        last_h.append(h)
        last_c.append(c)
    return recurrent_output(sequences, last_c if output == "y_c" else last_h, output)


def gru(
    gates: Tensor,
    weight: Tensor,
    bias: Tensor,
    h0: Tensor,
    lengths: Tensor,
    *,
    reverse: Sequence[bool],
    activations: Sequence[str],
    alpha: Sequence[float],
    beta: Sequence[float],
    clip: float | None,
    reset_after: bool,
    output: str,
) -> Tensor:
    """GRU; z, r from gates + h R^T; h' = act(gate + (r h) R^T + b), or r (h R^T + b) inside; h = (1 - z) h' + z h."""
    steps, size = range(gates.shape[0]), weight.shape[-1]
    sequences, last = [], []
    for d, backwards in enumerate(reverse):
        f_act, g_act = recurrent_kinds(activations, alpha, beta, d, 2)
        own = gates[..., 3 * size * d : 3 * size * (d + 1)]
        h = h0[d] + torch.zeros_like(own[0, :, :size])
        w_zr, w_h = weight[d, : 2 * size].T, weight[d, 2 * size :].T
        ys: list[Tensor] = []
        for t in reversed(steps) if backwards else steps:
            z, r = recurrent_activation(recurrent_clip(own[t, :, : 2 * size] + h @ w_zr, clip), f_act).chunk(2, -1)
            fed = r * (h @ w_h + bias[d]) if reset_after else (r * h) @ w_h + bias[d]
            new = (1 - z) * recurrent_activation(recurrent_clip(own[t, :, 2 * size :] + fed, clip), g_act) + z * h
            live = recurrent_live(t, lengths)
            h = torch.where(live, new, h)
            ys.append(torch.where(live, new, 0))
        sequences.append(torch.stack(ys[::-1] if backwards else ys))
        last.append(h)
    return recurrent_output(sequences, last, output)


def rnn(
    gates: Tensor,
    weight: Tensor,
    h0: Tensor,
    lengths: Tensor,
    *,
    reverse: Sequence[bool],
    activations: Sequence[str],
    alpha: Sequence[float],
    beta: Sequence[float],
    clip: float | None,
    output: str,
) -> Tensor:
    """Elman network; h = act(gate + h R^T)."""
    steps, size = range(gates.shape[0]), weight.shape[-1]
    sequences, last = [], []
    for d, backwards in enumerate(reverse):
        (act,) = recurrent_kinds(activations, alpha, beta, d, 1)
        own = gates[..., size * d : size * (d + 1)]
        h = h0[d] + torch.zeros_like(own[0])
        ys: list[Tensor] = []
        for t in reversed(steps) if backwards else steps:
            new = recurrent_activation(recurrent_clip(own[t] + h @ weight[d].T, clip), act)
            live = recurrent_live(t, lengths)
            h = torch.where(live, new, h)
            ys.append(torch.where(live, new, 0))
        sequences.append(torch.stack(ys[::-1] if backwards else ys))
        last.append(h)
    return recurrent_output(sequences, last, output)
