# SPDX-License-Identifier: Apache-2.0
"""What the passes need to know of the operators that `Operator` nodes carry.

An operator that is not linear in the inputs that carry rates becomes a `Differential`; its argument is clamped to the
calibrated range, cut to the function's domain.
"""

from __future__ import annotations

from dataclasses import dataclass

Ints = tuple[int, ...]
Bounds = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorInfo:
    """The properties of one function.

    `linear`: sets of input positions in which it is jointly linear when the others are static. `domain`: bounds of
    each input (missing: all numbers). `nonzero`: inputs that must stay away from zero (denominators).
    `continuous`: whether a small change of the input makes a small change of the output. `homogeneous`:
    f(c x) = c f(x) for c > 0, so that the differential form needs no division.
    """

    linear: tuple[Ints, ...] = ()
    domain: tuple[Bounds, ...] = ()
    nonzero: Ints = ()
    continuous: bool = True
    homogeneous: bool = False


ELEMENTWISE = OperatorInfo()
#: The largest float32 below 1, where artanh is still finite.
BELOW_ONE = 1 - 2.0**-24


def named(names: str, info: OperatorInfo) -> dict[str, OperatorInfo]:
    """The same properties for several functions."""
    return dict.fromkeys(names.split(), info)


OPERATORS: dict[str, OperatorInfo] = {
    "multiply": OperatorInfo(linear=((0,), (1,))),
    "divide": OperatorInfo(linear=((0,),), nonzero=(1,)),
    "matmul": OperatorInfo(linear=((0,), (1,))),
    "sigmoid": ELEMENTWISE,
    "tanh": ELEMENTWISE,
    "exp": ELEMENTWISE,
    "softmax": OperatorInfo(),
    "log_softmax": OperatorInfo(),
    "arg_max": OperatorInfo(continuous=False),
    "gather": OperatorInfo(linear=((0,),)),
    "cast": OperatorInfo(continuous=False),
    # elementwise
    **named(
        "erf gelu elu selu celu softplus softsign mish swish integer_power power sine cosine tangent "
        "arc_tangent hyperbolic_sine hyperbolic_cosine area_sine maximum minimum",
        ELEMENTWISE,
    ),
    "absolute": OperatorInfo(homogeneous=True),
    "log": OperatorInfo(domain=((0.0, None),), nonzero=(0,)),
    "square_root": OperatorInfo(domain=((0.0, None),)),
    "positive_power": OperatorInfo(domain=((0.0, None),)),
    "reciprocal": OperatorInfo(nonzero=(0,)),
    "arc_sine": OperatorInfo(domain=((-1.0, 1.0),)),
    "arc_cosine": OperatorInfo(domain=((-1.0, 1.0),)),
    "area_cosine": OperatorInfo(domain=((1.0, None),)),
    "area_tangent": OperatorInfo(domain=((-BELOW_ONE, BELOW_ONE),)),
    "modulo": OperatorInfo(nonzero=(1,), continuous=False),
    "select": OperatorInfo(linear=((1, 2),), continuous=False),
    **named(
        "thresholded_relu shrink sign round_half_even floor ceiling equal greater greater_or_equal less "
        "less_or_equal logical_and logical_or logical_xor logical_not is_nan is_infinite bitwise bitwise_not",
        OperatorInfo(continuous=False),
    ),
    # normalisations and reductions
    **named(
        "standardize inverse_deviation divide_by_root_mean_square divide_by_norm local_response reduce_prod "
        "reduce_sum_square log_sum_exp determinant cumulative_product",
        OperatorInfo(),
    ),
    "hardmax": OperatorInfo(continuous=False),
    **named(
        "reduce_max reduce_min reduce_norm lp_pool",
        OperatorInfo(homogeneous=True),
    ),
    "cumulative_sum": OperatorInfo(linear=((0,),)),
    "einsum": OperatorInfo(linear=tuple((i,) for i in range(16))),
    # moving entries
    **named(
        "gather_elements gather_nd reverse_sequence",
        OperatorInfo(linear=((0,),)),
    ),
    **named(
        "max_unpool grid_sample",
        OperatorInfo(linear=((0,),)),
    ),
    **named(
        "scatter_elements scatter_nd",
        OperatorInfo(linear=((0, 2),)),
    ),
    **named(
        "combine_elements combine_nd",
        OperatorInfo(),
    ),
    "top_values": OperatorInfo(homogeneous=True),
    "top_indices": OperatorInfo(continuous=False),
    "one_hot": OperatorInfo(continuous=False),
    # recurrent
    "lstm": OperatorInfo(),
    "gru": OperatorInfo(),
    "rnn": OperatorInfo(),
    # attention
    "masked_softmax": OperatorInfo(),
    "mask_bias": OperatorInfo(continuous=False),
    "length_bias": OperatorInfo(continuous=False),
    # quantisation: piecewise constant
    **{name: OperatorInfo(continuous=False) for name in ("quantize", "fake_quantize", "dynamic_zero")},
    "dynamic_scale": OperatorInfo(homogeneous=True),
}
