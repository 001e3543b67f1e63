# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with negative spikes and memory (the kernel of QFFS, Zou 2024, DNISNM and `matched`).

Sources: doi:10.3389/fnins.2022.918793 (QFFS), https://github.com/ppppps/ANN2SNNConversion_SNM_NeuronNorm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.node import Place
from snncc.neurons.signed_if.node import CentredIF, SignedIF

Array: TypeAlias = npt.NDArray[Any]


def signed_if_step(
    u: Array,
    n: Array,
    current: Array,
    *,
    threshold: Array,
    negative: Literal["signed", "early", "at_zero"],
    cap: int | None,
    levels: int,
) -> tuple[Array, Array, Array]:
    """One step of the signed IF neuron; returns (z, u, n).

        u <- u + current
        z = +1 where u >= threshold and n < cap
        z = -1 elsewhere where n > 0 and (u < 0 [early], u <= 0 [at_zero] or u <= -threshold [signed])
        u <- u - z threshold;  n <- n + z

    With `levels` m > 1 (early): z = clip(floor(u / threshold), -min(n, m), min(m, cap - n)).
    Shapes: u, n, current: (N, *shape); threshold broadcasts; a threshold of 0 marks a neuron that never fires.
    """
    u = u + current
    room = np.inf if cap is None else cap - n
    alive = threshold > 0
    if levels == 1:
        fires = (u >= threshold) & (room > 0)
        below = (u < 0) if negative == "early" else (u <= (0 if negative == "at_zero" else -threshold))
        z = fires.astype(u.dtype) - (~fires & below & (n > 0)).astype(u.dtype)
        z = z * alive
    else:
        quotient = np.floor(u / np.where(alive, threshold, 1)) * alive
        z = np.clip(quotient, -np.minimum(n, levels), np.minimum(room, levels)).astype(u.dtype)
    return z, u - z * threshold, n + z


def resting_rate(centre: Array, until: int, t: int) -> Array:
    """r[t] = centre / until for t <= until, 0 afterwards: what a centred neuron emits without a spike."""
    return centre / until if t <= until else np.zeros_like(centre)


def centred_if_step(
    u: Array, n: Array, current: Array, *, threshold: Array, rest: Array, levels: int
) -> tuple[Array, Array, Array]:
    """One step of the signed IF neuron around a resting rate; returns (z, u, n). The value emitted is z + rest.

    As the early `signed_if_step` on the current minus rest threshold; n starts at the centre.
    """
    current = current - rest * threshold * (threshold > 0)
    return signed_if_step(u, n, current, threshold=threshold, negative="early", cap=None, levels=levels)


def step(node: SignedIF, current: Array, state: Any, arrays: Mapping[str, Array], place: Place) -> tuple[Array, Any]:
    """One step of a node; the state is u and n."""
    u, n = state or (np.zeros_like(current) + arrays[node.v_init], np.zeros_like(current))
    options: dict[str, Any] = node.options()
    z, u, n = signed_if_step(u, n, current, threshold=arrays[node.threshold], **options)
    return z * arrays[node.amplitude], (u, n)


def centred_step(
    node: CentredIF, current: Array, state: Any, arrays: Mapping[str, Array], place: Place
) -> tuple[Array, Any]:
    """One step of a centred node; the state is u and n."""
    zeros = np.zeros_like(current)
    u, n = state or (zeros + arrays[node.v_init], zeros + arrays[node.centre])
    rest = resting_rate(arrays[node.centre], node.until, place.first_step + 1)
    z, u, n = centred_if_step(u, n, current, threshold=arrays[node.threshold], rest=rest, levels=node.levels)
    return (z + rest) * arrays[node.amplitude], (u, n)
