# SPDX-License-Identifier: Apache-2.0
"""The scans of integrate-and-fire neurons in compiled C, bit for bit those of `torch_neurons`, where a compiler exists.

A scan in torch reads and writes the state in memory at every operation; here it stays in the cache over all steps.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from snncc.execute.native.build import CompileError, compiled
from snncc.ir.nodes import IF, CentredIF, Neuron, SignedIF

#: Below this many entries a call costs more than it saves.
LEAST = 1 << 12
KINDS = {"early": 1, "signed": 2, "at_zero": 3}
REALS = {torch.float32: ("float", "floorf"), torch.float64: ("double", "floor")}
#: z * threshold is rounded before it is subtracted, as in torch; comparisons may be vectorized (no flag is ever read).
EXACT = ("-ffp-contract=off", "-fno-trapping-math")


class Scan(ctypes.Structure):
    """`struct scan` of scan.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("steps", "samples", "size", "rests", "negative", "levels", "threads")),
        ("cap", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("current", "potential", "count")),
        *((name, ctypes.c_void_p) for name in ("threshold", "amplitude", "rest", "rest_current")),
    )


@cache
def kernel(dtype: torch.dtype) -> Callable[[Any], None] | None:
    """The compiled scan for a type, None without a compiler."""
    real, floor = REALS[dtype]
    source = resources.files("snncc.execute").joinpath("scan.c").read_text(encoding="utf-8")
    try:
        path = compiled(f"#define REAL {real}\n#define FLOOR {floor}\n{source}", EXACT)
        function: Callable[[Any], None] = ctypes.CDLL(str(path)).run
    except (CompileError, OSError, AttributeError):
        return None  # the scans of torch give the same
    function.argtypes, function.restype = [ctypes.POINTER(Scan)], None  # type: ignore[attr-defined]
    return function


def fusible(node: Neuron, steps: Tensor) -> bool:
    """Whether the compiled scan can run a neuron over these steps (T, N, ...)."""
    return (
        (isinstance(node, SignedIF | CentredIF) or (isinstance(node, IF) and node.reset == "subtract"))
        and node.batch == 0
        and node.shape[0] == 1
        and steps.device.type == "cpu"
        and steps.dtype in REALS
        and steps.is_contiguous()
        and steps.numel() >= LEAST
        and kernel(steps.dtype) is not None
    )


def fused_scan(
    node: Neuron, steps: Tensor, arrays: Mapping[str, Tensor], state: Any, first_step: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """A neuron over the steps (T, N, ...), which are overwritten by the output; returns the output and the state."""

    def per_neuron(x: Tensor) -> Tensor:
        return x.to(steps.dtype).broadcast_to(node.shape).contiguous()

    threshold, amplitude = per_neuron(arrays[node.threshold]), per_neuron(arrays[node.amplitude])
    if state is None:
        zeros = torch.zeros_like(steps[0])
        state = (zeros + arrays[node.v_init], zeros)
        if isinstance(node, CentredIF):
            zeros += arrays[node.centre]
    potential, count = state
    rests, rest = 0, threshold
    if isinstance(node, CentredIF):
        rests = min(len(steps), max(0, node.until - first_step))
        rest = per_neuron(arrays[node.centre] / max(1, node.until))
    charge = rest * threshold * (threshold > 0)
    signed = 0 if isinstance(node, IF) else KINDS[node.negative] if isinstance(node, SignedIF) else KINDS["early"]
    cap = node.cap if isinstance(node, SignedIF) and node.cap is not None else math.inf
    call = Scan(
        steps=len(steps),
        samples=steps.shape[1],
        size=math.prod(node.shape),
        rests=rests,
        negative=signed,
        levels=node.burst if isinstance(node, IF) else node.levels,  # type: ignore[attr-defined]
        threads=torch.get_num_threads(),
        cap=cap,
        current=steps.data_ptr(),
        potential=potential.data_ptr(),
        count=count.data_ptr(),
        threshold=threshold.data_ptr(),
        amplitude=amplitude.data_ptr(),
        rest=rest.data_ptr(),
        rest_current=charge.data_ptr(),
    )
    function = kernel(steps.dtype)
    if function is None:
        raise CompileError("no compiled scan")  # `fusible` has said so
    function(ctypes.byref(call))
    return steps, (potential, count)
