# SPDX-License-Identifier: Apache-2.0
"""The torch scans give what the step functions give, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from snncc.neurons.integrate_and_fire.scan import if_scan
from snncc.neurons.integrate_and_fire.step import if_step
from snncc.neurons.leaky_if.scan import leaky_if_scan
from snncc.neurons.leaky_if.step import leaky_if_step, phi
from snncc.neurons.signed_if.scan import signed_if_scan
from snncc.neurons.signed_if.step import signed_if_step

STEPS, SHAPE = 40, (3, 4, 5)
GRANULARITIES = {"layer": (), "channel": (1, 4, 1), "neuron": (1, 4, 5)}
KINDS: list[dict[str, Any]] = [
    {"reset": "subtract"},
    {"reset": "zero"},
    *[{"negative": n, "cap": c, "levels": 1} for n in ("signed", "early", "at_zero") for c in (None, 0, 3)],
    *[{"negative": "early", "cap": c, "levels": m} for m in (2, 3, 4) for c in (None, 5)],
    *[{"negative": n, "levels": 1} for n in ("signed", "early")],
    *[{"negative": "early", "levels": m} for m in (2, 3, 4)],
]


def stepped(options: dict[str, Any], current: np.ndarray, th: Any, amplitude: Any, v: Any, slope: Any) -> Any:
    """Outputs of all steps and the state at the end, by the step functions."""
    u, n, out = np.zeros_like(current[0]) + v, np.zeros_like(current[0]), []
    for x in current:
        if "reset" in options:
            z, u = if_step(u, x, threshold=th, **options)
            out.append(z * amplitude)
        elif "cap" in options:
            z, u, n = signed_if_step(u, n, x, threshold=th, **options)
            out.append(z * amplitude)
        else:
            before = n
            _, u, n = leaky_if_step(u, n, x, threshold=th, **options)
            out.append((phi(n, slope=slope) - phi(before, slope=slope)) * amplitude)
    return np.stack(out), u, n


def scanned(options: dict[str, Any], current: np.ndarray, arrays: list[Any], pieces: list[int]) -> Any:
    """The same by a scan, in pieces of time that end at `pieces`."""
    th, amplitude, v, slope = (torch.from_numpy(np.array(a)) for a in arrays)
    state, out = None, []
    for begin, end in zip([0, *pieces], pieces, strict=False):
        piece = torch.from_numpy(current[begin:end].copy())
        if "reset" in options:
            y, state = if_scan(piece, th, amplitude, v, state=state, **options)
        elif "cap" in options:
            y, state = signed_if_scan(piece, th, amplitude, v, state=state, **options)
        else:
            y, state = leaky_if_scan(piece, th, amplitude, v, slope, state=state, **options)
        out.append(y)
    assert state is not None
    return torch.cat(out).numpy(), state[0].numpy(), state[1].numpy()


@pytest.mark.parametrize("options", KINDS, ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items()))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("dyadic", [True, False])
def test_scan_equals_steps(options: dict[str, Any], dtype: type, granularity: str, dyadic: bool) -> None:
    rng = np.random.default_rng([KINDS.index(options), len(granularity), dyadic])
    shape = GRANULARITIES[granularity]
    if dyadic:  # exact ties at 0, th and -th, all the time
        current = rng.integers(-6, 8, (STEPS, *SHAPE)) / 4
        th = rng.choice([0.0, 0.5, 1.0, 2.0], shape) if shape else np.array(1.0)
        v = th / 2
    else:
        current = rng.standard_normal((STEPS, *SHAPE)) + 0.2
        th = np.abs(rng.standard_normal(shape)) * (rng.random(shape) < 0.8) if shape else np.array(0.7)
        v = th * 0.3
    amplitude, slope = th * 1.5, rng.standard_normal(shape)
    arrays = [np.asarray(a, dtype) for a in (th, amplitude, v, slope)]
    current = current.astype(dtype)
    wanted = stepped(options, current, *arrays)
    assert np.count_nonzero(wanted[0]) or options.get("cap") == 0
    for pieces in ([STEPS], [7, 8, 29, STEPS]):
        found = scanned(options, current, arrays, pieces)
        for name, a, b in zip(("output", "potential", "count"), wanted, found, strict=True):
            if name == "count" and "reset" in options:
                continue  # integrate and fire keeps none
            assert b.dtype == dtype
            assert np.array_equal(a, b), f"{name}, pieces {pieces}"


def test_the_ties_are_ties() -> None:
    """The dyadic currents above do reach u == th, u == 0 and u == -th, where >= and < matter."""
    rng = np.random.default_rng(0)
    current, met = rng.integers(-6, 8, (STEPS, *SHAPE)) / 4, {0.0: 0, 1.0: 0, -1.0: 0}
    u = n = np.zeros(SHAPE)
    for x in current:
        for level in met:
            met[level] += int(np.count_nonzero((u + x == level) & (n > 0)))
        _, u, n = signed_if_step(u, n, x, threshold=np.array(1.0), negative="signed", cap=None, levels=1)
    assert all(met.values())


def test_the_current_is_overwritten() -> None:
    """The contract that saves a copy: the output lies where the current lay."""
    current = torch.ones(4, 1, 2)
    one, half = torch.ones(()), torch.full((), 0.5)
    out, _ = if_scan(current, one, one, half, reset="subtract")
    assert out.data_ptr() == current.data_ptr()
