# SPDX-License-Identifier: Apache-2.0
"""The torch executor: a network on a device, simulated layer by layer with the steps folded into the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snncc.execute.protocol import Undecided
from snncc.execute.torch.early_exit import advance_undecided
from snncc.execute.torch.layout import Run
from snncc.execute.torch.network import TorchNetwork
from snncc.execute.torch.session import Session
from snncc.ir.nodes import Node


class Engine(TorchNetwork):
    """A network prepared for a device and a float type; `run` simulates, `evaluate` computes the ANN stage."""

    @torch.no_grad()
    def run(
        self,
        feeds: Mapping[str, Any],
        timesteps: int,
        *,
        checkpoints: Sequence[int] | None = None,
        steps_at_once: int | None = None,
        observe: Callable[[Node, Tensor], None] | None = None,
        count: bool = True,
        first_sample: int = 0,
        undecided: Undecided | None = None,
    ) -> Run:
        """Simulate a batch for `timesteps` steps; outputs at `checkpoints` (default: the last step).

        `observe(node, series)` sees each neuron's and differential's output, (T', N, ...), piece by piece in time.
        `first_sample` is the number of the batch's first sample, for random streams. The samples that `undecided` does
        not keep leave after their step; the result then has no outputs of use.
        """
        session = Session(self, feeds, timesteps, tuple(checkpoints or (timesteps,)), observe, count, first_sample)
        if undecided is not None:
            advance_undecided(session, undecided)
            return session.result
        step = steps_at_once or timesteps
        for begin in range(0, timesteps, step):
            session.advance(begin, min(begin + step, timesteps))
        return session.finish()
