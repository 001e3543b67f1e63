# SPDX-License-Identifier: Apache-2.0
"""What writes each function that a node's `call()` names as ONNX nodes."""

from __future__ import annotations

import math

import numpy as np

from snncc.functions.onnx import entries, foreign, functions, linear, recurrent
from snncc.functions.onnx.functions import Emitter

# fmt: off
WRITTEN: tuple[Emitter, ...] = (
    linear.convolution, linear.transposed_convolution, linear.linear, linear.batch_norm, linear.affine,
    linear.weighted_sum, linear.pad, linear.max_pool, linear.average_pool, linear.reduce_mean, linear.reduce_sum,
    linear.concatenate, linear.take_slice, linear.reshape, linear.transpose, linear.expand, linear.relu, linear.clip,
    linear.leaky_relu, linear.quantized_relu, functions.select, functions.gelu, functions.shrink, functions.softmax,
    functions.log_softmax, functions.masked_softmax, functions.arg_max, functions.cast, functions.standardize,
    functions.inverse_deviation, functions.divide_by_root_mean_square, functions.local_response,
    functions.reduce_norm, functions.hardmax, functions.lp_pool, functions.quantize, functions.fake_quantize,
    functions.dynamic_scale, functions.dynamic_zero, entries.gather, entries.gather_elements, entries.gather_nd,
    entries.scatter_elements, entries.scatter_nd, entries.top_values, entries.top_indices, entries.one_hot,
    entries.reverse_sequence, entries.grid_sample, entries.bitwise, entries.max_unpool, entries.cumulative_product,
    entries.length_bias, recurrent.lstm, recurrent.gru, recurrent.rnn, foreign.foreign,
)
# fmt: on
#: Functions by the name that nodes call them.
FUNCTIONS: dict[str, Emitter] = {
    **{f.__name__: f for f in WRITTEN},
    "combine_elements": entries.scatter_elements,
    "combine_nd": entries.scatter_nd,
    **{
        name: functions.simple(operator)
        for name, operator in {
            "sigmoid": "Sigmoid",
            "tanh": "Tanh",
            "exp": "Exp",
            "erf": "Erf",
            "softplus": "Softplus",
            "softsign": "Softsign",
            "log": "Log",
            "square_root": "Sqrt",
            "reciprocal": "Reciprocal",
            "absolute": "Abs",
            "sine": "Sin",
            "cosine": "Cos",
            "tangent": "Tan",
            "arc_sine": "Asin",
            "arc_cosine": "Acos",
            "arc_tangent": "Atan",
            "hyperbolic_sine": "Sinh",
            "hyperbolic_cosine": "Cosh",
            "area_sine": "Asinh",
            "area_cosine": "Acosh",
            "area_tangent": "Atanh",
            "sign": "Sign",
            "round_half_even": "Round",
            "floor": "Floor",
            "ceiling": "Ceil",
            "bitwise_not": "BitwiseNot",
            "determinant": "Det",
        }.items()
    },
    "multiply": functions.binary("Mul"),
    "divide": functions.binary("Div"),
    "matmul": functions.binary("MatMul"),
    "equal": functions.comparison("Equal"),
    "greater": functions.comparison("Greater"),
    "greater_or_equal": functions.comparison("GreaterOrEqual"),
    "less": functions.comparison("Less"),
    "less_or_equal": functions.comparison("LessOrEqual"),
    "logical_and": functions.logical("And"),
    "logical_or": functions.logical("Or"),
    "logical_xor": functions.logical("Xor"),
    "logical_not": functions.logical("Not"),
    "reduce_max": functions.reduction("ReduceMax"),
    "reduce_min": functions.reduction("ReduceMin"),
    "reduce_prod": functions.reduction("ReduceProd"),
    "reduce_sum_square": functions.reduction("ReduceSumSquare"),
    "log_sum_exp": functions.reduction("ReduceLogSumExp"),
    "maximum": functions.widened("Max"),
    "minimum": functions.widened("Min"),
    "elu": lambda g, node, x, *, alpha: g.op("Elu", x, alpha=alpha),
    "selu": lambda g, node, x, *, alpha, gamma: g.op("Selu", x, alpha=alpha, gamma=gamma),
    "celu": lambda g, node, x, *, alpha: g.op("Celu", x, alpha=alpha),
    "thresholded_relu": lambda g, node, x, *, alpha: g.op("ThresholdedRelu", x, alpha=alpha),
    "swish": lambda g, node, x, *, alpha: g.op("Mul", x, g.op("Sigmoid", g.op("Mul", x, alpha))),
    "mish": lambda g, node, x: g.op("Mul", x, g.op("Tanh", g.op("Softplus", x))),
    "integer_power": lambda g, node, x, *, exponent: g.op("Pow", x, exponent),
    "positive_power": lambda g, node, x, *, exponent: g.op("Pow", x, exponent),
    "power": lambda g, node, x, y: g.op("Pow", x, y),
    "modulo": lambda g, node, a, b, *, truncate: functions.remainder(g, *g.common(a, b), truncate=truncate),
    "is_nan": lambda g, node, x: g.op("IsNaN", x, kind=bool),
    "is_infinite": lambda g, node, x, *, negative, positive: g.op(
        "IsInf", x, kind=bool, detect_negative=int(negative), detect_positive=int(positive)
    ),
    "einsum": lambda g, node, *inputs, equation: g.op("Einsum", *g.common(*inputs), equation=equation),
    "cumulative_sum": lambda g, node, x, *, axis, exclusive, reverse: g.op(
        "CumSum", x, g.constant(np.int64(axis)), exclusive=int(exclusive), reverse=int(reverse)
    ),
    "divide_by_norm": lambda g, node, x, *, axis, p: g.op("LpNormalization", x, axis=axis, p=p),
    "mask_bias": lambda g, node, mask: g.where(functions.truth(g, mask), 0.0, -math.inf, kind=g.float_type),
}
