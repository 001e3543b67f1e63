# SPDX-License-Identifier: Apache-2.0
"""Timing contenders alternately: the smallest of several times counts, so that all have the same luck."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def fastest(runs: Mapping[str, Callable[[], object]], repeats: int, *, cpu_time: bool = False) -> dict[str, float]:
    """Seconds of each contender; `cpu_time`: of the process, which other processes disturb less (one thread only)."""
    clock = time.process_time if cpu_time else time.perf_counter
    best = dict.fromkeys(runs, float("inf"))
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            began = clock()
            run()
            best[name] = min(best[name], clock() - began)
    return best
