"""What the hardware can do: its name, whether it multiplies bfloat16 itself, and whether that is faster here."""

from __future__ import annotations

import json
import math
import platform
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from impasto.errors import OutputError
from impasto.image.destination import write_bytes
from impasto.weights.cache import cache_folder

__all__ = ["bf16_speedup", "has_native_bf16", "processor_name"]

CHANNELS, SIDE = 64, 128
"""The convolution that is timed: the second one of VGG-19, on a small picture."""

ROUNDS = 5


@cache
def processor_name() -> str:
    """The name that the processor gives itself, where the system tells, and which of its instructions PyTorch uses."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    name = named or platform.processor() or platform.machine() or "unknown"
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


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
    path = cache_folder() / "hardware.json"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    key = f"{name}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads"
    known = _kept(path)
    if key not in known:
        known[key] = round(_measured(device), 2)
        with suppress(OSError, OutputError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(json.dumps(known, indent=2).encode(), path, overwrite=True)
    return known[key]


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
        float(F.conv2d(image, kernel, padding=1)[0, 0, 0, 0])  # the number waits for the device
        return time.perf_counter() - start


def _kept(path: Path) -> dict[str, float]:
    try:
        known = json.loads(path.read_text())
        return {str(key): float(value) for key, value in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
