"""What the C library does with memory that is free again: hand it back to the system, or keep it for what comes next.

An evaluation takes the same large buffers as the one before. glibc asks the system for some of them anew, which has to
fill them with zeros: at 1024 pixels that takes a third of the time. Others it keeps, and cannot always use them again.
To keep all is fastest, and takes up to twice the room; to hand all back takes the least.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

__all__ = ["keeping_freed_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's names for its settings (malloc.h)."""

KEEP = {TRIM_THRESHOLD: -1, MMAP_THRESHOLD: 2**31 - 1}
HAND_BACK = {TRIM_THRESHOLD: 2**23, MMAP_THRESHOLD: 2**23}
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
"""Bytes; the usual ones are those that glibc itself comes to in a program with large buffers."""

_lock = Lock()
_uses: list[bool] = []
"""Whether what is freed is to be kept, by each of those who are inside."""


@contextmanager
def keeping_freed_memory(keep: bool = True) -> Iterator[None]:
    """Keep what is freed inside, or hand it back at once if not ``keep``. Safe in several threads: all is kept while
    one of them wants it. Without glibc it does nothing."""
    with _lock:
        _uses.append(keep)
        _arrange()
    try:
        yield
    finally:
        with _lock:
            _uses.remove(keep)
            _arrange()


def _arrange() -> None:
    """Tell glibc what is wanted now, and hand back what was kept so far."""
    glibc = _glibc()
    if glibc is None:
        return
    mallopt, trim = glibc
    for name, value in (KEEP if any(_uses) else HAND_BACK if _uses else USUAL).items():
        mallopt(name, value)
    trim(0)


@cache
def _glibc() -> tuple[Callable[[int, int], int], Callable[[int], int]] | None:
    """glibc's mallopt and malloc_trim; None for other systems and libraries."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    try:
        return library.mallopt, library.malloc_trim
    except AttributeError:
        return None
