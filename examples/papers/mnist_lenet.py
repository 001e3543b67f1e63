# SPDX-License-Identifier: Apache-2.0
"""MNIST: the data, the LeNet of Zou et al. (32C5-P-64C5-P-1000C4-10), the float training."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snncc.data.dataset import Dataset, Preprocessing
from snncc.frontend.files.from_torch import export

HELD_OUT = 10_000
PREPROCESSING = Preprocessing(scale=1 / 255)


def data_folder() -> Path:
    """Where the public data sets lie."""
    return Path(os.environ.get("SNNCC_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def mnist(held_out: bool, limit: int | None = None) -> Dataset:
    """The first 50,000 training images, or the last 10,000 (nothing is ever tuned on those)."""
    with np.load(data_folder() / "mnist_train.npz", allow_pickle=False) as file:
        x, y = file["x"][:, None], file["y"].astype(np.int64)
    part = slice(-HELD_OUT, None) if held_out else slice(None, -HELD_OUT)
    x, y = x[part][:limit], y[part][:limit]
    return Dataset(
        inputs={"input": x},
        labels=y,
        source="MNIST, last 10,000" if held_out else "MNIST, first 50,000",
        preprocessing=PREPROCESSING,
        continuous=frozenset({"input"}),
    )


class LeNet(nn.Module):
    """32C5-P-64C5-P-1000C4-10 with BatchNorm; `width` scales the channels."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        a, b, c = (max(4, round(n * width)) for n in (32, 64, 1000))
        self.conv1, self.norm1 = nn.Conv2d(1, a, 5, bias=False), nn.BatchNorm2d(a)
        self.conv2, self.norm2 = nn.Conv2d(a, b, 5, bias=False), nn.BatchNorm2d(b)
        self.conv3, self.norm3 = nn.Conv2d(b, c, 4, bias=False), nn.BatchNorm2d(c)
        self.out = nn.Linear(c, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = F.relu(self.norm3(self.conv3(x)))
        return self.out(x.flatten(1))


def trained_float(data: Dataset, *, epochs: int, width: float, seed: int = 0) -> LeNet:
    """The full-precision net: Adam, half a cosine from 0.002, batches of 100."""
    torch.manual_seed(seed)
    net, random = LeNet(width), np.random.default_rng(seed)
    x = torch.from_numpy(data.inputs["input"])
    y = torch.from_numpy(np.asarray(data.labels))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    steps = epochs * (len(data) // 100)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        total, order = 0.0, torch.from_numpy(random.permutation(len(data)))
        for start in range(0, len(order) - 99, 100):
            batch = order[start : start + 100]
            loss = F.cross_entropy(net(x[batch].float() / 255), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"float, epoch {epoch + 1}/{epochs}: loss {total / (len(data) // 100):.4f}", flush=True)
    return net.eval()


def float_model(folder: Path, train: Dataset, *, epochs: int, width: float, seed: int = 0) -> Path:
    """The trained float net as ONNX; an earlier one in the folder is used again."""
    path = folder / f"lenet-{width:g}-{epochs}-{len(train)}{f'-{seed}' * bool(seed)}.onnx"
    if not path.exists():
        net = trained_float(train, epochs=epochs, width=width, seed=seed)
        onnx.save(export(net, torch.zeros(1, 1, 28, 28)), path)
    return path
