# SPDX-License-Identifier: Apache-2.0
"""`threshold_error.add_errors` in compiled C, the same up to the order of sums, where a compiler exists."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from snncc.functions.compiled import CompileError, compiled

Array = npt.NDArray[Any]


class CSearch(ctypes.Structure):
    """`struct search` of threshold_error.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("statistics", "observations", "factors", "counts", "threads")),
        *((name, ctypes.c_void_p) for name in ("rows", "level", "mean", "factor", "errors")),
    )


@cache
def kernel() -> Callable[[Any], None] | None:
    """The compiled function, None without a compiler."""
    source = resources.files("snncc.calibrate").joinpath("threshold_error.c").read_text(encoding="utf-8")
    try:
        function = ctypes.CDLL(str(compiled(source, ("-ffp-contract=off",)))).run
    except (CompileError, OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.POINTER(CSearch)], None
    found: Callable[[Any], None] = function
    return found


def fused_errors(errors: Array, rows: Array, level: Array, mean: Array | None, counts: int, factors: Array) -> bool:
    """Add the squared errors of float32 rows [statistics, observations] to errors [factors, statistics], float64.

    level, mean: [statistics]. Returns False, with nothing added, where NumPy has to do it.
    """
    function = kernel()
    if function is None or rows.dtype != np.float32 or not errors.flags.c_contiguous:
        return False
    rows = np.ascontiguousarray(rows)
    numbers = [np.ascontiguousarray(a, np.float64) for a in (level, np.zeros_like(level) if mean is None else mean)]
    grid = np.ascontiguousarray(factors, np.float64)
    call = CSearch(
        statistics=rows.shape[0],
        observations=rows.shape[1],
        factors=len(grid),
        counts=counts,
        threads=torch.get_num_threads(),
        rows=rows.ctypes.data,
        level=numbers[0].ctypes.data,
        mean=numbers[1].ctypes.data,
        factor=grid.ctypes.data,
        errors=errors.ctypes.data,
    )
    function(ctypes.byref(call))
    return True
