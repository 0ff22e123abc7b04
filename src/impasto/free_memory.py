"""How much memory there is, and how much of it is free: of the machine, of a container, of a graphics card."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

__all__ = ["available_bytes", "memory_bytes", "resident_bytes", "total_bytes"]

SHARE_OF_FREE = 0.75
"""Of the memory that is free, a run takes no more unless it is told to."""

OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""Where Linux names the control groups of this process, and where they are."""


def memory_bytes() -> tuple[int | None, int | None]:
    """Return (total, free) memory in bytes, None where the system does not tell; within a container's limits."""
    total, free = _system_memory()
    for limit, left in _limits():
        total = limit if total is None else min(total, limit)
        free = left if free is None else min(free, left)
    return total, free


def _limits() -> Iterator[tuple[int, int]]:
    """The limit in bytes of each control group that this process is in, and what is left of it.

    Files that were read, which the system gives up for who needs memory, count as free.
    """
    with suppress(OSError, ValueError):
        for line in OWN_GROUPS.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers == "memory":
                root, limit, used, files = GROUPS / "memory", "limit_in_bytes", "usage_in_bytes", "total_inactive_file"
            elif not controllers:  # version 2
                root, limit, used, files = GROUPS, "max", "current", "inactive_file"
            else:
                continue
            # In a container, what is mounted is often the group itself, whose name leads nowhere.
            own = root / name.lstrip("/")
            for group in (own, *own.parents):
                most = _number(group / f"memory.{limit}")
                if most is not None:
                    taken = (_number(group / f"memory.{used}") or 0) - _of_files(group / "memory.stat", files)
                    yield most, max(most - max(taken, 0), 0)
                if group == root:
                    break


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max", for none
        return None


def _of_files(stat: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in stat.read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return 0


def _system_memory() -> tuple[int | None, int | None]:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        sizes = {name: int(value.split()[0]) * 1024 for name, value in fields.items()}
        return sizes.get("MemTotal"), sizes.get("MemAvailable")
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    except (AttributeError, OSError, ValueError):
        return None, None


def resident_bytes() -> int:
    """What this process has in memory at the moment; 0 where the system does not tell, as only Linux does."""
    if sys.platform != "linux":
        return 0
    with suppress(OSError, ValueError, IndexError):
        return int(os.pread(_pages_of(os.getpid()), 64, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@cache
def _pages_of(process: int) -> int:
    """An open file, another one in each ``process``: to open it takes longer than to read it before each layer."""
    return os.open("/proc/self/statm", os.O_RDONLY)


def available_bytes(device: torch.device) -> int | None:
    """What a run may take unless it is told: three quarters of what is free on ``device``; None if unknown."""
    if device.type == "cuda":
        return int(SHARE_OF_FREE * torch.cuda.mem_get_info(device)[0])
    total, free = memory_bytes()
    known = total if free is None else free
    return None if known is None else int(SHARE_OF_FREE * known)


def total_bytes(device: torch.device) -> int | None:
    """All the memory there is on ``device``; None if unknown."""
    return torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else memory_bytes()[0]
