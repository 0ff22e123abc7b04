"""The folder in which impasto keeps weights, and the files in it. No torch here before something is kept."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import OutputError
from impasto.image.destination import new_file_beside
from impasto.image.paths import expanded
from impasto.networks import Network

if TYPE_CHECKING:
    from impasto.weights.tensors import Weights

__all__ = [
    "cache_folder",
    "keep",
    "kept_file",
    "metadata_of",
    "part_file",
    "styles_folder",
    "unfinished_downloads",
    "weights_folder",
    "writing_to",
]


LONGEST_HEADER = 1_000_000
"""Bytes before the tensors of a safetensors file; those of 16 convolutions take 3,000."""


def cache_folder() -> Path:
    """The folder for what impasto keeps: ``IMPASTO_CACHE``, or the platform's usual one."""
    from platformdirs import user_cache_path

    override = os.environ.get("IMPASTO_CACHE")
    return expanded(override) if override else user_cache_path("impasto", appauthor=False)


def weights_folder() -> Path:
    """The folder in the cache for weights; it may not be there yet."""
    return cache_folder() / "weights"


def styles_folder() -> Path:
    """The folder in the cache for what networks saw in paintings; it may not be there yet."""
    return cache_folder() / "styles"


def kept_file(network: Network) -> Path:
    """Where the weights of ``network`` are kept, whether they are there or not."""
    return weights_folder() / f"{network.name}.safetensors"


def part_file(network: Network) -> Path:
    """Where a download of the weights of ``network`` grows."""
    return weights_folder() / f"{network.file_name}.part"


def unfinished_downloads() -> list[Path]:
    """The parts of files that downloads left behind when they were broken off."""
    try:
        return sorted(weights_folder().glob("*.part"))
    except OSError:
        return []


def metadata_of(path: Path) -> dict[str, str]:
    """What is written down in a safetensors file beside its tensors; nothing if there is nothing, or no such file."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            found = json.loads(file.read(min(length, LONGEST_HEADER))).get("__metadata__", {})
        return {str(key): str(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def keep(weights: Weights, network: Network, metadata: Mapping[str, str]) -> Path:
    """Write the weights of ``network`` where they are kept, so that no half file is ever seen there; return the file.

    Raises OutputError when the cache cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = kept_file(network)
    temporary = None
    with writing_to(target.parent):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = new_file_beside(target)
            mode = temporary.stat().st_mode
            save_file(weights, temporary, dict(metadata))
            temporary.chmod(mode)  # safetensors makes it private
            temporary.replace(target)
        except SafetensorError as error:  # wraps the system's errors too
            raise OSError(errno.EIO, str(error)) from None
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
    return target


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn the system's errors inside, while writing to ``folder`` in the cache, into OutputError with the remedy."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"The weights cannot be kept in '{folder}' ({error.strerror or error}): make room, or set IMPASTO_CACHE to"
            " a folder that can be written."
        ) from None
