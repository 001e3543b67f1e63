# SPDX-License-Identifier: Apache-2.0
"""Memory that is freed and taken again at once."""

from __future__ import annotations

import ctypes

#: Numbers of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let the C library keep large blocks that are freed; False where it is not glibc.

    It gives them back to the system, and the system clears each page anew when the next layer of a simulation asks for
    it, which can take longer than the layer. This is for a process of our own: what it freed stays with it to its end.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
