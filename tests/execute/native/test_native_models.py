# SPDX-License-Identifier: Apache-2.0
"""Trained networks as `matched` makes them, wholly in C: every spike, for the T of the design and beyond it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snncc import api
from snncc.data.dataset import Dataset, Preprocessing
from snncc.execute.executors import ReferenceExecutor, TorchExecutor
from snncc.execute.native.executor import NativeExecutor
from snncc.execute.native.program import Gather, Pool
from snncc.execute.protocol import Executor
from snncc.frontend.files.load import load
from snncc.ir.network import Network

DESIGN, T = 8, 10


def converted(model: Path, x: np.ndarray, scale: float = 1.0) -> tuple[Network, Dataset]:
    name = load(model).graph.input[0].name
    data = Dataset(
        inputs={name: x}, source="test", preprocessing=Preprocessing(scale=scale), continuous=frozenset({name})
    )
    net = api.convert(model, calib=data, timesteps=DESIGN, write=False, options=[("match_currents", "rows", 1024)])
    return net.network, data


def agree(native: NativeExecutor, other: Executor, feeds: dict[str, np.ndarray]) -> None:
    assert not native.engine.program.outside
    found, expected = (e.run(feeds, T, (DESIGN, T)) for e in (native, other))
    assert (found.positive, found.negative) == (expected.positive, expected.negative)
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)
    for name, y in expected.outputs.items():
        np.testing.assert_allclose(found.outputs[name], y, rtol=1e-9, atol=1e-9)


@pytest.mark.data
def test_maxima(data_folder: Path) -> None:
    images = np.load(data_folder / "mnist_train.npz")["x"][:70]
    x = np.pad(images, ((0, 0), (2, 2), (2, 2)))[:, None]
    net, data = converted(data_folder / "models" / "lenet-jinsoo__lenet.onnx", x, 1 / 255)
    native = NativeExecutor(net, steps=4, dtype="float64", threads=1)
    pools = [step for step in native.engine.program.steps if isinstance(step, Pool)]
    assert [pool.slopes for pool in pools] == [True, True]
    agree(native, ReferenceExecutor(net), next(data.subset(slice(64, None)).batches(6)))


@pytest.mark.data
@pytest.mark.slow
def test_enlargements(data_folder: Path) -> None:
    """Maxima, depthwise layers, and shortcuts enlarged to the nearest pixel."""
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 320, 320)).astype(np.float32)
    net, data = converted(data_folder / "models" / "yunet__yunet_n_320_320.onnx", x)
    native = NativeExecutor(net, steps=5, dtype="float64", threads=1)
    assert any(isinstance(step, Gather) for step in native.engine.program.steps)
    torch_engine = TorchExecutor(net, device="cpu", steps=5, dtype=torch.float64)
    agree(native, torch_engine, next(data.batches(1)))
