# SPDX-License-Identifier: Apache-2.0
"""The functions in NumPy, by the name that a node's `call()` gives; of all others it is `functions.onnx.reference`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy.typing as npt

from snncc.functions.numpy import corrected, ops, recurrent
from snncc.functions.onnx.runtime import foreign

Array: TypeAlias = npt.NDArray[Any]

# fmt: off
FUNCTIONS: dict[str, Callable[..., Array]] = {
    f.__name__: f
    for f in (
        ops.pad, ops.convolution, ops.transposed_convolution, ops.linear, ops.batch_norm, ops.affine,
        ops.weighted_sum, ops.max_pool, ops.average_pool, ops.reduce_mean, ops.reduce_sum, ops.concatenate,
        ops.take_slice, ops.reshape, ops.transpose, ops.expand, ops.relu, ops.clip, ops.leaky_relu,
        ops.quantized_relu, recurrent.lstm, recurrent.gru, recurrent.rnn, corrected.erf, corrected.gelu,
        corrected.divide_by_norm, corrected.local_response, corrected.gather_elements, corrected.grid_sample,
        foreign,
    )
}
# fmt: on
