# SPDX-License-Identifier: Apache-2.0
"""MSAT's speech task, small: M5 (1-D convolutions on the raw wave, arXiv:1610.00087) on spoken digits."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from networks import arguments, data_folder, dataset, table, train
from torch import Tensor, nn

from snncc.data.dataset import Dataset

#: 0.64 s at 8 kHz; longer recordings are cut, shorter ones end in silence.
SAMPLES = 5120
#: Recordings of each speaker and digit that are held out: those with the smallest numbers.
HELD_OUT = 5


def recordings() -> tuple[Dataset, Dataset]:
    """The training and held-out recordings, (N, 1, SAMPLES), each scaled to a largest amplitude of 1."""
    with np.load(data_folder() / "fsdd_train.npz", allow_pickle=False) as file:
        wave, lengths, digits, index = file["wave"], file["length"], file["digit"], file["index"]
    x = np.zeros((len(lengths), 1, SAMPLES), np.float32)
    for i, part in enumerate(np.split(wave, np.cumsum(lengths)[:-1])):
        x[i, 0, : len(part)] = part[:SAMPLES] / max(1, np.abs(part.astype(np.int32)).max())
    held_out = index < index.min() + HELD_OUT
    order = np.random.default_rng(0).permutation(np.flatnonzero(~held_out))
    y = digits.astype(np.int64)
    return dataset(x[order], y[order], "spoken digits"), dataset(x[held_out], y[held_out], "spoken digits, held out")


class M5(nn.Module):
    """Four convolutions with BatchNorm, ReLU and max pooling by 4, the mean over time, a linear layer."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes, kernels = (1, width, width, 2 * width, 2 * width), (80, 3, 3, 3)
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, k, stride=8 if k == 80 else 1, padding=36 if k == 80 else 1, bias=False)
            for a, b, k in zip(sizes[:-1], sizes[1:], kernels, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for b in sizes[1:])
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:  # (N, 1, SAMPLES) -> (N, 10)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.max_pool1d(F.relu(norm(conv(x))), 4)
        return self.head(x.mean(2))


def moved(x: Tensor) -> Tensor:
    """The batch moved in time by up to a twentieth of a second, with some noise."""
    return torch.roll(x, int(torch.randint(-400, 401, ())), 2) + 0.005 * torch.randn_like(x)


def main() -> None:
    """Train, convert, print."""
    given = arguments(__doc__ or "", epochs=20, training=2400, test=300)
    training, held_out = recordings()
    training, held_out = training.head(given.training), held_out.subset(slice(None, None, 300 // given.test))
    torch.manual_seed(0)
    net, x, y = M5(), torch.from_numpy(training.inputs["input"]), torch.from_numpy(np.asarray(training.labels))
    train(net, x, y, epochs=given.epochs, rate=5e-3, augment=moved)
    table(net, given, "m5", training, held_out)


if __name__ == "__main__":
    main()
