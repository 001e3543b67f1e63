# SPDX-License-Identifier: Apache-2.0
"""Train the network of this example and write digits_nir.onnx and digits_nir.npz beside this file.

Strided convolutions instead of pools, so that NIR can say all of it. Run:  python train_digits_nir.py  (CPU, a minute)
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import digits_data


class Strided(nn.Module):
    """Three convolutions, two of them with stride 2, and one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
            nn.Flatten(),
            nn.Linear(32 * 2 * 2, 10),
        )

    def forward(self, image: Tensor) -> Tensor:  # (N, 1, 8, 8) -> (N, 10)
        return self.layers(image)


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums in one order, so that the weights are the same on every run
    torch.manual_seed(digits_data.SEED)
    digits_data.run(Strided(), Path(__file__).resolve().parent, "digits_nir", epochs=30, rate=1e-2)
