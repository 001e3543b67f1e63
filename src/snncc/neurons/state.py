# SPDX-License-Identifier: Apache-2.0
"""What the scans of neurons begin with; the emitted module contains it.

A scan runs a neuron over T steps in torch: `current` is (T, N, *shape) and is overwritten by the output. `state` is
what an earlier call returned, None at the start. Scans are tested against steps, at equality with the threshold too.
"""

from __future__ import annotations

import torch
from torch import Tensor

State = tuple[Tensor, Tensor]


def start(current: Tensor, v_init: Tensor, state: State | None) -> State:
    """The membrane potential and the spike count before the first step. Scans change them in place."""
    if state is not None:
        return state
    zeros = torch.zeros_like(current[0])
    return zeros + v_init, zeros
