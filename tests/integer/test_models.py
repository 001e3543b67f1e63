# SPDX-License-Identifier: Apache-2.0
"""Trained networks in whole numbers: they choose what the same networks choose in floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snncc import api
from snncc.bundles.targets import EmitOptions
from snncc.data.dataset import Dataset, Preprocessing
from snncc.execute import reference
from snncc.execute.executors import TorchExecutor
from snncc.frontend.files.load import load
from snncc.integer import IntegerNetwork, lower
from snncc.integer.executor import IntegerExecutor
from snncc.ir.network import Network
from snncc.ir.nodes import Conv, Sum


def dataset(name: str, x: np.ndarray, preprocessing: Preprocessing) -> Dataset:
    return Dataset(inputs={name: x}, source="test", preprocessing=preprocessing, continuous=frozenset({name}))


def converted(model: Path, calibration: Dataset, **options: object) -> Network:
    """The spiking network that --emit integer starts from."""
    return api.convert(
        model,
        calib=calibration,
        timesteps=8,
        write=False,
        emit_options=EmitOptions(integer=True),
        **options,  # type: ignore[arg-type]
    ).network


def agreement(net: Network, integer: IntegerNetwork, data: Dataset) -> float:
    """How often both choose the same at T=8."""
    executors = TorchExecutor(net, device="cpu", steps=8), IntegerExecutor(integer, device="cpu", steps=8)
    same = []
    for feeds in data.batches(50):
        one, other = (next(iter(e.run(feeds, 8, (8,)).outputs.values()))[0] for e in executors)
        same.append(one.reshape(len(one), -1).argmax(1) == other.reshape(len(other), -1).argmax(1))
    return float(np.concatenate(same).mean())


def same_as_definition(integer: IntegerNetwork, feeds: dict[str, np.ndarray]) -> bool:
    """Whether the executor's sums are those of the definition, bit for bit."""
    found = IntegerExecutor(integer, device="cpu", steps=2).run(feeds, 3, (3,)).outputs
    q = {name: integer.quantized(x) for name, x in feeds.items()}
    steps = reference.run(integer.network, q, 3)
    return all(
        functions != () or np.array_equal(found[name][0], sum(s[own] for s in steps) * integer.output_scale[own] / 3)
        for name, (own, functions) in integer.readout.items()
    )


@pytest.mark.data
def test_lenet(data_folder: Path) -> None:
    images = np.load(data_folder / "mnist_train.npz")["x"]
    x = np.pad(np.concatenate([images[:128], images[-500:]]), ((0, 0), (2, 2), (2, 2)))[:, None]
    model = data_folder / "models" / "lenet-jinsoo__lenet.onnx"
    name = load(model).graph.input[0].name
    data = dataset(name, x, Preprocessing(scale=1 / 255))
    calibration, held_out = data.head(128), data.subset(slice(128, None))
    net = converted(model, calibration)
    integer = lower(net, calibration)
    assert agreement(net, integer, held_out) >= 0.99
    assert same_as_definition(integer, next(held_out.batches(3)))


@pytest.mark.data
def test_keyword_spotting_is_depthwise(data_folder: Path) -> None:
    model = data_folder / "models" / "mlperf-tiny__kws_dscnn.onnx"
    name = load(model).graph.input[0].name
    x = 10 * np.random.default_rng(0).standard_normal((20, 49, 10, 1)).astype(np.float32)
    data = dataset(name, x, Preprocessing())
    integer = lower(converted(model, data, method="dnisnm"), data)
    groups = [n.groups for n in integer.network.nodes if isinstance(n, Conv)]
    assert groups.count(64) == 5  # four depthwise layers and the average pool
    assert all(w.type in ("int16", "int32") for w in integer.widths)
    assert same_as_definition(integer, next(data.batches(2)))


@pytest.mark.data
@pytest.mark.slow
def test_resnet20(data_folder: Path) -> None:
    """Residual sums with identity and padded shortcuts, bytes with a zero point per channel."""
    sheet = Image.open(data_folder / "cifar10_train_b1to4" / "39.webp").convert("RGB")
    x = np.asarray(sheet).reshape(20, 32, 50, 32, 3).transpose(0, 2, 1, 3, 4).reshape(1000, 32, 32, 3)
    preprocessing = Preprocessing(
        scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="nhwc-to-nchw"
    )
    model = data_folder / "models" / "akamaster__resnet20_op13.onnx"
    data = dataset(load(model).graph.input[0].name, x, preprocessing)
    calibration, held_out = data.head(64), data.subset(slice(900, 1000))
    net = converted(model, calibration, levels=4)
    integer = lower(net, calibration)
    assert sum(isinstance(n, Sum) for n in integer.network.nodes) == 9
    assert agreement(net, integer, held_out) >= 0.97
    assert same_as_definition(integer, next(held_out.batches(1)))
