# SPDX-License-Identifier: Apache-2.0
"""The scans of neurons fused, bit for bit those in torch (`neurons/*/scan.py`): compiled C.

A scan in torch reads and writes the state in memory at every operation; here it stays in the cache over all steps.
Without a compiler, and on a GPU, the scans of torch run.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from snncc.functions.compiled import CompileError, compiled
from snncc.ir.nodes import AdaptiveIF, Neuron
from snncc.neurons.adaptive_if.scan import adapted
from snncc.neurons.step_c import step_text

#: Below this many entries a call costs more than it saves.
LEAST = 1 << 12
#: `enum kind` of scan.c.
KINDS = (
    "soft",
    "hard",
    "early",
    "signed",
    "at_zero",
    "centred",
    "leaky_early",
    "leaky_signed",
    "halving",
    "vmax",
    "vcur",
    "graded",
)
REALS = {torch.float32: "float", torch.float64: "double"}
#: z * threshold is rounded before it is subtracted, as in torch; comparisons may be vectorized (no flag is ever read).
EXACT = ("-ffp-contract=off", "-fno-trapping-math")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A scan from `current` to `output`, both (T, N, size), perhaps one tensor; what a kind does not read is a dummy.

    On the CPU either may stay in one place, with a stride of 0 over the steps.

    potential, count: (N, size), the state, overwritten. threshold, amplitude, beside, charge: (size). factor: (T, N).
    """

    kind: str
    current: Tensor
    output: Tensor
    potential: Tensor
    count: Tensor
    threshold: Tensor
    amplitude: Tensor
    #: The resting rate of a centred neuron, or the slope of a leaky one.
    beside: Tensor
    #: What the resting rate takes from the current.
    charge: Tensor
    #: What multiplies an adaptive threshold at each step.
    factor: Tensor
    #: The most spikes at once; of `halving`, the number of thresholds.
    levels: int = 1
    #: How many of these steps the resting rate flows for.
    rests: int = 0
    cap: float = math.inf


#: The tensors of a scan, in the order of `struct scan`.
TENSORS = ("current", "output", "potential", "count", "threshold", "amplitude", "beside", "charge", "factor")


class CScan(ctypes.Structure):
    """`struct scan` of scan.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("steps", "samples", "size", "stride", "written")),
        *((name, ctypes.c_int64) for name in ("rests", "kind", "levels", "threads")),
        ("cap", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in TENSORS),
    )


def c_scan(dtype: torch.dtype) -> Callable[[Scan], None]:
    """The scan in C, compiled or from the cache; raises CompileError or OSError."""
    text = resources.files("snncc.execute.torch").joinpath("scan.c").read_text(encoding="utf-8")
    source = step_text(REALS[dtype]) + text
    function = ctypes.CDLL(str(compiled(source, EXACT))).run
    function.argtypes, function.restype = [ctypes.POINTER(CScan)], None

    def run(scan: Scan) -> None:
        call = CScan(
            steps=len(scan.current),
            samples=scan.current.shape[1],
            size=scan.threshold.numel(),
            stride=scan.current.stride(0),
            written=scan.output.stride(0),
            rests=scan.rests,
            kind=KINDS.index(scan.kind),
            levels=scan.levels,
            threads=torch.get_num_threads(),
            cap=scan.cap,
            **{name: getattr(scan, name).data_ptr() for name in TENSORS},
        )
        function(ctypes.byref(call))

    return run


@cache
def kernel(device: str, dtype: torch.dtype) -> Callable[[Scan], None] | None:
    """What runs a scan on a type of device; None where the scans of torch have to, which give the same."""
    if dtype not in REALS:
        return None
    try:
        return c_scan(dtype) if device == "cpu" else None
    except (CompileError, OSError, AttributeError):
        return None


def memory_format(steps: Tensor) -> torch.memory_format | None:
    """The order of steps (T, N, ...) that lie one after the other, or all in one place; None for any other layout."""
    if len(steps) > 1 and steps.stride(0) not in (0, steps[0].numel()):
        return None
    formats = (torch.contiguous_format, torch.channels_last)[: 2 if steps.ndim == 5 else 1]
    return next((f for f in formats if steps[0].is_contiguous(memory_format=f)), None)


def fusible(node: Neuron, steps: Tensor) -> bool:
    """Whether a fused scan can run a neuron over these steps (T, N, ...)."""
    return (
        node.compiled is not None
        and node.batch == 0
        and node.shape[0] == 1
        and memory_format(steps) is not None
        and (steps.numel() >= LEAST or steps.device.type != "cpu")
        and kernel(steps.device.type, steps.dtype) is not None
    )


def fused_scan(
    node: Neuron,
    steps: Tensor,
    arrays: Mapping[str, Tensor],
    state: Any,
    first_step: int,
    *,
    keep: bool,
    last: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """A neuron over the steps (T, N, ...), overwritten unless `keep`; returns the output and the state.

    last: of the output only that of the last step is kept (on the CPU).
    """
    run, kind, order = kernel(steps.device.type, steps.dtype), node.compiled, memory_format(steps)
    if run is None or kind is None or order is None:
        raise CompileError("no fused scan")  # `fusible` has said so

    def per_neuron(x: Tensor) -> Tensor:
        return x.to(steps.dtype).broadcast_to(node.shape).contiguous(memory_format=order)

    apart = 0 if last else steps[0].numel()
    output = steps.new_empty_strided(steps.shape, (apart, *steps.stride()[1:])) if keep or last else steps
    threshold, amplitude = per_neuron(arrays[node.threshold]), per_neuron(arrays[node.amplitude])
    potential, memory = first_state(node, steps, arrays) if state is None else state
    potential = potential.contiguous(memory_format=order)
    if not node.shared:
        memory = memory.contiguous(memory_format=order)
    beside = charge = factor = threshold
    rests = 0
    if node.slope is not None:
        beside = per_neuron(arrays[node.slope])
    elif node.offset is not None:
        beside = per_neuron(arrays[node.offset] / max(1, node.until))
        charge, rests = beside * threshold * (threshold > 0), min(len(steps), max(0, node.until - first_step))
    elif isinstance(node, AdaptiveIF):
        factors = adaptive_factors(node, steps, arrays[node.threshold], memory)
        memory, factor = factors[-1], factors.expand(-1, steps.shape[1]).contiguous()
    run(
        Scan(
            kind=kind,
            current=steps,
            output=output,
            potential=potential,
            count=memory,
            threshold=threshold,
            amplitude=amplitude,
            beside=beside,
            charge=charge,
            factor=factor,
            levels=node.levels,
            rests=rests,
            cap=math.inf if node.cap is None else node.cap,
        )
    )
    return output, (potential, memory)


def first_state(node: Neuron, steps: Tensor, arrays: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The potential before the first step, and the count of spikes or the factor of an adaptive threshold."""
    memory = torch.zeros_like(steps[0])
    potential = memory + arrays[node.v_init]
    if node.offset is not None:
        memory += arrays[node.offset]
    elif isinstance(node, AdaptiveIF):
        memory = steps.new_full((steps.shape[1] if node.scope == "sample" else 1,), node.eta)
    return potential, memory


def adaptive_factors(node: AdaptiveIF, steps: Tensor, threshold: Tensor, c: Tensor) -> Tensor:
    """What multiplies the threshold at each step, (T, len(c)), after the factor c of the step before."""
    found = []
    for x in steps:
        c = adapted(c, x, threshold, eta=node.eta, rule=node.rule, axis=0) if node.adapt else c
        found.append(c)
    return torch.stack(found)


def emitted(node: Neuron, steps: Tensor, arrays: Mapping[str, Tensor]) -> Tensor | None:
    """What neurons give in all for the currents of T steps from the first on, which stay: sum_t y(t), (N, ...).

    By their counts; None where they have none or no compiled scan can run.
    """
    if not node.COUNTED or steps.device.type != "cpu" or not fusible(node, steps):
        return None
    count = fused_scan(node, steps, arrays, None, 0, keep=True, last=True)[1][1]
    if node.offset is not None and len(steps) != node.until:  # at its design T the offset has flowed away in whole
        count = count + arrays[node.offset] * (min(len(steps), node.until) / max(1, node.until) - 1)
    return count * arrays[node.amplitude]
