# SPDX-License-Identifier: Apache-2.0
"""The scans of scan.c as one Triton kernel for GPUs, bit for bit those of `torch_neurons` and `torch_rules`.

It was run in Triton's interpreter and compiled for NVIDIA's processors, but never run on a GPU. Importing this module
needs triton, which torch's CUDA builds bring along.
"""

from __future__ import annotations

from collections.abc import Callable
from subprocess import SubprocessError

import torch
import triton
import triton.language as tl
from triton.errors import TritonError

from snncc.execute.torch.fused_scan import Scan
from snncc.functions.compiled import CompileError

BLOCK = 1024
#: z * threshold is rounded before it is subtracted, as in torch.
EXACT = {"enable_fp_fusion": False}


def steps_of_neurons(
    current: tl.tensor,
    output: tl.tensor,
    potential: tl.tensor,
    count: tl.tensor,
    threshold: tl.tensor,
    amplitude: tl.tensor,
    beside: tl.tensor,
    charge: tl.tensor,
    factor: tl.tensor,
    entries: tl.tensor,
    size: tl.tensor,
    stride: tl.tensor,
    steps: tl.tensor,
    rests: tl.tensor,
    cap: tl.tensor,
    KIND: tl.constexpr,
    LEVELS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """BLOCK neurons over all steps, the state in registers; the pointers are those of `struct scan` in scan.c."""
    CENTRED: tl.constexpr = KIND == "centred"
    LEAKY: tl.constexpr = KIND == "leaky_early" or KIND == "leaky_signed"
    SIGNED: tl.constexpr = KIND == "signed" or KIND == "leaky_signed"
    MEMORY: tl.constexpr = SIGNED or LEAKY or CENTRED or KIND == "early" or KIND == "at_zero"
    ADAPTIVE: tl.constexpr = KIND == "vmax" or KIND == "vcur" or KIND == "graded"
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < entries
    neuron, sample, samples = at % size, at // size, entries // size
    th = tl.load(threshold + neuron, inside, other=0)
    scale = tl.load(amplitude + neuron, inside, other=0)
    u = tl.load(potential + at, inside, other=0)
    n = u
    if MEMORY or KIND == "halving":
        n = tl.load(count + at, inside, other=0)
    fires_at = tl.where(th > 0, th, float("inf"))
    spent = th
    if CENTRED or LEAKY:
        aside = tl.load(beside + neuron, inside, other=0)
    if CENTRED:
        flowing = tl.load(charge + neuron, inside, other=0)
    here, there = current + at, output + at
    for t in range(steps):
        x = tl.load(here, inside, other=0)
        if CENTRED:
            x = tl.where(t < rests, x - flowing, x)
        if ADAPTIVE:
            c = tl.load(factor + t * samples + sample, inside, other=0)
            fires_at = tl.where(th > 0, c * th, float("inf"))
            spent = th if KIND == "vmax" else c * th
        u = u + x
        if KIND == "halving":
            z = u * 0
            for i in tl.static_range(LEVELS):
                reached = (z == 0) & (tl.abs(u) >= fires_at * (0.75 / (1 << i)))
                z = tl.where(reached, 1.0 / (1 << i), z)
            z = tl.where(u < 0, -z, z)
        elif LEVELS > 1:
            z = tl.floor(u / fires_at if u.dtype == tl.float64 else tl.div_rn(u, fires_at))
            lowest = n * 0 + LEVELS
            room = n * 0 + LEVELS
            if MEMORY and not LEAKY:
                lowest = tl.where(n < LEVELS, n, LEVELS)
                room = tl.where(cap - n < LEVELS, cap - n, LEVELS)
            elif not LEAKY:
                lowest = n * 0
            z = tl.where(z < -lowest, -lowest, z)
            z = tl.where(z > room, room, z)
        else:
            up = u >= fires_at
            z = tl.where(up, 1.0, u * 0)
            if MEMORY:
                least = -fires_at if SIGNED else tl.where(th > 0, 0.0, float("-inf"))
                below = u <= least if SIGNED or KIND == "at_zero" else u < least
                if not LEAKY:
                    z = tl.where(n < cap, z, 0.0)
                    below = below & (n > 0)
                z = tl.where(below, z - 1, z)
        y = z
        lost = tl.where(z > 0, 1.0, 0.0) * u if KIND == "hard" else z * spent
        u = u - lost
        if LEAKY:
            after = n + z
            y = tl.where(after >= 0, after, aside * after) - tl.where(n >= 0, n, aside * n)
        if MEMORY or KIND == "halving":
            n = n + z
        if CENTRED:
            y = tl.where(t < rests, z + aside, z)
        if KIND == "graded":
            y = z * c
        tl.store(there, y * scale, inside)
        here += stride
        there += entries
    tl.store(potential + at, u, inside)
    if MEMORY or KIND == "halving":
        tl.store(count + at, n, inside)


kernel = triton.jit(steps_of_neurons)


def run(scan: Scan) -> None:
    """The steps of a scan on the GPU where its tensors are."""
    entries = scan.potential.numel()
    with torch.cuda.device_of(scan.current):
        kernel[((entries + BLOCK - 1) // BLOCK,)](
            scan.current,
            scan.output,
            scan.potential,
            scan.count,
            scan.threshold,
            scan.amplitude,
            scan.beside,
            scan.charge,
            scan.factor,
            entries,
            scan.threshold.numel(),
            scan.current.stride(0),
            len(scan.current),
            scan.rests,
            scan.cap,
            KIND=scan.kind,
            LEVELS=scan.levels,
            BLOCK=BLOCK,
            **EXACT,
        )


def gpu_scan(device: str, dtype: torch.dtype) -> Callable[[Scan], None]:
    """`run`, after one neuron for one step has shown that kernels compile here; raises CompileError."""
    x, u, one = (torch.ones(1, 1, 1, device=device, dtype=dtype) for _ in range(3))
    soft = Scan(
        kind="soft",
        current=x,
        output=x,
        potential=u,
        count=u,
        threshold=one,
        amplitude=one,
        beside=one,
        charge=one,
        factor=one,
    )
    try:
        run(soft)
        torch.cuda.synchronize()
    except (TritonError, RuntimeError, OSError, SubprocessError) as error:
        raise CompileError(f"triton does not work here: {error}") from None
    return run
