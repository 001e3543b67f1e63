# SPDX-License-Identifier: Apache-2.0
"""The networks and images that the accuracy benchmarks share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from snncc.ann.truth import Truth
from snncc.conversion import pipeline, recipe
from snncc.conversion.request import Request, Subject
from snncc.data.dataset import Dataset, Preprocessing
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.frontend.files.load import load
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.network import Network

RESNET20 = "models/akamaster__resnet20_op13.onnx"
#: Mean and deviation of ImageNet's channels, as the ResNets of akamaster were trained with.
NORMALIZED = Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="nhwc-to-nchw")
RAW = Preprocessing()
SHEET = 1000


@dataclass(frozen=True, slots=True)
class Model:
    """A network, its ANN, and how images are fed to it."""

    network: Network
    truth: Truth
    preprocessing: Preprocessing

    def dataset(self, images: np.ndarray, labels: np.ndarray | None = None) -> Dataset:
        """Images as the network takes them."""
        name = self.network.sampled.name
        return Dataset(
            inputs={name: images},
            labels=labels,
            source="CIFAR-10",
            preprocessing=self.preprocessing,
            continuous=frozenset({name}),
        )

    def choices(self, data: Dataset) -> np.ndarray:
        """The arg max of the ANN."""
        name = self.network.outputs[0]
        return np.concatenate([self.truth.run(feeds, [name])[name].argmax(1) for feeds in data.batches(500)])

    def converted(self, chosen: recipe.Recipe, calibration: Dataset, timesteps: int) -> Network:
        """The spiking network by a recipe."""
        return pipeline.run(self.request(chosen, calibration, timesteps)).network

    def request(self, chosen: recipe.Recipe, calibration: Dataset, timesteps: int) -> Request:
        """Its conversion by a recipe."""
        subject = Subject(
            name="benchmark",
            model=onnx.ModelProto(),
            shapes={},
            network=self.network,
            truth=self.truth,
            calibration=calibration,
            samples=calibration,
        )
        return Request(subject=subject, recipe=chosen, steps=recipe.steps(chosen), timesteps=timesteps)


def spiking_choices(network: Network, data: Dataset, timesteps: tuple[int, ...], device: str = "cpu") -> np.ndarray:
    """The arg max at each T of one simulation, (T, N)."""
    batch, piece = plan(network, max(timesteps), len(data))
    engine, found, done = Engine(network, device=device), [], 0
    for feeds in data.batches(batch):
        run = engine.run(
            feeds, max(timesteps), checkpoints=sorted(timesteps), steps_at_once=piece, count=False, first_sample=done
        )
        found.append(run.outputs[network.outputs[0]].cpu().numpy().argmax(-1))
        done += found[-1].shape[1]
    return np.concatenate(found, 1)


def model(path: Path, preprocessing: Preprocessing, threads: int = 1) -> Model:
    """A CIFAR-10 network from its file."""
    proto = samples_first(load(path), {})
    return Model(lowered_network(normalize(proto)), Truth(proto, threads=threads), preprocessing)


def cifar(folder: Path, name: str, threads: int = 1) -> Model:
    """A network of the data folder: the MLPerf ones take raw images, the others normalised ones."""
    return model(folder / name, RAW if "mlperf" in name else NORMALIZED, threads)


def sheet(folder: Path, number: int) -> np.ndarray:
    """1,000 training images, (N, 32, 32, 3) uint8."""
    picture = np.asarray(Image.open(sorted((folder / "cifar10_train_b1to4").glob("*.webp"))[number]).convert("RGB"))
    return picture.reshape(20, 32, 50, 32, 3).transpose(0, 2, 1, 3, 4).reshape(SHEET, 32, 32, 3)


def sheets(folder: Path, numbers: range) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of several sheets of training images."""
    labels = np.load(folder / "cifar10_train_b1to4" / "labels.npy").astype(np.int64)
    images = np.concatenate([sheet(folder, n) for n in numbers])
    return images, np.concatenate([labels[n * SHEET : (n + 1) * SHEET] for n in numbers])


def drawn(folder: Path, count: int, seed: int) -> np.ndarray:
    """Calibration images of one draw, from two sheets below 30."""
    rng = np.random.default_rng(seed)
    pool = np.concatenate([sheet(folder, int(n)) for n in rng.choice(30, 2, replace=False)])
    return pool[rng.choice(len(pool), count, replace=False)]


def final_images(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The test images and their labels: for final tables only."""
    arrays = np.load(folder / "cifar10_test500.npz")
    return arrays["x"][:count], arrays["y"][:count].astype(np.int64)
