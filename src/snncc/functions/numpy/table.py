# SPDX-License-Identifier: Apache-2.0
"""The functions in NumPy, by the name that a node's `call()` gives; of all others it is `functions.onnx.reference`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy.typing as npt

from snncc.functions.numpy import activations, corrected, linear, recurrent
from snncc.functions.onnx.runtime import foreign

Array: TypeAlias = npt.NDArray[Any]

# fmt: off
FUNCTIONS: dict[str, Callable[..., Array]] = {
    f.__name__: f
    for f in (
        linear.pad, linear.convolution, linear.transposed_convolution, linear.linear, linear.batch_norm, linear.affine,
        linear.weighted_sum, linear.max_pool, linear.average_pool, linear.reduce_mean, linear.reduce_sum,
        linear.concatenate, linear.take_slice, linear.reshape, linear.transpose, linear.expand, activations.relu,
        activations.clip, activations.leaky_relu, activations.quantized_relu, recurrent.lstm, recurrent.gru,
        recurrent.rnn, corrected.erf, corrected.gelu, corrected.divide_by_norm, corrected.local_response,
        corrected.gather_elements, corrected.grid_sample, foreign,
    )
}
# fmt: on
