# SPDX-License-Identifier: Apache-2.0
"""The torch function of each name that a node's `call()` gives."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from snncc.functions.torch import (
    activations,
    attention,
    elementwise,
    foreign,
    indexing,
    linear,
    normalization,
    quantized,
    recurrent,
)

#: The modules, in the order in which `model.py` has their sources.
MODULES = (linear, activations, recurrent, elementwise, normalization, indexing, attention, quantized, foreign)
# fmt: off
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    f.__name__: f
    for f in (
        linear.pad, linear.convolution, linear.transposed_convolution, linear.linear, linear.batch_norm, linear.affine,
        linear.weighted_sum, linear.max_pool, linear.average_pool, linear.reduce_mean, linear.reduce_sum,
        linear.concatenate, linear.take_slice, linear.reshape, linear.transpose, linear.expand, activations.relu,
        activations.clip, activations.leaky_relu, activations.quantized_relu, activations.multiply, activations.divide,
        activations.matmul, activations.sigmoid, activations.tanh, activations.exp, activations.softmax,
        activations.log_softmax, activations.arg_max, activations.gather, activations.cast, recurrent.lstm,
        recurrent.gru, recurrent.rnn, elementwise.erf, elementwise.gelu, elementwise.elu, elementwise.selu,
        elementwise.celu, elementwise.softplus, elementwise.softsign, elementwise.mish, elementwise.swish,
        elementwise.thresholded_relu, elementwise.shrink, elementwise.log, elementwise.square_root,
        elementwise.reciprocal, elementwise.absolute, elementwise.power, elementwise.integer_power,
        elementwise.positive_power, elementwise.sine, elementwise.cosine, elementwise.tangent, elementwise.arc_sine,
        elementwise.arc_cosine, elementwise.arc_tangent, elementwise.hyperbolic_sine, elementwise.hyperbolic_cosine,
        elementwise.area_sine, elementwise.area_cosine, elementwise.area_tangent, elementwise.sign,
        elementwise.round_half_even, elementwise.floor, elementwise.ceiling, elementwise.modulo, elementwise.maximum,
        elementwise.minimum, elementwise.select, elementwise.equal, elementwise.greater, elementwise.greater_or_equal,
        elementwise.less, elementwise.less_or_equal, elementwise.logical_and, elementwise.logical_or,
        elementwise.logical_xor, elementwise.logical_not, elementwise.is_nan, elementwise.is_infinite,
        elementwise.bitwise, elementwise.bitwise_not, normalization.standardize, normalization.inverse_deviation,
        normalization.divide_by_root_mean_square, normalization.divide_by_norm, normalization.local_response,
        normalization.hardmax, normalization.reduce_max, normalization.reduce_min, normalization.reduce_prod,
        normalization.reduce_norm, normalization.reduce_sum_square, normalization.log_sum_exp, normalization.lp_pool,
        normalization.determinant, normalization.cumulative_sum, normalization.cumulative_product,
        normalization.einsum, indexing.gather_elements, indexing.scatter_elements, indexing.combine_elements,
        indexing.gather_nd, indexing.scatter_nd, indexing.combine_nd, indexing.top_values, indexing.top_indices,
        indexing.one_hot, indexing.reverse_sequence, indexing.max_unpool, indexing.grid_sample,
        attention.masked_softmax, attention.mask_bias, attention.length_bias, quantized.quantize,
        quantized.fake_quantize, quantized.dynamic_scale, quantized.dynamic_zero, foreign.foreign,
    )
}
# fmt: on
