# SPDX-License-Identifier: Apache-2.0
"""What both MNIST examples share: data, the LeNet of Zou et al. (32C5-P-64C5-P-1000C4-10), the float training."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snncc.data import Dataset, Preprocessing
from snncc.execute.ann import Truth
from snncc.execute.torch_engine import Engine
from snncc.frontend.from_torch import export
from snncc.ir.network import Network

HELD_OUT = 10_000
PREPROCESSING = Preprocessing(scale=1 / 255)


def mnist(held_out: bool, limit: int | None = None) -> Dataset:
    """The first 50,000 training images, or the last 10,000 (nothing is ever tuned on those)."""
    root = Path(os.environ.get("SNNCC_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    with np.load(root / "mnist_train.npz", allow_pickle=False) as file:
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


def right(logits: np.ndarray, labels: np.ndarray | None) -> float:
    """Accuracy in percent."""
    return 100 * float((logits.argmax(1) == labels).mean())


def float_model(folder: Path, train: Dataset, held_out: Dataset, *, epochs: int, width: float) -> tuple[Path, float]:
    """The trained float net as ONNX (an earlier one in the folder is used again) and its held-out accuracy."""
    path = folder / f"lenet-{width:g}-{epochs}-{len(train)}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        onnx.save(export(trained_float(train, epochs=epochs, width=width), torch.zeros(1, 1, 28, 28)), path)
    return path, ann_accuracy(path, held_out)


def ann_accuracy(path: Path, data: Dataset) -> float:
    """The accuracy of an ONNX file in onnxruntime."""
    truth = Truth(onnx.load(path))
    output = onnx.load(path).graph.output[0].name
    logits = [truth.run(feeds, [output])[output] for feeds in data.batches(500)]
    return right(np.concatenate(logits), data.labels)


def curve(network: Network, data: Dataset, timesteps: int) -> list[float]:
    """The accuracy of a spiking network after each of T steps, in percent."""
    engine, name = Engine(network), network.outputs[0]
    hits, start = np.zeros(timesteps), 0
    for feeds in data.batches(100):
        outputs = engine.run(feeds, timesteps, checkpoints=range(1, timesteps + 1), count=False).outputs[name]
        labels = np.asarray(data.labels)[start : start + outputs.shape[1]]
        hits += (outputs.argmax(2).numpy() == labels).sum(1)
        start += len(labels)
    return (100 * hits / start).tolist()


def arguments(description: str) -> argparse.Namespace:
    """The options of both scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a quarter of the channels, 10,000 images, 2 epochs")
    parser.add_argument("--epochs", type=int, default=6, help="of the quantised nets")
    parser.add_argument("--float-epochs", type=int, default=4)
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    given = parser.parse_args()
    given.width, given.images, given.test = 1.0, None, None
    if given.quick:
        given.width, given.images, given.test, given.epochs, given.float_epochs = 0.25, 10_000, 2_000, 2, 2
    torch.set_num_threads(given.threads)
    return given


def row(*cells: object) -> None:
    """A line of a table."""
    print("| " + " | ".join(f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)
