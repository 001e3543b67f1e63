# SPDX-License-Identifier: Apache-2.0
"""Weights rounded with error feedback: what rounding one weight loses, those that are still to be rounded make up for.

E|e'(s - E s)|^2 = e' C e is the error of a current for an error e of its weights, C the covariance of what they
multiply; the mean e' E s is left to the bias. Source: GPTQ, Frantar et al. 2022, arXiv:2210.17323.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.integer.weights import codes, exact_step

Array: TypeAlias = npt.NDArray[Any]
#: Added to the covariance's diagonal, as a fraction of its mean.
DAMPING = 0.01
#: Columns that are rounded before what they lose is spread over all later ones.
BLOCK = 64
#: What the step with the least squared error of the weights is multiplied by, from which that of the current chooses.
FACTORS = np.linspace(0.6, 1.4, 9)


def inverse_root(covariance: Array) -> Array:
    """The upper triangular U with U'U = (C + damping)^-1."""
    power = float(np.diag(covariance).mean())
    damping = DAMPING * power if power > 0 else 1.0
    inverse = np.linalg.inv(covariance + damping * np.eye(len(covariance)))
    return np.asarray(np.linalg.cholesky((inverse + inverse.T) / 2).T)


def rounded(rows: Array, step: Array, largest: int, root: Array) -> Array:
    """Whole numbers for weights, column by column; what a column loses moves the later ones.

        q[i] = clip(round(w[i] / s), -m, m);   w[j] -= (w[i] - s q[i]) U[i, j] / U[i, i]   for j > i

    rows: (out, features), step: (out,), root: U of `inverse_root`.
    """
    left, count = np.ascontiguousarray(rows.T), rows.shape[1]
    whole = np.empty_like(left)
    for begin in range(0, count, BLOCK):
        end = min(begin + BLOCK, count)
        lost = np.empty((end - begin, len(rows)))
        for i in range(begin, end):
            whole[i] = np.clip(np.rint(left[i] / step), -largest, largest)
            lost[i - begin] = (left[i] - step * whole[i]) / root[i, i]
            left[i + 1 : end] -= np.outer(root[i, i + 1 : end], lost[i - begin])
        left[end:] -= root[begin:end, end:].T @ lost
    return whole.T


@dataclass(frozen=True)
class InputCovariance:
    """What each weight of a node multiplies: its mean (groups, features), and the covariance (groups, features,
    features) of what the weights of one output multiply, None where that would be too large."""

    mean: Array
    covariance: Array | None

    def over(self, unit: Array) -> InputCovariance:
        """The same in units (groups, features); what has the unit 0 is always 0."""
        factor = np.divide(1.0, unit, out=np.zeros_like(unit), where=unit != 0)
        covariance = self.covariance
        if covariance is not None:
            covariance = covariance * factor[:, :, None] * factor[:, None, :]
        return InputCovariance(self.mean * factor, covariance)

    @cached_property
    def roots(self) -> list[tuple[Array, Array, Array]]:
        """Per group the order in which weights are rounded (those that multiply most come first), the covariance and
        its `inverse_root` in that order."""
        found = []
        for covariance in () if self.covariance is None else self.covariance:
            order = np.argsort(-np.diag(covariance), kind="stable")
            ordered = covariance[np.ix_(order, order)]
            found.append((order, ordered, inverse_root(ordered)))
        return found

    def codes(self, weight: Array, step: Array, largest: int) -> Array:
        """Whole numbers for a weight (out, in, ...) with a step per output channel."""
        if self.covariance is None:
            return codes(weight, step, largest)
        rows = weight.reshape(len(weight), -1)
        whole = np.empty_like(rows)
        for (order, _, root), part in zip(self.roots, self.parts(len(rows)), strict=True):
            whole[part][:, order] = rounded(rows[part][:, order], step[part], largest, root)
        return whole.reshape(weight.shape)

    def parts(self, outputs: int) -> list[slice]:
        """The outputs of each group."""
        each = outputs // len(self.mean)
        return [slice(g * each, (g + 1) * each) for g in range(len(self.mean))]

    def best_steps(self, weight: Array, step: Array, largest: int, *, shared: bool) -> Array:
        """The multiple of each step with which the currents err least; steps of whole weights stay."""
        rows = weight.reshape(len(weight), -1)
        exact = exact_step(rows.reshape(1, -1) if shared else rows, largest) > 0
        if self.covariance is None or exact.all():
            return step
        tried, errors = np.outer(FACTORS, step), np.zeros((len(FACTORS), len(rows)))
        for (order, covariance, root), part in zip(self.roots, self.parts(len(rows)), strict=True):
            every, steps = np.tile(rows[part][:, order], (len(FACTORS), 1)), tried[:, part].ravel()
            error = every - steps[:, None] * rounded(every, steps, largest, root)
            errors[:, part] = ((error @ covariance) * error).sum(1).reshape(len(FACTORS), -1)
        if shared:
            errors[...] = errors.sum(1, keepdims=True)
        best = np.take_along_axis(tried, errors.argmin(0)[None], 0)[0]
        return np.where(exact, step, best)

    def lost(self, difference: Array) -> Array:
        """What an error (out, in, ...) of the weights takes from each output on the average, (out,)."""
        groups = difference.reshape(*self.mean.shape[:1], -1, self.mean.shape[1])
        return np.asarray(np.einsum("gof,gf->go", groups, self.mean).ravel())
