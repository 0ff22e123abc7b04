"""What the hardware can do: its name, whether it multiplies bfloat16 itself and faster, and what was timed on it."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from impasto.errors import OutputError
from impasto.image.destination import write_bytes
from impasto.weights.cache import cache_folder

__all__ = ["bf16_speedup", "hardware_name", "has_native_bf16", "keep_timing", "kept_timing", "processor_name"]

CHANNELS, SIDE = 64, 128
"""The convolution that is timed: the second one of VGG-19, on a small picture."""

ROUNDS, QUEUED = 5, 50
"""How often it is timed, and how many are handed to a graphics card at once: one takes it less than to say so."""


@cache
def processor_name() -> str:
    """The name that the processor gives itself, where the system tells, and which of its instructions PyTorch uses."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    name = named or platform.processor() or platform.machine() or "unknown"
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def hardware_name(device: torch.device) -> str:
    """The name of the graphics card, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()


def has_native_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself; elsewhere it is emulated, and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        looks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
        return any(getattr(torch.cpu, look, lambda: False)() for look in looks)
    return False


def bf16_speedup(device: torch.device) -> float:
    """How many times faster a convolution is in bfloat16 than in float32, measured once and kept in the cache.

    It takes a tenth of a second; where nothing can be kept, each time.
    """
    known = kept_timing("bf16 over fp32", device)
    if known is None:
        known = (round(_measured(device), 2),)
        keep_timing("bf16 over fp32", device, known)
    return known[0]


def kept_timing(what: str, device: torch.device) -> tuple[float, ...] | None:
    """The numbers that were kept of ``what`` on this hardware, with this PyTorch and as many threads; None if none."""
    return _kept(_file()).get(_key(what, device))


def keep_timing(what: str, device: torch.device, numbers: Sequence[float]) -> None:
    """Keep ``numbers`` in the cache for ``kept_timing``, if it can be written; none forgets those that are there."""
    path = _file()
    with suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        known = _kept(path) | {_key(what, device): tuple(numbers)}
        known = {key: kept for key, kept in known.items() if kept}
        write_bytes(json.dumps(known, indent=2).encode(), path, overwrite=True)


def _file() -> Path:
    return cache_folder() / "hardware.json"


def _key(what: str, device: torch.device) -> str:
    return f"{what}: {hardware_name(device)}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads"


def _measured(device: torch.device) -> float:
    image, kernel = torch.ones(1, CHANNELS, SIDE, SIDE), torch.ones(CHANNELS, CHANNELS, 3, 3)
    best = {torch.float32: math.inf, torch.bfloat16: math.inf}
    for number in range(1 + ROUNDS):  # in turns, as something else may be using the machine; the first does not count
        for dtype in best:
            placed = (each.to(device, dtype, memory_format=torch.channels_last) for each in (image, kernel))
            seconds = _seconds(*placed)
            best[dtype] = min(best[dtype], seconds if number else math.inf)
    return best[torch.float32] / max(best[torch.bfloat16], 1e-9)


def _seconds(image: torch.Tensor, kernel: torch.Tensor) -> float:
    with torch.no_grad():
        start = time.perf_counter()
        for _ in range(QUEUED if image.device.type == "cuda" else 1):
            convolved = F.conv2d(image, kernel, padding=1)
        float(convolved[0, 0, 0, 0])  # the number waits for the device
        return time.perf_counter() - start


def _kept(path: Path) -> dict[str, tuple[float, ...]]:
    try:
        known = json.loads(path.read_text())
        return {str(key): tuple(map(float, value)) for key, value in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
