"""What the C library does with memory that is free again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from impasto import allocator
from impasto.allocator import keeping_freed_memory

PAGES = """
import resource, torch
from impasto.allocator import keeping_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1])

for keep in (False, True):
    with keeping_freed_memory(keep):
        for number in range(30):
            if number == 20:  # by then, glibc has found a place for it
                before = faults()
            tensor = torch.full((20, 2**18), 1.0)
            del tensor
        asked, held = faults() - before, resident()
    print(asked, held - resident())
"""


@pytest.mark.skipif(not allocator.can_keep(), reason="only glibc can be told, if nobody has told it otherwise")
def test_pages_are_asked_for_once_and_handed_back_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    outside, inside = ([int(number) for number in line.split()] for line in done.stdout.splitlines())
    assert inside[0] < 1000 < outside[0]
    assert outside[1] < 1000 < inside[1]


def test_who_keeps_decides_until_the_last_one_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}

    def mallopt(name: int, value: int) -> int:
        told[name] = value
        return 1

    monkeypatch.setattr(allocator, "_glibc", lambda: (mallopt, lambda _: None))
    with keeping_freed_memory(False):
        assert told == allocator.HAND_BACK
        with keeping_freed_memory():
            assert told == allocator.KEEP
        assert told == allocator.HAND_BACK
    with pytest.raises(ValueError, match="mine"), keeping_freed_memory():
        raise ValueError("mine")
    assert told == allocator.USUAL
