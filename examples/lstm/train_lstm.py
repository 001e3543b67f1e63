# SPDX-License-Identifier: Apache-2.0
"""Train a small bidirectional LSTM and write lstm.onnx and lstm.npz beside this file.

Data: the 1,797 hand-written 8 x 8 digits that come with scikit-learn, read row by row: 8 steps of 8 pixels.
Run:  python train_lstm.py        (CPU, about a minute; a second run writes the same bytes)
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from digits_data import SEED, run

HIDDEN = 32


class Reader(nn.Module):
    """A bidirectional LSTM over the rows; a linear layer reads the final states of both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, HIDDEN, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * HIDDEN, 10)

    def forward(self, image: Tensor) -> Tensor:  # (N, 1, 8, 8) -> (N, 10)
        _, (state, _) = self.lstm(image.squeeze(1))
        return self.head(state.transpose(0, 1).flatten(1))


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums in one order, so that the weights are the same on every run
    torch.manual_seed(SEED)
    run(Reader(), Path(__file__).resolve().parent, "lstm", epochs=40, rate=1e-2)
