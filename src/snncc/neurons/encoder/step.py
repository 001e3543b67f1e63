# SPDX-License-Identifier: Apache-2.0
"""Spikes for an input that is a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.encoder.node import Encoder
from snncc.neurons.node import Place
from snncc.neurons.random import counters_array, uniform_array

Array: TypeAlias = npt.NDArray[Any]


def poisson_step(x: Array, uniform: Array, *, scale: Array) -> Array:
    """y = scale sign(x) where uniform < |x| / scale, else 0; uniform numbers in [0, 1). Scale 0: silent."""
    return np.asarray(np.sign(x) * scale * (uniform * scale < np.abs(x)), x.dtype)


def interval_step(x: Array, before: int, now: int, *, scale: Array, phase: float) -> Array:
    """y = scale sign(x) (floor(now p + phase) - floor(before p + phase)), p = min(1, |x| / scale).

    `before` and `now`: D(t-1) and D(t). The sum of y up to t is then scale sign(x) floor(D(t) p + phase) for
    0 <= phase < 1.
    """
    p = np.minimum(1, np.abs(x) / np.where(scale > 0, scale, 1)).astype(x.dtype)
    count = np.floor(now * p + x.dtype.type(phase)) - np.floor(before * p + x.dtype.type(phase))
    return np.asarray(np.sign(x) * scale * count, x.dtype)


def step(node: Encoder, x: Array, before: int, now: int, arrays: Mapping[str, Array], place: Place) -> Array:
    """One step of a node; `before` and `now`: D(t-1) and D(t)."""
    scale = arrays[node.scale]
    if node.kind == "uniform":
        return interval_step(x, before, now, scale=scale, phase=node.phase)
    at = node.placed(place)
    streams = counters_array(x.shape, node.key, samples=at["samples"], first_sample=at["first_sample"], axis=at["axis"])
    numbers = uniform_array(streams, place.first_step, x.dtype.type)
    return np.asarray(poisson_step(x, numbers, scale=scale) * x.dtype.type(now - before))
