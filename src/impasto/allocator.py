"""What the C library does with memory that is free again: hand it back to the system, or keep it for what comes next.

An evaluation takes the same large buffers as the one before. glibc asks the system for each of them anew, which has to
fill it with zeros: at 1024 pixels that takes a third of the time. To keep them takes room, as not every buffer fits
where another one was.
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
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
"""Bytes; the usual ones are those that glibc itself comes to in a program with large buffers."""

_lock = Lock()
_uses = 0


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Keep what is freed inside, and hand it back at the end; safe in several threads. Nothing without glibc."""
    global _uses
    glibc = _glibc()
    if glibc is None:
        yield
        return
    mallopt, trim = glibc
    with _lock:
        _uses += 1
        _set(mallopt, KEEP)
        trim(0)
    try:
        yield
    finally:
        with _lock:
            _uses -= 1
            if not _uses:
                _set(mallopt, USUAL)
                trim(0)


def _set(mallopt: Callable[[int, int], int], values: dict[int, int]) -> None:
    for name, value in values.items():
        mallopt(name, value)


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
