"""``impasto doctor``: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.request import getproxies

import typer

from impasto.errors import ImpastoError, MissingError

if TYPE_CHECKING:
    from impasto.networks import Network

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES = """Example:

impasto doctor
"""

EXTRAS = {"large": "pyvips", "heic": "pillow_heif", "video": "av", "report": "matplotlib"}
"""The optional dependencies, and the module that each one brings."""

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
    findings = [*_versions(), *_extras(), *_machine(), *_memory(), *_cache(), *_named_folder(), *_proxies()]
    weights, found = _weights()
    width = max(len(finding.name) for finding in (*findings, *weights)) + 2
    for finding in (*findings, *weights):
        typer.echo(f"{finding.name + ':':<{width}}{finding.value}")
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


def _extras() -> Iterator[Finding]:
    """What is installed beyond the necessary; nothing of it is imported, which takes seconds."""
    missing = [extra for extra, module in EXTRAS.items() if find_spec(module) is None]
    installed = [extra for extra in EXTRAS if extra not in missing]
    advice = f"Not installed: pip install 'impasto[{','.join(missing)}]', or one of these." if missing else ""
    yield Finding("extras", ", ".join(installed) or "none", advice)


def _machine() -> Iterator[Finding]:
    import torch

    from impasto.device import resolve_machine, usable_cores
    from impasto.hardware import bf16_speedup, has_native_bf16, processor_name
    from impasto.spec import RunOptions

    device = resolve_machine(RunOptions()).device
    names = [f"cuda ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    names += ["mps"] if torch.backends.mps.is_available() else []
    yield Finding("CPU", processor_name())
    yield Finding("devices", ", ".join([*names, "cpu"]) + f"; auto takes {device.type}")
    native = has_native_bf16(device)
    how = f"{bf16_speedup(device):.1f} times as fast as fp32" if native else "fp32 is used"
    yield Finding("native bf16", f"{'yes' if native else 'no'} ({device.type}); {how}")
    yield _threads(torch.get_num_threads(), usable_cores())


def _threads(threads: int, cores: int) -> Finding:
    advice = ""
    if os.environ.get("OMP_NUM_THREADS") and threads < cores:
        advice = "OMP_NUM_THREADS in the environment holds PyTorch back: unset it, or give --threads."
    return Finding("threads", f"{threads} of {cores} cores", advice)


def _memory() -> Iterator[Finding]:
    from impasto.free_memory import memory_bytes

    total, free = memory_bytes()
    if total is None:
        yield Finding("memory", "unknown")
        return
    little = free is not None and free < LITTLE_MEMORY
    advice = "Little memory is free: close other programs, or use a small --size." if little else ""
    yield Finding(
        "memory", f"{total / 2**30:.1f} GiB" + (f", {free / 2**30:.1f} GiB free" if free is not None else ""), advice
    )


def _cache() -> Iterator[Finding]:
    from impasto.weights import cache_folder

    folder = cache_folder()
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            folder.stat()  # raises for names that are too long, and for what may not be looked at
        nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
        with tempfile.TemporaryFile(dir=nearest):
            yield Finding("cache", f"{folder} (can be written)")
    except OSError as error:
        reason = error.strerror or str(error)
        yield Finding("cache", f"{folder} ({reason})", "Set IMPASTO_CACHE to a folder that can be written.")


def _named_folder() -> Iterator[Finding]:
    """The folder that is named for weights, if it is not there: nothing else would tell."""
    from impasto.weights import missing_folder

    folder = missing_folder()
    if folder is not None:
        advice = "Set IMPASTO_WEIGHTS_DIR to the folder that has the weights, or unset it."
        yield Finding("IMPASTO_WEIGHTS_DIR", f"{folder} (no such folder)", advice)


def _proxies() -> Iterator[Finding]:
    """Those of the environment, through which downloads go; passwords in them are not shown."""
    proxies = {kind: address for kind, address in getproxies().items() if kind in ("http", "https", "no")}
    shown = ", ".join(f"{kind}: {address.rpartition('@')[2]}" for kind, address in sorted(proxies.items()))
    yield Finding("proxies", shown or "none")


def _weights() -> tuple[list[Finding], bool]:
    """What is found of each network, and whether the one that is used unless another is asked for can be used."""
    from impasto.networks import NETWORKS, preferred_network
    from impasto.weights import best_present

    best = best_present()
    found = {network: _weights_of(network, wanted=network is preferred_network()) for network in NETWORKS.values()}
    return [finding for findings, _ in found.values() for finding in findings], best is not None and found[best][1]


def _weights_of(network: Network, *, wanted: bool) -> tuple[list[Finding], bool]:
    """What is found of a network, with advice if it is ``wanted``, and whether it can be used."""
    from impasto.weights import find_weights, how_to_get, passed_over, verify_weights

    path, usable = find_weights(network), False
    try:
        verify_weights(network)
    except MissingError:
        advice = how_to_get(network) if wanted else ""
        found = Finding(network.name, "weights missing" + ("" if wanted else ", and not needed"), advice)
    except ImpastoError as error:
        found = Finding(network.name, f"weights in {path} cannot be used", str(error))
    else:
        found, usable = Finding(network.name, f"weights in {path}"), True
    useless = [Finding("passed over", f"{path} is not the published file, or a part") for path in passed_over(network)]
    return [found, *useless, *_unfinished(network)], usable


def _unfinished(network: Network) -> Iterator[Finding]:
    from impasto.weights import unfinished_downloads

    for part in unfinished_downloads():
        if part.stem == network.file_name:
            size = f"{part.stat().st_size / 1e6:.1f} of {network.size / 1e6:.1f} MB"
            advice = f"'impasto weights get {network.name}' continues it; or delete the file."
            yield Finding("unfinished", f"{part} ({size})", advice)
