# SPDX-License-Identifier: Apache-2.0
"""Activations in plain NumPy: their definition."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, 0)


def clip(x: Array, *, low: float | None, high: float | None) -> Array:
    """min(max(x, low), high)."""
    return x if low is None and high is None else np.clip(x, low, high)


def leaky_relu(x: Array, slope: Array) -> Array:
    """x where x >= 0, slope x elsewhere."""
    return np.where(x >= 0, x, x * slope)


def quantized_relu(x: Array, step: Array, offset: Array, amplitude: Array, *, levels: int | None) -> Array:
    """amplitude clip(floor((x + offset) / step), 0, levels)."""
    return np.asarray(amplitude * np.clip(np.floor((x + offset) / step), 0, levels))
