"""What the C library does with memory that is free again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from impasto import allocator
from impasto.allocator import keeping_freed_memory, stay_within_bounds

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


BOUNDS = """
import sys, torch
from impasto.allocator import keeping_freed_memory, stay_within_bounds
from impasto.free_memory import resident_bytes

MEGABYTE = 2**20

def taken(megabytes):
    if sys.argv[1] == "within bounds":
        stay_within_bounds()
    return torch.ones(megabytes * MEGABYTE, dtype=torch.uint8)

before = resident_bytes()
with keeping_freed_memory(True, before + 220 * MEGABYTE):
    tensors = [taken(10) for _ in range(20)]
    del tensors[::2]
    larger = [taken(12) for _ in range(8)]  # which do not fit into what is free between the others
    print((resident_bytes() - before) // MEGABYTE)
"""

for_glibc = pytest.mark.skipif(
    not allocator.can_keep(), reason="only glibc can be told, if nobody has told it otherwise"
)


@for_glibc
def test_pages_are_asked_for_once_and_handed_back_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    outside, inside = ([int(number) for number in line.split()] for line in done.stdout.splitlines())
    assert inside[0] < 1000 < outside[0]
    assert outside[1] < 1000 < inside[1]


@for_glibc
def test_what_is_kept_stays_within_bounds() -> None:
    def taken(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", BOUNDS, how], capture_output=True, check=True).stdout)

    assert taken("within bounds") < 235 < 280 < taken("on and on")


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


def test_each_may_take_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    taken = 0
    monkeypatch.setattr(allocator, "_glibc", lambda: (lambda *_: 1, trimmed.append))
    monkeypatch.setattr(allocator, "resident_bytes", lambda: taken)
    monkeypatch.setattr(allocator, "_uses", [])

    def trims(now: int) -> bool:
        nonlocal taken
        taken = now
        trimmed.clear()
        stay_within_bounds()
        return bool(trimmed)

    assert not trims(1000)  # nobody is inside
    with keeping_freed_memory(True, 10):
        assert (trims(10), trims(11)) == (False, True)
        with keeping_freed_memory(True, 5):
            assert (trims(15), trims(16)) == (False, True)
        with keeping_freed_memory(True):
            assert not trims(1000)
        assert trims(11)


def test_where_nearly_all_is_in_use_it_waits_until_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(allocator, "_glibc", lambda: (lambda *_: 1, trimmed.append))
    monkeypatch.setattr(allocator, "_uses", [])
    with keeping_freed_memory(True, 1000):
        trimmed.clear()
        for taken, times in ((1001, 1), (1002, 1), (1031, 1), (1032, 2), (1040, 2), (900, 2), (1001, 3)):
            monkeypatch.setattr(allocator, "resident_bytes", lambda taken=taken: taken)
            stay_within_bounds()
            assert len(trimmed) == times
