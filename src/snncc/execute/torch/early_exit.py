# SPDX-License-Identifier: Apache-2.0
"""Simulation in short pieces whose samples leave the batch when they are decided; what is left is computed on."""

from __future__ import annotations

import torch
from torch import Tensor

from snncc.execute.protocol import Undecided
from snncc.execute.torch.samples import of_samples
from snncc.execute.torch.session import Session

#: Steps between two times at which samples leave: single steps read the weights twice as often, longer pieces compute
#: more steps of samples that are decided.
PIECE = 2


def closed_up(rows: Tensor) -> Tensor:
    """Some rows of a batch in an order in which most stay where they are: those behind the new end fill the holes."""
    order = torch.arange(len(rows))
    order[~torch.isin(order, rows)] = rows[rows >= len(rows)]
    return order


def advance_undecided(session: Session, undecided: Undecided) -> None:
    """The steps of a session as long as any of its samples goes on; each step decides, after every piece they leave."""
    net, rows = session.engine.network, torch.arange(session.samples)
    for begin in range(0, session.timesteps, PIECE):
        end = min(begin + PIECE, session.timesteps)
        session.checkpoints = tuple(range(begin + 1, end + 1))
        session.snapshots.clear()
        session.advance(begin, end)
        outputs = session.finish().outputs
        for k, t in enumerate(session.checkpoints):
            now = {name: of_samples(y[k], net[name], rows).cpu().numpy() for name, y in outputs.items()}
            rows = rows[torch.from_numpy(undecided(now, t))]
            if not len(rows):
                return
        if len(rows) < session.samples:
            order, now_at = closed_up(rows), torch.empty(session.samples, dtype=torch.int64)
            now_at[order] = torch.arange(len(order))
            rows = now_at[rows]
            session.keep(order)
