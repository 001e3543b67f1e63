# SPDX-License-Identifier: Apache-2.0
"""MSAT's text task, small: a bidirectional LSTM with a ReLU head on the sentences of SST-2 (two classes)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from networks import arguments, data_folder, dataset, table, train
from torch import Tensor, nn

#: Words of a sentence that are read, words that are known, numbers per word.
LENGTH, WORDS, VECTOR, HIDDEN = 32, 4000, 32, 32


def sentences(path: Path) -> tuple[list[list[str]], np.ndarray]:
    """The words of each sentence and its class: lines "CLASS WORD WORD ..."."""
    lines = [line.split() for line in path.read_text(encoding="latin-1").splitlines()]
    return [words[1:] for words in lines], np.array([int(words[0]) for words in lines])


def numbers(texts: list[list[str]], known: dict[str, int]) -> np.ndarray:
    """Word numbers, (N, LENGTH): 0 fills, 1 is any unknown word."""
    x = np.zeros((len(texts), LENGTH), np.int64)
    for i, words in enumerate(texts):
        x[i, : len(words)] = [known.get(word, 1) for word in words[:LENGTH]]
    return x


class Reader(nn.Module):
    """Word vectors to classes: a bidirectional LSTM, the mean over words, Linear, ReLU, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(VECTOR, HIDDEN, batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(2 * HIDDEN, 64)
        self.out = nn.Linear(64, 2)

    def forward(self, vectors: Tensor) -> Tensor:  # (N, LENGTH, VECTOR) -> (N, 2)
        states, _ = self.lstm(vectors)
        return self.out(torch.relu(self.hidden(states.mean(1))))


class Trained(nn.Module):
    """The reader behind its table of word vectors. Both are learned; words are dropped while training."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, VECTOR, padding_idx=0)
        self.dropout, self.reader = nn.Dropout(0.5), Reader()

    def forward(self, words: Tensor) -> Tensor:  # (N, LENGTH) -> (N, 2)
        return self.reader(self.dropout(self.table(words)))


def main() -> None:
    """Train, convert, print."""
    given = arguments(__doc__ or "", epochs=8, training=6920, test=872)
    torch.manual_seed(0)
    texts, y = sentences(data_folder() / "text" / "stsa.binary.train")
    order = np.random.default_rng(0).permutation(len(y))[: given.training]
    texts, y = [texts[i] for i in order], y[order]
    common = Counter(word for words in texts for word in words).most_common(WORDS - 2)
    known = {word: i for i, (word, _) in enumerate(common, 2)}
    others, labels = sentences(data_folder() / "text" / "stsa.binary.dev")
    others, labels = others[:: len(labels) // given.test], labels[:: len(labels) // given.test]
    x = torch.from_numpy(numbers(texts, known))
    net = Trained()
    train(net, x, torch.from_numpy(y), epochs=given.epochs, rate=5e-3)
    with torch.no_grad():
        seen, held_out = (net.table(words).numpy() for words in (x, torch.from_numpy(numbers(others, known))))
    table(net.reader, given, "reader", dataset(seen, y, "SST-2"), dataset(held_out, labels, "SST-2, held out"))


if __name__ == "__main__":
    main()
