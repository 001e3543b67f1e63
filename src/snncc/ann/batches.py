# SPDX-License-Identifier: Apache-2.0
"""Results of several calls as those of one batch, and whether they are the same."""

from __future__ import annotations

import numpy as np

from snncc.data.inputs import shown
from snncc.errors import ModelError

PROBE_RTOL = 1e-4  # of the largest output: different kernels may serve a batch and a single sample


def agree(pair: np.ndarray, first: np.ndarray, second: np.ndarray) -> bool:
    """Whether a result for two samples is made of those for each."""
    if first.ndim == 0 or not first.size:  # two empty results agree whatever the graph does
        return False
    if first.shape[1:] != second.shape[1:] or pair.shape != (len(first) + len(second), *first.shape[1:]):
        return False
    singles = np.concatenate([first, second])
    if pair.dtype.kind not in "fV":
        return bool(np.array_equal(pair, singles))
    scale = np.nanmax(np.abs(singles), initial=0.0, where=np.isfinite(singles))
    return bool(np.allclose(pair, singles, rtol=0.0, atol=PROBE_RTOL * float(scale), equal_nan=True))


def joined(name: str, parts: list[np.ndarray], axis: int | None, chunk: int, count: int) -> np.ndarray:
    """One result from those of calls with `chunk` samples each, of which the last call may carry fillers."""
    first = parts[0]
    if any(part.ndim != first.ndim for part in parts):
        raise ModelError(f"value {name!r} changes its rank from sample to sample")
    axis = 0 if axis is None and first.ndim and first.shape[0] == chunk else axis
    try:
        if axis is None and chunk == 1:
            return np.stack(parts)
        if axis is None or first.ndim == 0 or first.shape[axis] % chunk:
            raise ModelError(f"value {name!r} of shape {shown(first.shape)} has no axis for the {chunk} samples")
        whole = np.concatenate(parts, axis)
    except ValueError as error:
        raise ModelError(f"value {name!r} changes its shape from sample to sample") from error
    keep = whole.shape[axis] if chunk == 1 else count * (first.shape[axis] // chunk)
    return np.asarray(np.take(whole, range(keep), axis) if keep < whole.shape[axis] else whole)
