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
    "resize_nearest": OperatorInfo(linear=((0,),)),
    "lstm": OperatorInfo(),
    "gru": OperatorInfo(),
    "rnn": OperatorInfo(),
}
