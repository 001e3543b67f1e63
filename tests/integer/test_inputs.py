# SPDX-License-Identifier: Apache-2.0
"""Bytes for real inputs."""

from __future__ import annotations

import dataclasses

import numpy as np

from small_models import dataset, normal
from snncc.data.dataset import Dataset, Preprocessing
from snncc.integer.inputs import input_scale


def test_range_of_the_samples_with_zero_as_a_level() -> None:
    x = np.abs(normal(0, 50, 2, 3)) + 0.5
    found = input_scale(dataset(x=x), "x")
    assert found.zero_point == (0.0,)
    assert found.quantized(np.zeros(1)) == 0
    back = found.scale[0] * found.quantized(x).astype(np.float64)
    assert np.abs(back - x).max() <= found.scale[0] / 2 + 1e-9


def test_values_on_both_sides() -> None:
    x = normal(1, 50, 2, 3)
    found = input_scale(dataset(x=x), "x")
    back = found.scale[0] * (found.quantized(x).astype(np.float64) - found.zero_point[0])
    assert np.abs(back - x).max() <= found.scale[0] + 1e-9
    assert found.quantized(np.array([-1e9, 1e9])).tolist() == [0, 255]


def test_few_levels_are_kept_exactly() -> None:
    x = (np.arange(17, dtype=np.float32) / 16).reshape(1, 17)
    found = input_scale(dataset(x=x), "x")
    assert found.quantized(x).tolist() == [list(range(17))]
    assert found.scale == (1 / 16,)


def test_constant_samples() -> None:
    found = input_scale(dataset(x=np.zeros((4, 3), np.float32)), "x")
    assert found.scale[0] > 0


def test_bytes_stay_as_they_are() -> None:
    """Any preprocessing is scale and zero point, one per channel, wherever the layout puts the channels."""
    raw = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), np.uint8)
    pre = Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="nhwc-to-nchw")
    data = Dataset(inputs={"x": raw}, source="test", preprocessing=pre, continuous=frozenset({"x"}))
    found = input_scale(data, "x")
    assert found.raw
    assert found.axis == 1
    assert len(found.scale) == len(found.zero_point) == 3
    x = next(data.batches(6))["x"]
    assert np.array_equal(found.quantized(x), raw.transpose(0, 3, 1, 2))
    back = found.shaped(found.scale, 4) * (raw.transpose(0, 3, 1, 2) - np.rint(found.shaped(found.zero_point, 4)))
    assert np.abs(back - found.shaped(tuple(found.rest()), 4) - x).max() < 1e-5
    plain = input_scale(dataclasses.replace(data, preprocessing=Preprocessing(scale=1 / 255)), "x")
    assert len(plain.scale) == 1
    assert plain.zero_point == (0.0,)
