# SPDX-License-Identifier: Apache-2.0
"""Samples that leave a batch after given steps, and what has to be the same as without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.execute.protocol import EarlyExecutor
from snncc.execute.torch.early_exit import PIECE
from snncc.ir.network import Network
from snncc.ir.readout import output_first


@dataclass
class Leaving:
    """Sample i leaves after step `after[i]`; its outputs then are kept."""

    net: Network
    after: np.ndarray
    running: np.ndarray = field(init=False)
    found: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    steps: int = 0

    def __post_init__(self) -> None:
        self.running = np.arange(len(self.after))

    def __call__(self, outputs: Mapping[str, Any], t: int) -> np.ndarray:
        going = self.after[self.running] > t
        self.steps += len(self.running)
        for name, y in outputs.items():
            for at, value in zip(self.running, output_first(y, self.net[name], len(self.running)), strict=True):
                if self.after[at] == t:
                    self.found[name, int(at)] = value
        self.running = self.running[going]
        return going


def computed(after: np.ndarray, timesteps: int) -> np.ndarray:
    """The steps computed for samples that leave after some step: whole pieces."""
    return np.minimum(-(-after // PIECE) * PIECE, timesteps)


def leaves_as_it_would_be(
    net: Network, executor: EarlyExecutor, feeds: Mapping[str, np.ndarray], timesteps: int, rtol: float = 0.0
) -> None:
    """Outputs are those of the run of all samples to the end, events those of each sample alone up to its piece."""
    samples = max(len(x) for x in feeds.values()) if net.sampled.batch is not None else 1
    leaving = Leaving(net, np.arange(samples) * 3 % timesteps + 1)
    counted = executor.run_early(feeds, timesteps, leaving)
    whole = executor.run(feeds, timesteps, range(1, timesteps + 1))
    assert leaving.steps == leaving.after.sum()
    events: dict[str, Any] = {}
    for i, (t, end) in enumerate(zip(leaving.after, computed(leaving.after, timesteps).tolist(), strict=True)):
        alone = executor.run({name: x[i : i + 1] for name, x in feeds.items()} if samples > 1 else feeds, end, (end,))
        for name, n in alone.events.items():
            events[name] = events.get(name, 0) + n
        for name, y in whole.outputs.items():
            expected = output_first(y[t - 1], net[name], samples)[i]
            np.testing.assert_allclose(leaving.found[name, i], expected, rtol=rtol, atol=rtol, err_msg=f"{name} of {i}")
    assert counted.events.keys() == events.keys()
    for name, n in counted.events.items():
        np.testing.assert_array_equal(n, events[name], err_msg=name)
