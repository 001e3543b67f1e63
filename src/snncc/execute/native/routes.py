# SPDX-License-Identifier: Apache-2.0
"""Which kernel the tile of a gathered convolution takes: lists of events, or every entry; a model of what either costs.

In loads of a vector, for one pixel and one block of input channels: the dense kernel multiplies and adds every row of
weights, in each row of taps and block of outputs; the kernel on events adds as many as there are events, and besides
makes the lists, and fetches and stores its sums. The weights of the parts are rounded from times of 3x3 convolutions of
16 to 512 channels; only their ratios matter.
"""

from __future__ import annotations

from snncc.execute.native.kernels import Gathered
from snncc.execute.native.program import Route, Term

#: Vectors that are added or multiplied and added in the time of one vector load.
EVENT_RATE, DENSE_RATE = 0.65, 0.85
#: Cost of a list in its making (for itself, for each tap) and in each block of outputs, in vector loads.
LIST, TAP, PASS = 40.0, 20.0, 36.0


def dense_from(term: Term, planned: Gathered, route: Route) -> float:
    """The density of a tile above which its entries are all multiplied, not listed."""
    if route != "auto":
        return -1.0 if route == "dense" else 2.0
    kernel, grouping = planned.kernel, planned.grouping
    rows, blocks = term.kernel[0], planned.weights.shape[0]
    additions = grouping.block * grouping.group_x * kernel.registers * blocks * rows
    signs = 2 if kernel.negative else 1
    listing = LIST + TAP * grouping.group_x * signs + PASS * blocks * rows
    return float((additions / DENSE_RATE - listing) / (additions / EVENT_RATE))
