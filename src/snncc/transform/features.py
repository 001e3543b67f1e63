# SPDX-License-Identifier: Apache-2.0
"""The regression behind the correction of weights: what a weighted node sees at each of its output positions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from snncc.execute.torch_ops import pad
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
    stride: tuple[int, ...] = (1,) * n
    if isinstance(node, ConvTranspose):
        x = stuffed(x, node, kernel)
    else:
        x, stride = pad(x, padding=(0, 0, *node.padding[:n], 0, 0, *node.padding[n:])), node.stride
    for i in range(n):
        span = (kernel[i] - 1) * node.dilation[i] + 1
        x = x.unfold(2 + i, span, stride[i])[..., :: node.dilation[i]]
    if isinstance(node, ConvTranspose):
        x = x.flip(tuple(range(-n, 0)))
    space = torch.unravel_index(rows, (x.shape[0], *x.shape[2 : 2 + n]))
    picked = x.movedim(1, 1 + n)[space]  # (positions, channels, *kernel)
    per_group = picked.reshape(len(rows), node.groups, -1)
    return per_group.transpose(0, 1)


def targets(residual: Tensor, node: Weighted, rows: Tensor) -> Tensor:
    """The residual of the node's output at those positions: (groups, positions, outputs per group)."""
    axis = node.axis if isinstance(node, Linear) else 1
    flat = residual.movedim(axis, -1)
    picked = flat.reshape(-1, flat.shape[-1])[rows]
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


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over rows of features F and residuals R per group: what a regression needs of them, in float64."""

    rows: int
    f: Tensor  # (groups, 1, features)
    r: Tensor  # (groups, 1, outputs)
    ff: Tensor
    fr: Tensor
    rr: Tensor  # (groups,)

    @staticmethod
    def of(features: Tensor, residual: Tensor) -> Moments:
        """Of features (groups, rows, features) and residuals (groups, rows, outputs)."""
        f, r = features.double(), residual.double()
        turned = f.transpose(1, 2)
        sums = f.sum(1, keepdim=True), r.sum(1, keepdim=True)
        return Moments(f.shape[1], *sums, turned @ f, turned @ r, r.square().sum((1, 2)))

    def __add__(self, other: Moments) -> Moments:
        """Of the rows of both."""
        names = ("rows", "f", "r", "ff", "fr", "rr")
        return Moments(*(getattr(self, name) + getattr(other, name) for name in names))

    def solve(self, strength: float) -> tuple[Tensor, Tensor]:
        """Coefficients and intercepts of a ridge regression per group, see `ridge`."""
        diagonal = self.ff.diagonal(dim1=1, dim2=2)
        damping = (strength * diagonal.mean(1).clamp_min(1e-30))[:, None, None]
        gram = self.ff - self.f.transpose(1, 2) @ self.f / self.rows
        cross = self.fr - self.f.transpose(1, 2) @ self.r / self.rows
        eye = torch.eye(gram.shape[1], dtype=gram.dtype)
        delta = torch.linalg.solve(gram + damping * eye, cross)
        return delta, ((self.r - self.f @ delta) / self.rows)[:, 0]

    def loss(self, delta: Tensor, intercept: Tensor) -> float:
        """sum |R - F d - c|^2 over these rows."""
        c = intercept[:, None]
        mixed = (delta * (self.ff @ delta - 2 * self.fr)).sum((1, 2))
        shift = (c * (2 * (self.f @ delta - self.r) + self.rows * c)).sum((1, 2))
        return float((self.rr + mixed + shift).sum())


def ridge(features: Tensor, residual: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Coefficients and intercepts of a ridge regression per group; the intercept is not penalised.

        min_d sum |R - F d - c|^2 + strength m |d|^2,   m = mean diagonal of F'F

    features: (groups, rows, features), residual: (groups, rows, outputs); float64. With fewer rows than features the
    dual form (F F' + strength m I) is solved.
    """
    if features.shape[1] >= features.shape[2]:
        return Moments.of(features, residual).solve(strength)
    f, r = features.double(), residual.double()
    power = f.square().sum(1).mean(1).clamp_min(1e-30)
    mean_f, mean_r = f.mean(1, keepdim=True), r.mean(1, keepdim=True)
    f, r = f - mean_f, r - mean_r
    gram = f @ f.transpose(1, 2)
    eye = torch.eye(f.shape[1], dtype=f.dtype)
    delta = f.transpose(1, 2) @ torch.linalg.solve(gram + (strength * power)[:, None, None] * eye, r)
    return delta, (mean_r - mean_f @ delta)[:, 0]


#: What the given strength is multiplied by, from which held-back rows choose.
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)


def validated_ridge(features: Tensor, residual: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """`ridge` on all rows, with the multiple of `strength` that explains the last fifth best when fitted on the others.

    Rows stand in the order of the samples, so that what is held back comes from other samples.
    """
    rows, width = features.shape[1], features.shape[2]
    cut = rows - rows // 5
    if cut == rows:
        return ridge(features, residual, strength * STRENGTHS[-1])
    held = Moments.of(features[:, cut:], residual[:, cut:])
    if cut >= width:
        fitted = Moments.of(features[:, :cut], residual[:, :cut])
        best = min(STRENGTHS, key=lambda multiple: held.loss(*fitted.solve(strength * multiple)))
        return (fitted + held).solve(strength * best)
    best = min(
        STRENGTHS, key=lambda multiple: held.loss(*ridge(features[:, :cut], residual[:, :cut], strength * multiple))
    )
    return ridge(features, residual, strength * best)
