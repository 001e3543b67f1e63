# SPDX-License-Identifier: Apache-2.0
"""The passes, in the order in which they usually stand in a recipe."""

from __future__ import annotations

from snncc.transform.base import Transform
from snncc.transform.fold_batchnorm import fold_batchnorm
from snncc.transform.minimize_threshold_error import minimize_threshold_error
from snncc.transform.match_currents import match_currents
from snncc.transform.rewrite_functions import rewrite_functions
from snncc.transform.rewrite_max_pooling import rewrite_max_pooling
from snncc.transform.select_neuron import select_neuron
from snncc.transform.shift_clips import shift_clips
from snncc.transform.thresholds import balance_thresholds, initialize_membrane

TRANSFORMS: tuple[Transform, ...] = (
    fold_batchnorm,
    shift_clips,
    rewrite_max_pooling,
    rewrite_functions,
    select_neuron,
    balance_thresholds,
    minimize_threshold_error,
    initialize_membrane,
    match_currents,
)
