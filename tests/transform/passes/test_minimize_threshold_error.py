# SPDX-License-Identifier: Apache-2.0
"""`minimize_threshold_error` against a plain grid search per statistic in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from small_models import dataset, lowered, normal, parsed
from snncc.ir.nodes import CentredIF, SignedIF

CONV = """
g (float[N, 2, 6, 6] x) => (float[N, 3, 6, 6] y) { c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (x, w, b) y = Relu(c) }
"""
CLIP = """
g (float[N, 4] x) => (float[N, 5] y) { c = Gemm(x, w, b) lo = Constant <value = float {0.0}> ()
  hi = Constant <value = float {0.5}> () y = Clip(c, lo, hi) }
"""


def best(a: np.ndarray, steps: int, level: float, levels: int = 1, points: int = 24) -> float:
    """The equation, one statistic at a time."""
    errors = []
    grid = [f * level / levels for f in np.linspace(1, 0.06, points)]
    for th in grid:
        rate = np.clip(np.floor(a * steps / th + 0.5), 0, levels * steps) * th / steps if th else 0 * a
        errors.append(np.mean((a - rate) ** 2))
    return grid[int(np.argmin(errors))]


def conv_case(steps: int) -> tuple[Any, np.ndarray]:
    w, b, x = normal(1, 3, 2, 3, 3), np.array([0.1, -0.2, -99], np.float32), normal(2, 40, 2, 6, 6)
    case = lowered(parsed(CONV, w=w, b=b), dataset(x=x), timesteps=steps)
    return case, case.truth.run({"x": x}, ["y"])["y"].astype(np.float64)


@pytest.mark.parametrize("steps", [2, 8])
@pytest.mark.parametrize(("granularity", "axes"), [("layer", (0, 1, 2, 3)), ("channel", (0, 2, 3)), ("neuron", (0,))])
@pytest.mark.parametrize("levels", [1, 2])
def test_equals_the_grid_search(steps: int, granularity: str, axes: tuple[int, ...], levels: int) -> None:
    case, a = conv_case(steps)
    case.spiking(kind="signed_if", negative="early", levels=levels)
    net = case.apply("minimize_threshold_error", granularity=granularity)
    found = net.arrays["y/threshold"]
    kept = [i for i in range(4) if i not in axes]
    rows = np.moveaxis(a, kept, range(len(kept))).reshape(*[a.shape[i] for i in kept], -1)
    wanted = np.apply_along_axis(lambda r: best(r, steps, r.max(), levels), -1, rows)
    assert np.allclose(found.squeeze(), wanted.squeeze(), rtol=1e-6)
    assert ("information", "y") in case.notes or granularity == "layer"  # the third channel is dead
    assert net["y"].amplitude == net["y"].threshold


def centred(a: np.ndarray, steps: int, level: float, levels: int, centre: float) -> tuple[float, float]:
    """The equation with a resting count, one statistic at a time: (threshold, count)."""
    found = []
    for th in [f * level / levels for f in np.linspace(1, 0.06, 24)]:
        k = np.round(min(centre, steps) * a.mean() / th) if th else 0.0
        low, high = max(k - levels * steps, 0), k + levels * steps
        rate = np.clip(np.floor(a * steps / th + 0.5), low, high) * th / steps if th else 0 * a
        found.append((np.mean((a - rate) ** 2), th, k))
    return min(found, key=lambda row: row[0])[1:]


@pytest.mark.parametrize(("granularity", "axes"), [("layer", (0, 1, 2, 3)), ("channel", (0, 2, 3)), ("neuron", (0,))])
@pytest.mark.parametrize(("levels", "centre"), [(1, 3.0), (2, 2.0), (1, 9.0)])
def test_the_centre_is_part_of_the_search(granularity: str, axes: tuple[int, ...], levels: int, centre: float) -> None:
    case, a = conv_case(4)
    case.spiking(kind="signed_if", negative="early", levels=levels)
    net = case.apply("minimize_threshold_error", granularity=granularity, centre=centre)
    node = net["y"]
    assert isinstance(node, CentredIF)
    assert (node.until, node.levels) == (4, levels)
    kept = [i for i in range(4) if i not in axes]
    rows = np.moveaxis(a, kept, range(len(kept))).reshape(*[a.shape[i] for i in kept], -1)
    wanted = np.apply_along_axis(lambda r: centred(r, 4, r.max(), levels, centre), -1, rows)
    assert np.allclose(net.arrays["y/threshold"].squeeze(), wanted[..., 0].squeeze(), rtol=1e-6)
    assert np.array_equal(net.arrays["y/centre"].squeeze(), wanted[..., 1].squeeze())


def test_saturating_and_signed_neurons_are_not_centred() -> None:
    x = normal(2, 50, 4)
    case = lowered(parsed(CLIP, w=normal(1, 4, 5), b=normal(3, 5)), dataset(x=x), timesteps=4)
    case.spiking(kind="signed_if", negative="early")
    assert isinstance(case.apply("minimize_threshold_error", centre=1.0)["y"], SignedIF)
    case, _ = conv_case(4)
    case.spiking(kind="signed_if", negative="signed")
    assert isinstance(case.apply("minimize_threshold_error", centre=1.0)["y"], SignedIF)


def test_a_short_time_takes_smaller_thresholds() -> None:
    found = []
    for steps in (2, 64):
        case, _ = conv_case(steps)
        case.spiking(kind="if")
        found.append(float(case.apply("minimize_threshold_error", granularity="layer").arrays["y/threshold"].item()))
    assert found[0] < found[1]


def test_clips_cap_the_level_and_the_grid_is_an_option() -> None:
    x = normal(2, 50, 4)
    case = lowered(parsed(CLIP, w=normal(1, 4, 5), b=normal(3, 5)), dataset(x=x), timesteps=4)
    case.spiking(kind="if")
    net = case.apply("minimize_threshold_error", granularity="layer", points=1)
    assert net.arrays["y/threshold"].item() == 0.5


def test_the_batch_size_does_not_matter() -> None:
    arrays = []
    for size in (7, 64):
        case, _ = conv_case(4)
        case.context.batch_size = size
        case.spiking(kind="if")
        arrays.append(case.apply("minimize_threshold_error", granularity="neuron").arrays["y/threshold"])
    assert arrays[0].tobytes() == arrays[1].tobytes()
