"""Where to compute, and with which numbers: what was asked for, resolved to what this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.hardware import bf16_speedup, has_native_bf16
from impasto.spec import RunOptions

__all__ = ["Machine", "resolve_machine", "sent", "usable_cores", "using_threads", "widest"]


LEAST_GAIN = 1.1
"""How many times faster bfloat16 has to be to be worth its rounding."""


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
    with using_threads(options.threads):
        fast = options.precision == "bf16" or (options.precision == "auto" and not exact and _gains_by_bf16(device))
    return Machine(device, torch.bfloat16 if fast else torch.float32, options.threads)


def _gains_by_bf16(device: torch.device) -> bool:
    """Never by hope: the hardware has to have it, and to be faster with it."""
    return has_native_bf16(device) and bf16_speedup(device) > LEAST_GAIN


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


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_lock = Lock()
_uses: list[int] = []
"""What was set before the first use of threads that is going on, once for each of them."""


def widest(device: torch.device) -> torch.dtype:
    """The precision in which sums are added up on ``device``: Apple's have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``; to an NVIDIA card through pinned memory, without waiting for what that is doing."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


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
