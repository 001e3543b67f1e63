# SPDX-License-Identifier: Apache-2.0
"""`python -m snncc.cli.job OUT`: one model in a process of its own, which ends with the one that started it.

Standard input carries the job as one line of JSON and stays open: when the parent is gone it closes, and so this
process ends, however it is occupied. It looks at that before it imports anything that takes long.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

ORPHANED = 3


def end_with_parent(stream: BinaryIO) -> None:
    """End this process when the other end of `stream` closes."""

    def watch() -> None:
        while stream.read(1):
            pass
        os._exit(ORPHANED)

    threading.Thread(target=watch, daemon=True).start()


def verbs() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What the job does."""
    from snncc import api

    return api.convert, api.simulate


def main() -> int:
    """Read the job, run it; the exit status."""
    stream = sys.stdin.buffer
    line = stream.readline()
    if not line.endswith(b"\n"):
        return ORPHANED
    end_with_parent(stream)
    from snncc.zoo.worker import run

    return run(line, sys.argv[1], verbs)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # a library that fails while it is unloaded, and the thread that reads, must not change the status
