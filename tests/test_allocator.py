"""What the C library does with memory that is free again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from impasto import allocator
from impasto.allocator import keeping_freed_memory

PAGES = """
import resource, torch
from contextlib import nullcontext
from impasto.allocator import keeping_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1])

for room in (nullcontext, keeping_freed_memory):
    with room():
        for number in range(30):
            if number == 20:  # by then, glibc has found a place for it
                before = faults()
            tensor = torch.full((50, 2**18), 1.0)
            del tensor
        asked, held = faults() - before, resident()
    print(asked, held - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told")
def test_pages_are_asked_for_once_and_handed_back_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    outside, inside = ([int(number) for number in line.split()] for line in done.stdout.splitlines())
    assert inside[0] < 1000 < outside[0]
    assert outside[1] < 1000 < inside[1]


def test_it_ends_with_the_last_one() -> None:
    with pytest.raises(ValueError, match="mine"), keeping_freed_memory(), keeping_freed_memory():
        raise ValueError("mine")
    assert allocator._uses == 0
