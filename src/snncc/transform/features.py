# SPDX-License-Identifier: Apache-2.0
"""The regression behind the correction of weights: what a weighted node sees at each of its output positions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snncc.functions.torch.linear import pad
from snncc.ir.nodes import Conv, ConvTranspose, Linear

Weighted = Conv | ConvTranspose | Linear


def stuffed(x: Tensor, node: ConvTranspose, kernel: tuple[int, ...]) -> Tensor:
    """The input of a transposed convolution with zeros between its entries, padded so that windows of stride 1 over
    it are what each output position sees."""
    n = len(kernel)
    sizes = [(x.shape[2 + i] - 1) * node.stride[i] + 1 for i in range(n)]
    full = x.new_zeros((*x.shape[:2], *sizes))
    full[(slice(None), slice(None), *[slice(None, None, s) for s in node.stride])] = x
    reach = [(kernel[i] - 1) * node.dilation[i] for i in range(n)]
    begin = [reach[i] - node.padding[i] for i in range(n)]
    end = [reach[i] - node.padding[n + i] + node.output_padding[i] for i in range(n)]
    return pad(full, padding=(0, 0, *begin, 0, 0, *end))


def patches(x: Tensor, node: Weighted, weight: Tensor, rows: Tensor) -> Tensor:
    """What the node sees at some output positions: (groups, positions, features per group).

    `rows` are flat indices into the output without its channels: (N, *space) for convolutions, the input without
    `axis` for a linear map.
    """
    if isinstance(node, Linear):
        flat = x.movedim(node.axis, -1)
        return flat.reshape(-1, flat.shape[-1])[rows].unsqueeze(0)
    kernel = tuple(weight.shape[2:])
    n = len(kernel)
    taps = [torch.arange(k) * d for k, d in zip(kernel, node.dilation, strict=True)]
    if isinstance(node, ConvTranspose):
        x, stride, taps = stuffed(x, node, kernel), (1,) * n, [t.flip(0) for t in taps]
    else:
        x, stride = pad(x, padding=(0, 0, *node.padding[:n], 0, 0, *node.padding[n:])), node.stride
    space = x.shape[2:]
    windows = [(space[i] - int(taps[i].max()) - 1) // stride[i] + 1 for i in range(n)]
    first, *corner = torch.unravel_index(rows, (x.shape[0], *windows))
    step = torch.zeros(1, dtype=torch.long)
    for i in range(n):  # the place of each window's first entry in (N, *space), and the steps from there to the others
        first = first * space[i] + corner[i] * stride[i]
        step = (step[:, None] * space[i] + taps[i]).flatten()
    entries = x.movedim(1, -1).reshape(-1, x.shape[1])  # channels side by side: each entry is copied as a whole
    picked: Tensor = entries[first[:, None] + step].unflatten(2, (node.groups, -1))  # (rows, taps, groups, channels)
    return picked.permute(2, 0, 3, 1).flatten(2)


def targets(residual: Tensor, node: Weighted, rows: Tensor) -> Tensor:
    """The residual of the node's output at those positions: (groups, positions, outputs per group)."""
    axis = node.axis if isinstance(node, Linear) else 1
    placed = residual.movedim(axis, -1)
    picked = placed[torch.unravel_index(rows, placed.shape[:-1])]
    groups = 1 if isinstance(node, Linear) else node.groups
    return picked.reshape(len(rows), groups, -1).transpose(0, 1)


def positions(node: Weighted, shape: tuple[int, ...]) -> int:
    """How many output positions a batch has; `shape` is the output's, of the batch."""
    axis = node.axis if isinstance(node, Linear) else 1
    return math.prod(shape) // shape[axis]


def drawn_positions(total: int, count: int, generator: torch.Generator) -> Tensor:
    """At most `count` of `total` output positions, at random, in order."""
    if total <= count:
        return torch.arange(total)
    return torch.randperm(total, generator=generator)[:count].sort().values


def as_coefficients(node: Weighted, weight: Tensor) -> Tensor:
    """The node's weight as coefficients (groups, features, outputs per group), in float64."""
    if isinstance(node, Linear):
        return weight.T[None].double()
    split: Tensor = weight.double().unflatten(0, (node.groups, -1))
    return split.movedim(2, -1).flatten(1, -2) if isinstance(node, ConvTranspose) else split.flatten(2).transpose(1, 2)


def as_weight(delta: Tensor, node: Weighted, weight: Tensor) -> Tensor:
    """Coefficients (groups, features, outputs per group) in the layout of the node's weight."""
    if isinstance(node, Linear):
        return delta[0].T
    kernel = weight.shape[2:]
    groups, _, outputs = delta.shape
    spread = delta.reshape(groups, -1, *kernel, outputs)  # (groups, in/groups, *kernel, out/groups)
    if isinstance(node, ConvTranspose):
        return spread.movedim(-1, 2).reshape(weight.shape)
    return spread.movedim(-1, 1).reshape(weight.shape)


#: Rows whose products are added in the type of the features before they go into sums in float64.
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Moments:
    """What a regression needs of its rows: sums of z z' per group, z = (features, targets, 1), in float64."""

    sums: Tensor  # (groups, features + targets + 1, the same)
    width: int  # features

    @staticmethod
    def of(features: Tensor, wanted: Tensor) -> Moments:
        """Of features (groups, rows, features) and targets (groups, rows, targets)."""
        groups, rows, width = features.shape
        size = width + wanted.shape[2] + 1
        sums = np.zeros((groups, size, size))
        for start in range(0, rows, BLOCK):
            f, r = features[:, start : start + BLOCK], wanted[:, start : start + BLOCK]
            z = torch.cat([f, r, f.new_ones(*f.shape[:2], 1)], 2).numpy()
            sums += np.matmul(z.transpose(0, 2, 1), z)  # NumPy computes half of what is symmetric
        return Moments(torch.from_numpy(sums), width)

    def __add__(self, other: Moments) -> Moments:
        """Of the rows of both."""
        return Moments(self.sums + other.sums, self.width)

    def solve(self, strength: float, present: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Coefficients and intercepts of a ridge regression per group, see `ridge`."""
        n, rows = self.width, self.sums[:, -1:, -1:]
        total = self.sums[:, :-1, -1:]
        centred = self.sums[:, :-1, :-1] - total @ total.transpose(1, 2) / rows
        damping = strength * self.sums.diagonal(dim1=1, dim2=2)[:, :n].mean(1).clamp_min(1e-30)[:, None, None]
        gram = centred[:, :n, :n] + damping * torch.eye(n, dtype=centred.dtype)
        found = torch.linalg.solve(gram, centred[:, :n, n:] + damping * present)
        return found, ((total[:, n:] - found.transpose(1, 2) @ total[:, :n]) / rows)[..., 0]

    def loss(self, coefficients: Tensor, intercept: Tensor) -> float:
        """sum |Y - F w - c|^2 over these rows."""
        eye = torch.eye(intercept.shape[1], dtype=intercept.dtype).expand(len(intercept), -1, -1)
        error = torch.cat([coefficients, -eye, intercept[:, None]], 1)
        return float((error * (self.sums @ error)).sum())


def ridge(features: Tensor, wanted: Tensor, strength: float, present: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """Coefficients and intercepts of a ridge regression per group towards the `present` coefficients w0.

        min_w,c sum |Y - F w - c|^2 + strength m |w - w0|^2,   m = mean diagonal of F'F

    features F: (groups, rows, features), wanted Y: (groups, rows, outputs); results in float64. The intercept is not
    penalised. With fewer rows than features the dual form (F F' + strength m I) is solved.
    """
    if features.shape[1] >= features.shape[2]:
        return Moments.of(features, wanted).solve(strength, present)
    f = features.double()
    r = wanted.double() - f @ present if isinstance(present, Tensor) else wanted.double()
    power = f.square().sum(1).mean(1).clamp_min(1e-30)
    mean_f, mean_r = f.mean(1, keepdim=True), r.mean(1, keepdim=True)
    f, r = f - mean_f, r - mean_r
    gram = f @ f.transpose(1, 2)
    eye = torch.eye(f.shape[1], dtype=f.dtype)
    delta = f.transpose(1, 2) @ torch.linalg.solve(gram + (strength * power)[:, None, None] * eye, r)
    return delta + present, (mean_r - mean_f @ delta)[:, 0]


#: What the given strength is multiplied by, from which held-back rows choose.
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)


def validated_ridge(
    pieces: Iterable[tuple[Tensor, Tensor]], rows: int, strength: float, present: Tensor
) -> tuple[Tensor, Tensor]:
    """`ridge` on all rows, with the multiple of `strength` that explains the last fifth best when fitted on the others.

    The rows come in pieces (F, Y) in the order of the samples, so that what is held back comes from other samples; no
    more than one piece is held where there are enough rows for `Moments`.
    """
    cut = rows - rows // 5
    if cut == rows or cut < present.shape[1]:
        return held_in_memory(pieces, cut, strength, present)
    groups, width, outputs = present.shape
    fitted = held = Moments.of(present.new_zeros(groups, 0, width), present.new_zeros(groups, 0, outputs))
    done = 0
    for features, wanted in pieces:
        split = max(0, cut - done)
        fitted += Moments.of(features[:, :split], wanted[:, :split])
        held += Moments.of(features[:, split:], wanted[:, split:])
        done += features.shape[1]
    best = min(STRENGTHS, key=lambda multiple: held.loss(*fitted.solve(strength * multiple, present)))
    return (fitted + held).solve(strength * best, present)


def held_in_memory(
    pieces: Iterable[tuple[Tensor, Tensor]], cut: int, strength: float, present: Tensor
) -> tuple[Tensor, Tensor]:
    """`validated_ridge` with few rows, of which those from `cut` on are held back."""
    features, wanted = (torch.cat(each, 1) for each in zip(*pieces, strict=True))
    if cut == features.shape[1]:
        return ridge(features, wanted, strength * STRENGTHS[-1], present)

    def loss(multiple: float) -> float:
        found, intercept = ridge(features[:, :cut], wanted[:, :cut], strength * multiple, present)
        error = wanted[:, cut:] - features[:, cut:].double() @ found - intercept[:, None]
        return float(error.square().sum())

    return ridge(features, wanted, strength * min(STRENGTHS, key=loss), present)
