# SPDX-License-Identifier: Apache-2.0
"""The training loop. An epoch's order, mirrors and shifts depend on the seed and the epoch's number alone, so that an
interrupted run that resumes ends in the same weights as one that was not."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from snncc.data.dataset import Dataset
from snncc.errors import DataError
from snncc.training import checkpoint
from snncc.training.checkpoint import Epoch
from snncc.training.model import TrainableNetwork
from snncc.training.settings import Settings

Feeds = dict[str, Tensor]
#: Batches from which inserted normalisations take their statistics.
ESTIMATED = 20


def rate(settings: Settings, progress: float) -> float:
    """The learning rate at a fraction of the run."""
    if settings.schedule == "cosine":
        return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))
    if settings.schedule == "step":
        return settings.lr * 0.1 ** ((progress >= 0.5) + (progress >= 0.75))
    return settings.lr


def augmented(x: Tensor, settings: Settings, random: np.random.Generator) -> Tensor:
    """Images (N, C, H, W) mirrored and shifted; zeros come in at the borders."""
    if x.ndim != 4:
        raise DataError("augmentation needs images of shape [N, channels, height, width]", cure="leave --augment out")
    if "flip" in settings.augment:
        mirror = torch.from_numpy(random.random(len(x)) < 0.5).to(x.device)
        x = torch.where(mirror[:, None, None, None], x.flip(3), x)
    if "shift" in settings.augment:
        s = settings.shift
        padded = F.pad(x, (s, s, s, s))
        at = random.integers(0, 2 * s + 1, (len(x), 2))
        height, width = x.shape[2:]
        x = torch.stack([p[:, i : i + height, j : j + width] for p, (i, j) in zip(padded, at.tolist(), strict=True)])
    return x


@dataclass(slots=True)
class Trainer:
    """One run on one device. `tell(text, done, total)` shows progress; `report` gets each finished epoch."""

    module: TrainableNetwork
    settings: Settings
    train: Dataset
    validation: Dataset | None
    device: torch.device
    folder: Path
    model_sha256: str
    tell: Callable[[str, int, int], None]
    report: Callable[[Epoch], None]
    history: list[Epoch] = field(default_factory=list)
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.module.to(self.device)
        parameters, s = list(self.module.parameters()), self.settings
        self.optimizer = (
            torch.optim.SGD(parameters, lr=s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
            if s.optimizer == "sgd"
            else torch.optim.Adam(parameters, lr=s.lr, weight_decay=s.weight_decay)
        )

    def batch(self, data: Dataset, indices: np.ndarray) -> tuple[Feeds, Tensor]:
        """Preprocessed samples and labels."""
        if data.labels is None:
            raise DataError(f"{data.source} has no labels to train on", cure='give them as "y" in the .npz')
        part = data.subset(indices)
        feeds = next(part.batches(len(indices)))
        tensors = {name: torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for name, x in feeds.items()}
        return tensors, torch.from_numpy(data.labels[indices].astype(np.int64)).to(self.device)

    def batches(self, epoch: int) -> Iterator[tuple[Feeds, Tensor]]:
        """The batches of an epoch, in its order and with its augmentation; the last, smaller one is left out."""
        random = np.random.default_rng([self.settings.seed, epoch])
        size = min(self.settings.batch_size, len(self.train))
        order = random.permutation(len(self.train))
        for start in range(0, len(order) - size + 1, size):
            feeds, labels = self.batch(self.train, order[start : start + size])
            if self.settings.augment:
                feeds = {name: augmented(x, self.settings, random) for name, x in feeds.items()}
            yield feeds, labels

    def estimate(self) -> None:
        """Statistics of the normalisations, with the weights as they are before the first step."""
        found = []
        for feeds, _ in self.batches(0):
            found.append(feeds)
            if len(found) == ESTIMATED:
                break
        self.module.estimate(found)

    def run(self, *, resume: bool) -> list[Epoch]:
        """Train; every finished epoch is kept in the checkpoint folder."""
        if resume:
            found, tensors = checkpoint.load(self.folder)
            self.refuse_other(found)
            checkpoint.restore(self.module, self.optimizer, tensors)
            self.module.fresh_steps.clear()
            self.history = list(found.history)
            for done in self.history:
                self.report(done)
        else:
            self.estimate()
        for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
            self.history.append(self.epoch(epoch))
            self.report(self.history[-1])
            fields = {"settings": self.settings, "model_sha256": self.model_sha256, "data_sha256": self.data_sha256()}
            checkpoint.save(
                self.folder, self.module, self.optimizer, checkpoint={**fields, "history": tuple(self.history)}
            )
        return self.history

    def data_sha256(self) -> str:
        """A hash of the training data."""
        digest = hashlib.sha256()
        for array in (*self.train.inputs.values(), self.train.labels):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def refuse_other(self, found: checkpoint.Checkpoint) -> None:
        """Raise DataError when a checkpoint belongs to another run."""
        same = (found.settings, found.model_sha256, found.data_sha256)
        if same != (self.settings, self.model_sha256, self.data_sha256()):
            raise DataError(
                "the checkpoint belongs to a run with other options, another model or other data",
                cure="give what the run was started with, or leave --resume out",
            )

    def refuse_labels(self, classes: int) -> None:
        """Raise DataError where a label of the training data is no class."""
        labels = np.asarray(self.train.labels)
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= classes:
            reason = f"{self.train.source}: labels from {lowest} to {highest}, the network has {classes} classes"
            raise DataError(reason, cure="number classes from 0")

    def epoch(self, number: int) -> Epoch:
        """One pass over the training data."""
        self.module.train()
        size = min(self.settings.batch_size, len(self.train))
        total = len(self.train) // size
        loss_sum, right, seen, lr = 0.0, 0, 0, self.settings.lr
        for i, (feeds, labels) in enumerate(self.batches(number)):
            lr = rate(self.settings, (number - 1 + i / total) / self.settings.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.amp):
                logits = self.module(feeds)
            logits = logits.flatten(1)
            if not i:
                self.refuse_labels(logits.shape[1])
            loss = F.cross_entropy(logits.float(), labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.module.keep_steps_positive()
            loss_sum += float(loss.detach()) * len(labels)
            right += int((logits.argmax(1) == labels).sum())
            seen += len(labels)
            self.tell(f"epoch {number}/{self.settings.epochs}", i + 1, total)
        validation = None if self.validation is None else self.accuracy(self.validation)
        return Epoch(epoch=number, lr=lr, loss=loss_sum / seen, accuracy=right / seen, validation=validation)

    @torch.no_grad()
    def accuracy(self, data: Dataset) -> float:
        """The share of right answers in evaluation mode."""
        self.module.eval()
        right, size = 0, 500
        for start in range(0, len(data), size):
            feeds, labels = self.batch(data, np.arange(start, min(start + size, len(data))))
            right += int((self.module(feeds).flatten(1).argmax(1) == labels).sum())
        return right / len(data)
