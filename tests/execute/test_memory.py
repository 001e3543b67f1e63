# SPDX-License-Identifier: Apache-2.0
"""Freed memory stays with the process, which then does not fault its pages in again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from snncc.execute.torch.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
assert keep_freed_memory()
print(before, min(faults() for _ in range(3)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_pages_are_not_faulted_in_again() -> None:
    """In a process of its own, as it changes the whole process."""
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    before, after = map(int, found.split())
    assert after * 10 < before
