"""``impasto doctor``: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from impasto.errors import ImpastoError, MissingError

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES = """Example:

impasto doctor
"""

LITTLE_MEMORY = 2e9
"""Bytes of free memory below which not even pictures of 512 pixels are safe."""


@dataclass(frozen=True)
class Finding:
    """A line of the report; ``advice`` says what to do when something is wrong."""

    name: str
    value: str
    advice: str = ""


def doctor() -> None:
    """Say what this machine has for impasto, and what to do about what it lacks."""
    findings = [*_versions(), *_machine(), *_memory(), *_cache()]
    weights, found = _weights()
    for finding in (*findings, *weights):
        typer.echo(f"{finding.name + ':':<14}{finding.value}")
        if finding.advice:
            typer.echo("    -> " + finding.advice.replace("\n", "\n       "))
    if not found:
        raise typer.Exit(MissingError.exit_code)
    typer.echo("Ready to stylize: try 'impasto demo'.")


def _versions() -> Iterator[Finding]:
    import PIL
    import torch

    from impasto import __version__

    yield Finding("impasto", __version__)
    yield Finding("Python", platform.python_version())
    yield Finding("PyTorch", str(torch.__version__))
    yield Finding("Pillow", PIL.__version__)
    yield Finding("platform", platform.platform())


def _machine() -> Iterator[Finding]:
    import torch

    from impasto.device import has_native_bf16, resolve_machine
    from impasto.spec import RunOptions

    device = resolve_machine(RunOptions()).device
    names = [f"cuda ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    names += ["mps"] if torch.backends.mps.is_available() else []
    yield Finding("CPU", _cpu_name())
    yield Finding("devices", ", ".join([*names, "cpu"]) + f"; auto takes {device.type}")
    native = has_native_bf16(device)
    yield Finding("native bf16", f"{'yes' if native else 'no'} ({device.type})" + ("" if native else "; fp32 is used"))
    yield _threads(torch.get_num_threads(), _usable_cores())


def _threads(threads: int, cores: int) -> Finding:
    advice = ""
    if os.environ.get("OMP_NUM_THREADS") and threads < cores:
        advice = "OMP_NUM_THREADS in the environment holds PyTorch back: unset it, or give --threads."
    return Finding("threads", f"{threads} of {cores} cores", advice)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    """The name that the processor gives itself, where the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> Iterator[Finding]:
    from impasto.memory import memory_bytes

    total, free = memory_bytes()
    if total is None:
        yield Finding("memory", "unknown")
        return
    little = free is not None and free < LITTLE_MEMORY
    advice = "Little memory is free: close other programs, or use a small --size." if little else ""
    yield Finding(
        "memory", f"{total / 1e9:.1f} GB" + (f", {free / 1e9:.1f} GB free" if free is not None else ""), advice
    )


def _cache() -> Iterator[Finding]:
    from impasto.weights import cache_folder

    folder = cache_folder()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            yield Finding("cache", f"{folder} (can be written)")
    except OSError as error:
        reason = error.strerror or str(error)
        yield Finding("cache", f"{folder} ({reason})", "Set IMPASTO_CACHE to a folder that can be written.")


def _weights() -> tuple[list[Finding], bool]:
    """What is found of each network, and whether the default one can be used."""
    from impasto.networks import NETWORKS
    from impasto.weights import find_weights, how_to_get, load_weights

    findings, usable = [], []
    for network in NETWORKS.values():
        name, path = network.name, find_weights(network)
        try:
            load_weights(network)
        except MissingError:
            findings.append(Finding(name, "weights missing", how_to_get(network)))
        except ImpastoError as error:
            findings.append(Finding(name, f"weights in {path} cannot be used", str(error)))
        else:
            findings.append(Finding(name, f"weights in {path}"))
            usable.append(network)
    return findings, bool(usable)
