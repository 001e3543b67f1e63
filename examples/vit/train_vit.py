# SPDX-License-Identifier: Apache-2.0
"""Train a small vision transformer and write vit.onnx and vit.npz beside this file.

Data: the 1,797 hand-written 8 x 8 digits that come with scikit-learn.
Run:  python train_vit.py        (CPU, about a minute; a second run writes the same bytes)
"""

import math
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from digits_data import SEED, run

DIM, HEADS, BLOCKS = 32, 4, 2


class Block(nn.Module):
    """Attention over the patches and a perceptron, each behind a LayerNorm and with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM))

    def attention(self, x: Tensor) -> Tensor:  # (N, tokens, DIM)
        n, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(DIM // HEADS)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, tokens, DIM))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """16 patches of 2 x 2 pixels and a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, DIM, 2, 2)
        self.token, self.place = nn.Parameter(torch.zeros(1, 1, DIM)), nn.Parameter(torch.randn(1, 17, DIM) / 5)
        self.blocks = nn.Sequential(*[Block() for _ in range(BLOCKS)])
        self.norm, self.head = nn.LayerNorm(DIM), nn.Linear(DIM, 10)

    def forward(self, image: Tensor) -> Tensor:  # (N, 1, 8, 8) -> (N, 10)
        x = self.patch(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums in one order, so that the weights are the same on every run
    torch.manual_seed(SEED)
    run(ViT(), Path(__file__).resolve().parent, "vit", epochs=60, rate=4e-3)
