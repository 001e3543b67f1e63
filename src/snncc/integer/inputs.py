# SPDX-License-Identifier: Apache-2.0
"""The input as bytes: x = scale (q - zero_point), q = 0 ... 255."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from snncc.data.dataset import Dataset

Array: TypeAlias = npt.NDArray[Any]
LEVELS = 255


class InputScale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scale and zero point, one for the whole input or one per entry of `axis`.

    `raw`: q is the data's own byte, to which the preprocessing is scale and zero point, so that nothing is rounded.
    """

    scale: tuple[float, ...]
    zero_point: tuple[float, ...]
    axis: int = 1
    raw: bool = False

    def shaped(self, values: tuple[float, ...], rank: int) -> Array:
        """One number per channel, shaped to broadcast."""
        return np.array(values).reshape([-1 if i == self.axis else 1 for i in range(rank)])

    def quantized(self, x: Array) -> Array:
        """q = clip(round(x / scale + zero_point), 0, 255) as uint8."""
        scale, zero = (self.shaped(values, x.ndim) for values in (self.scale, self.zero_point))
        return np.clip(np.rint(x / scale + zero), 0, LEVELS).astype(np.uint8)

    def rest(self) -> Array:
        """What rounding the zero points leaves, in real units: x = scale (q - round(zero_point)) - rest."""
        zero = np.array(self.zero_point)
        return np.asarray(np.array(self.scale) * (zero - np.rint(zero)))


def input_scale(samples: Dataset, name: str) -> InputScale:
    """Bytes for an input: the data's own where it is bytes, else its range over the samples in 255 levels or fewer.

    The range is widened to hold 0, which is what padding adds and so must be a level.
    """
    if samples.inputs[name].dtype == np.uint8 and name in samples.continuous:
        return raw_scale(samples, name)
    low = high = 0.0
    for feeds in samples.batches(256):
        low, high = min(low, float(feeds[name].min())), max(high, float(feeds[name].max()))
    if high == low:
        return InputScale(scale=(1.0,), zero_point=(0.0,))
    few = np.unique(next(samples.batches(64))[name])
    levels = next((n for n in range(1, LEVELS) if on_grid(few, (high - low) / n)), LEVELS)
    scale = (high - low) / levels
    return InputScale(scale=(scale,), zero_point=(float(round(-low / scale)),))


def on_grid(values: Array, step: float) -> bool:
    """Whether all values are multiples of a step."""
    return bool(len(values) <= LEVELS + 1 and np.allclose(values / step, np.rint(values / step), rtol=0, atol=1e-3))


def raw_scale(samples: Dataset, name: str) -> InputScale:
    """What the preprocessing does to a byte: it is affine, so its ends say all."""
    raw = samples.inputs[name][:1]
    ends = [samples.preprocessing.apply(name, np.full_like(raw, end)).astype(np.float64) for end in (0, LEVELS)]
    scale, low = (ends[1] - ends[0]) / LEVELS, ends[0]
    axis = next((i for i in range(1, scale.ndim) if (scale != scale.take([0], i)).any()), 1)
    axis = next((i for i in range(1, low.ndim) if (low != low.take([0], i)).any()), axis)
    first = tuple(slice(None) if i == axis else 0 for i in range(scale.ndim))
    scales, zeros = scale[first], -low[first] / scale[first]
    if (scales == scales[0]).all() and (zeros == zeros[0]).all():
        scales, zeros = scales[:1], zeros[:1]
    near = np.where(np.abs(zeros - np.rint(zeros)) < 1e-4, np.rint(zeros), zeros) + 0.0
    return InputScale(scale=tuple(scales.tolist()), zero_point=tuple(near.tolist()), axis=axis, raw=True)
