# SPDX-License-Identifier: Apache-2.0
"""What the speech and the text script share: options, training, and the table of methods at several T."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lenet import data_folder as data_folder
from tables import ann_accuracy, convert, header, row, simulate

from snncc.data.dataset import Dataset
from snncc.frontend.files.from_torch import export
from snncc.ir.classes import operations, shares

TIMES = (4, 8, 16, 32, 64)
METHODS = ("opi", "msat", "dnisnm", "matched")
#: `matched` chooses its thresholds for this T.
DESIGNED_FOR = 16


def arguments(description: str, *, epochs: int, training: int, test: int) -> argparse.Namespace:
    """The options of both scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--training", type=int, default=training, help="samples at most")
    parser.add_argument("--test", type=int, default=test, help="held-out samples at most")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--timesteps", type=int, default=max(TIMES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    return given


def dataset(x: np.ndarray, y: np.ndarray, source: str) -> Dataset:
    """Labelled samples of one input."""
    return Dataset(inputs={"input": x}, labels=y, source=source, continuous=frozenset({"input"}))


def train(
    net: nn.Module, x: Tensor, y: Tensor, *, epochs: int, rate: float, augment: Callable[[Tensor], Tensor] = lambda x: x
) -> None:
    """AdamW with one cycle up to `rate`, batches of 50."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-2)
    steps = len(y) // 50
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=epochs * steps)
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(y))[: steps * 50].split(50):
            loss = F.cross_entropy(net(augment(x[batch])), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}", flush=True)
    net.eval()


def table(net: nn.Module, given: argparse.Namespace, name: str, training: Dataset, held_out: Dataset) -> None:
    """Export, convert with each method and print the accuracy at several T."""
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"{name}.onnx"
    onnx.save(export(net, torch.from_numpy(held_out.inputs["input"][:1])), path)
    times = [t for t in TIMES if t <= given.timesteps]
    print(f"\nANN {ann_accuracy(path, held_out):.2f} % of {len(held_out)} held-out samples\n")
    header("method", *[f"T={t}" for t in times], "spikes", "operations on spikes")
    for method in given.methods.split(","):
        network = convert(path, method, training.head(512), timesteps=DESIGNED_FOR).network
        curve, rate = simulate(network, held_out, max(times))
        spiking = shares(operations(network))["spikes"]
        row(f"`{method}`", *[curve[t - 1] for t in times], f"{rate:.4f}", f"{100 * spiking:.2f} %")
