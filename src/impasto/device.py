"""Where to compute, and with which numbers: what was asked for, resolved to what this machine has."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch

from impasto.errors import OptionError
from impasto.spec import RunOptions

__all__ = ["Machine", "has_native_bf16", "processor_name", "resolve_machine", "usable_cores", "using_threads"]


@dataclass(frozen=True)
class Machine:
    """The resolved choice: device, type of the network's numbers, and CPU threads (None: as they are)."""

    device: torch.device
    dtype: torch.dtype
    threads: int | None = None

    @property
    def precision(self) -> str:
        """``fp32``, ``bf16`` or ``fp64``."""
        return {torch.bfloat16: "bf16", torch.float64: "fp64"}.get(self.dtype, "fp32")


def resolve_machine(options: RunOptions, *, exact: bool = False) -> Machine:
    """Find the device and the precision; raise OptionError if the machine lacks what was asked for.

    ``exact`` keeps to float32 where the precision is left to us.
    """
    device = _resolve_device(options.device)
    fast = options.precision == "bf16" or (options.precision == "auto" and has_native_bf16(device) and not exact)
    return Machine(device, torch.bfloat16 if fast else torch.float32, options.threads)


def _resolve_device(name: str) -> torch.device:
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(choice for choice in ("cuda", "mps", "cpu") if present[choice])
    if not present[name]:
        raise OptionError(
            f"--device is '{name}', but PyTorch finds none on this machine."
            f" Use one of {', '.join(choice for choice in present if present[choice])}, or auto."
        )
    return torch.device(name)


def has_native_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself; elsewhere it is emulated, and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        looks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
        return any(getattr(torch.cpu, look, lambda: False)() for look in looks)
    return False


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """The name that the processor gives itself, where the system tells, and which of its instructions PyTorch uses."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    name = named or platform.processor() or platform.machine() or "unknown"
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


_lock = Lock()
_uses: list[int] = []
"""What was set before the first use of threads that is going on, once for each of them."""


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Compute with so many CPU threads inside, and put back what was set before; safe in several Python threads."""
    if threads is None:
        yield
        return
    with _lock:
        # A second Python thread would find the number of the first one, and put that back.
        _uses.append(_uses[0] if _uses else torch.get_num_threads())
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        with _lock:
            torch.set_num_threads(_uses.pop())
