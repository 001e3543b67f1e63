# SPDX-License-Identifier: Apache-2.0
"""Lowering of nonlinear reductions, running sums, Einsum and Det."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand
from snncc.frontend.operators.linear import constant, dense
from snncc.frontend.operators.shape import reduce_sum, reduction
from snncc.ir.nodes import Node

Ints = Sequence[int]
#: A running sum over at most this many entries is a matrix.
MATRIX_LIMIT = 1024


def reduce_by(op: str, **options: Any) -> Callable[..., Node]:
    """The lowering of a reduction by a function."""

    def lowering(g: Builder, x: Operand, axes_input: Operand = None, **attributes: Any) -> Node:
        x, fields = reduction(g, x, axes_input, **attributes)
        return g.operator(op, x, **fields, **options)

    lowering.__doc__ = op
    return lowering


def reduce_log_sum(g: Builder, x: Operand, axes_input: Operand = None, **attributes: Any) -> Node:
    """ReduceLogSum: the logarithm of a sum, which is linear."""
    final, g.out = g.out, g.fresh("sum")
    total = reduce_sum(g, x, axes_input, **attributes)
    return g.operator("log", total, batch=total.batch, name=final)


def running(g: Builder, x: Operand, axis_input: Operand) -> tuple[Node, int]:
    """The operand of a running sum and its axis."""
    x = g.node(x)
    axis = int(constant(axis_input, "axis").reshape(-1)[0]) % len(x.shape)
    if x.batch == axis:
        raise MixesSamples("it runs along the samples' axis")
    return x, axis


def cum_sum(g: Builder, x: Operand, axis_input: Operand, *, exclusive: int = 0, reverse: int = 0) -> Node:
    """CumSum: a triangular matrix."""
    x, axis = running(g, x, axis_input)
    size = x.shape[axis]
    if x.dtype != "float32" or size > MATRIX_LIMIT:
        return g.operator(
            "cumulative_sum", x, batch=x.batch, axis=axis, exclusive=bool(exclusive), reverse=bool(reverse)
        )
    matrix = np.tri(size, k=-1 if exclusive else 0, dtype=np.float32)
    return dense(g, x, matrix.T if reverse else matrix, None, axis)


def cum_prod(g: Builder, x: Operand, axis_input: Operand, *, exclusive: int = 0, reverse: int = 0) -> Node:
    """CumProd."""
    x, axis = running(g, x, axis_input)
    return g.operator(
        "cumulative_product", x, batch=x.batch, axis=axis, exclusive=bool(exclusive), reverse=bool(reverse)
    )


def det(g: Builder, x: Operand) -> Node:
    """Det of the last two axes."""
    x = g.node(x)
    if x.batch is not None and x.batch >= len(x.shape) - 2:
        raise MixesSamples("its matrices extend over the samples' axis")
    return g.operator("determinant", x, batch=x.batch)


def explicit_equation(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, the ellipsis written out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in equation]
    spans = [rank - len(t.replace("...", "")) if "..." in t else 0 for t, rank in zip(terms, ranks, strict=True)]
    letters = "".join(free[: max(spans, default=0)])
    full = [t.replace("...", letters[len(letters) - n :]) for t, n in zip(terms, spans, strict=True)]
    if not arrow:
        once = sorted(c for c, n in Counter(left.replace(",", "").replace(".", "")).items() if n == 1)
        right = ("..." if "..." in left else "") + "".join(once)
    return full, right.replace("...", letters)


def einsum(g: Builder, *operands: Operand, equation: str) -> Node:
    """Einsum; every operand that has the samples' letter carries them on it."""
    inputs = [g.node(x, f"operand{i}") for i, x in enumerate(operands)]
    terms, result = explicit_equation(equation, [len(x.shape) for x in inputs])
    carried = {(t[x.batch], x.shape[x.batch]) for t, x in zip(terms, inputs, strict=True) if x.batch is not None}
    if len({letter for letter, _ in carried}) > 1 or len(carried) > 1:
        raise MixesSamples("its operands carry the samples on different letters")
    batch = None
    if carried:
        letter = next(iter(carried))[0]
        if letter not in result or any(t.count(letter) > 1 for t in terms):
            raise MixesSamples("it sums over the samples' axis")
        batch = result.index(letter)
        inputs = [g.repeated(x, t.index(letter)) if letter in t else x for t, x in zip(terms, inputs, strict=True)]
    return g.operator("einsum", *inputs, batch=batch, equation=f"{','.join(terms)}->{result}")


LOWERINGS: dict[str, Lowering] = {
    "CumProd": cum_prod,
    "CumSum": cum_sum,
    "Det": det,
    "Einsum": einsum,
    "ReduceL1": reduce_by("reduce_norm", p=1),
    "ReduceL2": reduce_by("reduce_norm", p=2),
    "ReduceLogSum": reduce_log_sum,
    "ReduceLogSumExp": reduce_by("log_sum_exp"),
    "ReduceMax": reduce_by("reduce_max"),
    "ReduceMin": reduce_by("reduce_min"),
    "ReduceProd": reduce_by("reduce_prod"),
    "ReduceSumSquare": reduce_by("reduce_sum_square"),
}
