# SPDX-License-Identifier: Apache-2.0
"""Counter-based random numbers: a pure function of (key, sample, neuron, step), the same bits in NumPy and torch.

    h = mix(mix(mix(key + sample) + neuron) + step),   u = (h >> 40) / 2^24 in [0, 1)

mix is the finalizer of SplitMix64 (doi:10.1145/2660193.2660195) on 64-bit integers that wrap. No state: neither the
executor, nor the size of batches, nor the cut in time changes a number. The emitted module contains the torch part.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array: TypeAlias = npt.NDArray[Any]
#: 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9 and 0x94D049BB133111EB as signed numbers, which torch has.
GOLDEN = -7046029254386353131
FIRST = -4658895280553007687
SECOND = -7723592293110705685


def stream_key(seed: int, name: str) -> int:
    """The key of a node's stream: 63 bits of a hash of the seed and the node's name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1


def mixed(z: Tensor) -> Tensor:
    """The finalizer of SplitMix64 on int64; the shifts are logical."""
    z = z + GOLDEN
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * FIRST
    z = (z ^ ((z >> 27) & ((1 << 37) - 1))) * SECOND
    return z ^ ((z >> 31) & ((1 << 33) - 1))


def counters(like: Tensor, key: int, *, samples: int, first_sample: int, axis: int) -> Tensor:
    """The streams of every neuron of a step's value, whose samples lie on `axis`: one int64 per entry of `like`.

    A neuron's number is its index in C order in the value of one sample.
    """
    shape = list(like.shape)
    if shape:
        shape[axis] //= samples
    neurons = torch.arange(math.prod(shape), device=like.device).reshape(shape)
    streams = [mixed(mixed(torch.full_like(neurons, key) + first_sample + i) + neurons) for i in range(samples)]
    return torch.cat(streams, axis) if shape else streams[0]


def uniform(streams: Tensor, step: int, like: Tensor) -> Tensor:
    """Numbers in [0, 1) of one step (from 0), in the float type of `like`."""
    return ((mixed(streams + step) >> 40) & 0xFFFFFF).to(like.dtype) * 2.0**-24


def mixed_array(z: Array) -> Array:
    """As `mixed`, on uint64."""
    z = z + np.uint64(GOLDEN & (1 << 64) - 1)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST & (1 << 64) - 1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND & (1 << 64) - 1)
    return np.asarray(z ^ (z >> np.uint64(31)))


def counters_array(shape: tuple[int, ...], key: int, *, samples: int, first_sample: int, axis: int) -> Array:
    """As `counters`, for a value of `shape`."""
    one = [d // samples if i == axis else d for i, d in enumerate(shape)]
    neurons = np.arange(math.prod(one), dtype=np.uint64).reshape(one)
    streams = []
    for i in range(samples):
        start = np.full_like(neurons, (key + first_sample + i) & (1 << 64) - 1)
        streams.append(mixed_array(mixed_array(start) + neurons))
    return np.concatenate(streams, axis) if shape else streams[0]


def uniform_array(streams: Array, step: int, dtype: Any) -> Array:
    """As `uniform`."""
    return np.asarray((mixed_array(streams + np.uint64(step)) >> np.uint64(40)).astype(dtype) * dtype(2.0**-24))
