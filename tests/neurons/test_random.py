# SPDX-License-Identifier: Apache-2.0
"""The random streams: equal bits in NumPy and torch, against plain integers, and independent of batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snncc.neurons.random import counters, counters_array, stream_key, uniform, uniform_array

MASK = (1 << 64) - 1


def mix(z: int) -> int:
    """SplitMix64 as published, on Python integers."""
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_mixer_is_splitmix64() -> None:
    assert mix(0) == 0xE220A8397B1DCDAF  # the generator's first output for seed 0


@pytest.mark.parametrize(("shape", "axis"), [((6, 2, 3), 0), ((2, 6, 3), 1), ((6,), 0), ((2, 3, 12), 2)])
@pytest.mark.parametrize("key", [0, 12345, (1 << 63) - 1])
def test_numpy_torch_and_plain_integers_agree(shape: tuple[int, ...], axis: int, key: int) -> None:
    a = counters_array(shape, key, samples=3, first_sample=7, axis=axis)
    b = counters(torch.zeros(shape), key, samples=3, first_sample=7, axis=axis)
    assert np.array_equal(a.view(np.int64), b.numpy())
    one = list(shape)
    one[axis] //= 3
    for step in (0, 5):
        drawn = [
            [mix((mix((mix((key + 7 + s) & MASK) + n) & MASK) + step) & MASK) for n in range(int(np.prod(one)))]
            for s in range(3)
        ]
        wanted = np.concatenate([(np.array([d >> 40 for d in row]) / 2**24).reshape(one) for row in drawn], axis)
        for dtype, kind in ((np.float32, torch.float32), (np.float64, torch.float64)):
            assert np.array_equal(uniform_array(a, step, dtype), wanted)
            assert np.array_equal(uniform(b, step, torch.zeros((), dtype=kind)).numpy(), wanted)


def test_batches_do_not_matter() -> None:
    whole = counters(torch.zeros(5, 4), 3, samples=5, first_sample=0, axis=0)
    part = counters(torch.zeros(2, 4), 3, samples=2, first_sample=3, axis=0)
    assert torch.equal(whole[3:], part)
    assert not torch.equal(whole[:2], part)


def test_uniform_and_uncorrelated() -> None:
    streams = counters_array((200, 50), stream_key(1, "layer"), samples=200, first_sample=0, axis=0)
    draws = np.stack([uniform_array(streams, t, np.float64) for t in range(10)])
    assert abs(draws.mean() - 0.5) < 4 / np.sqrt(12 * draws.size)
    assert np.abs(np.histogram(draws, 16, (0, 1))[0] * 16 / draws.size - 1).max() < 0.03
    for axis in range(3):
        near = np.corrcoef(np.moveaxis(draws, axis, 0)[1:].ravel(), np.moveaxis(draws, axis, 0)[:-1].ravel())[0, 1]
        assert abs(near) < 4 / np.sqrt(draws.size)
    assert stream_key(1, "layer") != stream_key(2, "layer") != stream_key(1, "other")
    assert 0 <= stream_key(1, "layer") < 1 << 63
