"""How much memory there is, and how much a run takes: known before anything large is allocated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from impasto.device import Machine
from impasto.errors import ImpastoError, OptionError
from impasto.networks import VGG19, Network
from impasto.pyramid import Level
from impasto.spec import StyleSpec

__all__ = ["check_memory", "in_smaller_tiles", "is_out_of_memory", "memory_bytes", "peak_bytes"]

ACTIVATION_VALUES = 680
"""What one evaluation of VGG-19 keeps for its gradient at the full size: values of its dtype per pixel, as measured."""

PIXEL_BYTES = 120
"""What any evaluation keeps of the picture itself, at the full size and smaller ones: bytes per pixel, as measured."""

BASE_BYTES = 600e6
"""PyTorch, the weights, and the pictures."""

SMALLEST_TILE = 128
"""Side in pixels: smaller tiles would be little but halo."""

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes() -> tuple[int | None, int | None]:
    """Return (total, free) memory in bytes, None where the system does not tell; a container's limit is its total."""
    total, free = _system_memory()
    for limit in map(Path, CGROUP_LIMITS):
        if total is not None and limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total, free if free is None or total is None else min(free, total)


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


def is_out_of_memory(error: Exception) -> bool:
    """Whether ``error`` says that an allocation failed; PyTorch has a type of its own for that on GPUs only."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def in_smaller_tiles(level: Level) -> Level:
    """The same in tiles of a quarter of the pixels; raise ImpastoError if they are as small as is of use."""
    largest = level.tile or max(level.size)
    if largest <= SMALLEST_TILE:
        raise ImpastoError(
            "There is not enough memory, even in the smallest tiles: close other programs, or use a smaller --size."
        )
    return replace(level, tile=max(SMALLEST_TILE, largest // 2))


def peak_bytes(size: tuple[int, int], spec: StyleSpec, machine: Machine, networks: Iterable[Network]) -> float:
    """Predict the memory of a run at its full size of (height, width) pixels, in bytes, roughly."""
    share = max(network.values_per_pixel for network in networks) / VGG19.values_per_pixel
    activations = ACTIVATION_VALUES * share * machine.dtype.itemsize + PIXEL_BYTES
    vectors = 2 * spec.history + 5 if spec.optimizer == "lbfgs" else 6
    return BASE_BYTES + size[0] * size[1] * (activations + vectors * 3 * 4)


def check_memory(size: tuple[int, int], spec: StyleSpec, machine: Machine, networks: Iterable[Network]) -> None:
    """Raise OptionError if the run cannot fit into all the memory of this machine: the system would kill it midway."""
    total, _ = memory_bytes()
    needed = peak_bytes(size, spec, machine, networks)
    if machine.device.type == "cpu" and total is not None and needed > total:
        fitting = max(size) * (max(total - BASE_BYTES, 0) / (needed - BASE_BYTES)) ** 0.5
        raise OptionError(
            f"{size[1]} x {size[0]} pixels need about {needed / 1e9:.0f} GB of memory, and this machine has"
            f" {total / 1e9:.0f} GB: use --size {int(0.9 * fitting)} or less."
        )
