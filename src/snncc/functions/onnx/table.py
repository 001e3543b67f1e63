# SPDX-License-Identifier: Apache-2.0
"""What writes each function that a node's `call()` names as ONNX nodes."""

from __future__ import annotations

import math

import numpy as np

from snncc.functions.onnx import elementwise, foreign, indexing, linear, normalization, quantized, recurrent
from snncc.functions.onnx.elementwise import Emitter

# fmt: off
WRITTEN: tuple[Emitter, ...] = (
    linear.convolution, linear.transposed_convolution, linear.linear, linear.batch_norm, linear.affine,
    linear.weighted_sum, linear.pad, linear.max_pool, linear.average_pool, linear.reduce_mean, linear.reduce_sum,
    linear.concatenate, linear.take_slice, linear.reshape, linear.transpose, linear.expand, elementwise.relu,
    elementwise.clip, elementwise.leaky_relu, elementwise.quantized_relu, elementwise.select, elementwise.gelu,
    elementwise.shrink, normalization.softmax, normalization.log_softmax, normalization.masked_softmax,
    indexing.arg_max, elementwise.cast, normalization.standardize, normalization.inverse_deviation,
    normalization.divide_by_root_mean_square, normalization.local_response, normalization.reduce_norm,
    normalization.hardmax, linear.lp_pool, quantized.quantize, quantized.fake_quantize, quantized.dynamic_scale,
    quantized.dynamic_zero, indexing.gather, indexing.gather_elements, indexing.gather_nd, indexing.scatter_elements,
    indexing.scatter_nd, indexing.top_values, indexing.top_indices, indexing.one_hot, indexing.reverse_sequence,
    indexing.grid_sample, elementwise.bitwise, indexing.max_unpool, normalization.cumulative_product,
    indexing.length_bias, recurrent.lstm, recurrent.gru, recurrent.rnn, foreign.foreign,
)
#: Functions that are one operator of one input, without options.
OPERATORS = {
    "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "erf": "Erf", "softplus": "Softplus", "softsign": "Softsign",
    "log": "Log", "square_root": "Sqrt", "reciprocal": "Reciprocal", "absolute": "Abs", "sine": "Sin", "cosine": "Cos",
    "tangent": "Tan", "arc_sine": "Asin", "arc_cosine": "Acos", "arc_tangent": "Atan", "hyperbolic_sine": "Sinh",
    "hyperbolic_cosine": "Cosh", "area_sine": "Asinh", "area_cosine": "Acosh", "area_tangent": "Atanh", "sign": "Sign",
    "round_half_even": "Round", "floor": "Floor", "ceiling": "Ceil", "bitwise_not": "BitwiseNot", "determinant": "Det",
}
# fmt: on
#: Functions by the name that nodes call them.
FUNCTIONS: dict[str, Emitter] = {
    **{f.__name__: f for f in WRITTEN},
    "combine_elements": indexing.scatter_elements,
    "combine_nd": indexing.scatter_nd,
    **{name: elementwise.simple(operator) for name, operator in OPERATORS.items()},
    "multiply": elementwise.binary("Mul"),
    "divide": elementwise.binary("Div"),
    "matmul": elementwise.binary("MatMul"),
    "equal": elementwise.comparison("Equal"),
    "greater": elementwise.comparison("Greater"),
    "greater_or_equal": elementwise.comparison("GreaterOrEqual"),
    "less": elementwise.comparison("Less"),
    "less_or_equal": elementwise.comparison("LessOrEqual"),
    "logical_and": elementwise.logical("And"),
    "logical_or": elementwise.logical("Or"),
    "logical_xor": elementwise.logical("Xor"),
    "logical_not": elementwise.logical("Not"),
    "reduce_max": normalization.reduction("ReduceMax"),
    "reduce_min": normalization.reduction("ReduceMin"),
    "reduce_prod": normalization.reduction("ReduceProd"),
    "reduce_sum_square": normalization.reduction("ReduceSumSquare"),
    "log_sum_exp": normalization.reduction("ReduceLogSumExp"),
    "maximum": elementwise.widened("Max"),
    "minimum": elementwise.widened("Min"),
    "elu": lambda g, node, x, *, alpha: g.op("Elu", x, alpha=alpha),
    "selu": lambda g, node, x, *, alpha, gamma: g.op("Selu", x, alpha=alpha, gamma=gamma),
    "celu": lambda g, node, x, *, alpha: g.op("Celu", x, alpha=alpha),
    "thresholded_relu": lambda g, node, x, *, alpha: g.op("ThresholdedRelu", x, alpha=alpha),
    "swish": lambda g, node, x, *, alpha: g.op("Mul", x, g.op("Sigmoid", g.op("Mul", x, alpha))),
    "mish": lambda g, node, x: g.op("Mul", x, g.op("Tanh", g.op("Softplus", x))),
    "integer_power": lambda g, node, x, *, exponent: g.op("Pow", x, exponent),
    "positive_power": lambda g, node, x, *, exponent: g.op("Pow", x, exponent),
    "power": lambda g, node, x, y: g.op("Pow", x, y),
    "modulo": lambda g, node, a, b, *, truncate: elementwise.remainder(g, *g.common(a, b), truncate=truncate),
    "is_nan": lambda g, node, x: g.op("IsNaN", x, kind=bool),
    "is_infinite": lambda g, node, x, *, negative, positive: g.op(
        "IsInf", x, kind=bool, detect_negative=int(negative), detect_positive=int(positive)
    ),
    "einsum": lambda g, node, *inputs, equation: g.op("Einsum", *g.common(*inputs), equation=equation),
    "cumulative_sum": lambda g, node, x, *, axis, exclusive, reverse: g.op(
        "CumSum", x, g.constant(np.int64(axis)), exclusive=int(exclusive), reverse=int(reverse)
    ),
    "divide_by_norm": lambda g, node, x, *, axis, p: g.op("LpNormalization", x, axis=axis, p=p),
    "mask_bias": lambda g, node, mask: g.where(elementwise.truth(g, mask), 0.0, -math.inf, kind=g.float_type),
}
