# SPDX-License-Identifier: Apache-2.0
"""Quantisation in plain NumPy: the definition. Names as in `torch_quantized`; codes are floats."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def quantize(x: Array, scale: Array, zero: Array, *, low: float, high: float) -> Array:
    """clamp(round(x / scale) + zero, low, high); halves round to even."""
    return np.asarray(np.minimum(np.maximum(np.rint(x / scale) + zero, low), high))


def fake_quantize(x: Array, scale: Array, zero: Array, *, low: float, high: float) -> Array:
    """scale (q - zero) for the nearest code q."""
    return np.asarray(np.clip(np.rint(x / scale), low - zero, high - zero) * scale)


def dynamic_scale(x: Array) -> Array:
    """The step of 256 codes over the range of x and 0; 1 where x is 0."""
    step = (max(float(x.max()), 0.0) - min(float(x.min()), 0.0)) / 255
    return np.asarray(step if step > 0 else 1.0, x.dtype)


def dynamic_zero(x: Array) -> Array:
    """The code of 0."""
    return np.asarray(np.clip(np.rint(-min(float(x.min()), 0.0) / dynamic_scale(x)), 0, 255), x.dtype)
