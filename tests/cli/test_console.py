# SPDX-License-Identifier: Apache-2.0
"""What the terminal shows."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from snncc.cli import console


def test_progress_is_told_from_several_threads() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with console.progress(quiet=True) as tell, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: tell(f"stage {i}", 0, 1), range(2000)))
    finally:
        sys.setswitchinterval(before)
