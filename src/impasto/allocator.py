"""What the C library does with memory that is free again: hand it back to the system, or keep it for what comes next.

An evaluation takes the same large buffers as the one before. glibc asks the system for some of them anew, which has to
fill them with zeros: at 1024 pixels that takes a third of the time. Others it keeps, and cannot always use them again.
To keep all is fastest, and takes up to twice the room, how much differs, so it is held to bounds. To hand all back
takes the least. (What is freed in other threads than the main one is handed back in any case, if it is large.) A
program whose user has set up glibc is left as it is.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock

from impasto.free_memory import resident_bytes

__all__ = ["can_keep", "hand_back", "keeping_freed_memory", "stay_within_bounds"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's names for its settings (malloc.h)."""

TUNABLES = "GLIBC_TUNABLES"

KEEP = {TRIM_THRESHOLD: -1, MMAP_THRESHOLD: 2**31 - 1}
HAND_BACK = {TRIM_THRESHOLD: 2**23, MMAP_THRESHOLD: 2**23}
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
"""Bytes; the usual ones are those that glibc itself comes to in a program with large buffers."""

_lock = RLock()  # a run that is collected as garbage may come to its end inside
_uses: list[tuple[bool, float]] = []
"""Whether what is freed is to be kept, and within how many bytes of the process, by each of those who are inside."""

_in_use = 0
"""Bytes of the process after it handed back what it could, or fewer since; 0 if it was not asked to."""

WORTHWHILE = 0.03
"""Of what a process may take, how much has to be free to be handed back."""


@contextmanager
def keeping_freed_memory(keep: bool = True, most: float = math.inf) -> Iterator[None]:
    """Keep what is freed inside until the process takes more than ``most`` bytes (see ``stay_within_bounds``), or hand
    it back at once if not ``keep``. Safe in several threads: all is kept while one of them wants it, and together they
    may take the sum of what each was given. Without glibc it does nothing."""
    use = keep, most
    with _lock:
        _uses.append(use)
        _arrange()
    try:
        yield
    finally:
        with _lock:
            _uses.remove(use)
            _arrange()


def stay_within_bounds() -> None:
    """Hand back what was freed and kept, if the process takes more than it may; for wherever much is about to be asked
    for. Where nearly all is in use, only once it is worth the time."""
    global _in_use
    glibc, most = _glibc(), sum(most for _, most in _uses)
    if glibc is None or not 0 < most < math.inf:
        return
    taken = resident_bytes()
    with _lock:
        _in_use = min(_in_use, taken)
        if taken > max(most, _in_use + WORTHWHILE * most):
            _, trim = glibc
            trim(0)
            _in_use = resident_bytes()


def hand_back() -> None:
    """Hand back what was freed and kept so far."""
    global _in_use
    glibc = _glibc()
    if glibc is None:
        return
    with _lock:
        _, trim = glibc
        trim(0)
        _in_use = 0


def _arrange() -> None:
    """Tell glibc what is wanted now, and hand back what was kept so far."""
    glibc = _glibc()
    if glibc is None:
        return
    mallopt, _ = glibc
    for name, value in (KEEP if any(keep for keep, _ in _uses) else HAND_BACK if _uses else USUAL).items():
        if not mallopt(name, value):  # as older ones do with more than this
            mallopt(name, USUAL[name])
    hand_back()


def can_keep() -> bool:
    """Whether it makes a difference here."""
    return _glibc() is not None


@cache
def _glibc() -> tuple[Callable[[int, int], int], Callable[[int], int]] | None:
    """glibc's mallopt and malloc_trim; None for other systems and libraries, and where its user has set it up."""
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ) or TUNABLES in os.environ:
        return None
    library = ctypes.CDLL(None)
    try:
        return library.mallopt, library.malloc_trim
    except AttributeError:
        return None
