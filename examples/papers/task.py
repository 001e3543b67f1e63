# SPDX-License-Identifier: Apache-2.0
"""The network and images of a script: a LeNet that it trains on MNIST, or a CIFAR-10 network that is given."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from cifar import images_for
from mnist_lenet import float_model, mnist
from tables import ann_accuracy

from snncc.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Task:
    """A network as ONNX, the accuracy of the ANN in percent on `held_out`, on which nothing is tuned."""

    model: Path
    ann: float
    training: Dataset
    held_out: Dataset
    #: What `finetune` does to the training images.
    augment: tuple[str, ...] = ()


def arguments(description: str, **numbers: int) -> argparse.Namespace:
    """The options of the scripts; `numbers` are further whole ones with their defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a quarter of the channels, 10,000 images, 2 epochs")
    parser.add_argument("--model", type=Path, help="a CIFAR-10 network as ONNX (see cifar.py) instead of MNIST")
    parser.add_argument("--epochs", type=int, default=6, help="of the quantised nets")
    parser.add_argument("--float-epochs", type=int, default=4)
    parser.add_argument("--images", type=int, default=None, help="training images (default: all, with --quick 10,000)")
    parser.add_argument("--test", type=int, default=None, help="held-out images (default: all, with --quick 2,000)")
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    given.width = 1.0
    if given.quick:
        given.width, given.epochs, given.float_epochs = 0.25, 2, 2
        given.images, given.test = given.images or 10_000, given.test or 2_000
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    return given


def task(given: argparse.Namespace, seed: int = 0) -> Task:
    """What the options ask for; `seed` is of the training."""
    if given.model is not None:
        training, held_out = (
            images_for(given.model, part, n) for part, n in ((False, given.images), (True, given.test))
        )
        accuracy = ann_accuracy(given.model, held_out)
        return Task(model=given.model, ann=accuracy, training=training, held_out=held_out, augment=("flip", "shift"))
    training, held_out = mnist(False, given.images), mnist(True, given.test)
    model = float_model(given.out, training, epochs=given.float_epochs, width=given.width, seed=seed)
    return Task(model=model, ann=ann_accuracy(model, held_out), training=training, held_out=held_out)
