"""Where weights are looked for, and which file is taken. No torch here.

``IMPASTO_WEIGHTS_DIR``, then the own cache, then what torch hub and Keras downloaded for other programs. Those of
``compact`` come with the package; only ``IMPASTO_WEIGHTS_DIR`` goes before it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from impasto.errors import InputError
from impasto.image.paths import expanded
from impasto.networks import NETWORKS, Layout, Network
from impasto.weights.cache import kept_file, weights_folder
from impasto.weights.checksum import is_published

__all__ = ["best_present", "find_weights", "is_foreign", "missing_folder", "passed_over", "search_path"]

log = logging.getLogger("impasto")

BUILT_IN = Path(__file__).parent
"""Where the weights are that come with the package."""


def search_path() -> list[Path]:
    """The folders in which weights are looked for, the first one first; the last one has what comes with impasto."""
    return [*_named_folder(), weights_folder(), *_folder_of("torch"), *_folder_of("keras"), BUILT_IN]


def missing_folder() -> Path | None:
    """The folder that ``IMPASTO_WEIGHTS_DIR`` names, if there is no such folder, so that nothing is found in it."""
    return next((folder for folder in _named_folder() if not _is_folder(folder)), None)


def find_weights(network: Network) -> Path | None:
    """Return the file with the weights of ``network``, or None when there is none on this machine.

    It is in impasto's own form or as it was published. What other programs left is taken only if its checksum is the
    published one: a download may have been broken off there.
    """
    for path in _trusted(network):
        if _is_file(path):
            return path
    for path in _foreign(network):
        if is_published(path, network):
            return path
        log.info("'%s' is passed over: it is not the published file, or only a part of it.", path)
    return None


def best_present() -> Network | None:
    """The network whose weights are on this machine, the preferred one first; None when there is none at all."""
    return next((network for network in NETWORKS.values() if find_weights(network) is not None), None)


def is_foreign(path: Path, network: Network) -> bool:
    """Whether ``path`` belongs to another program, so that a copy in the own cache is wanted."""
    return path in _foreign(network)


def passed_over(network: Network) -> list[Path]:
    """Files of other programs that should have the weights of ``network`` but are not the published file."""
    return [path for path in _foreign(network) if not is_published(path, network)]


def _trusted(network: Network) -> Iterator[Path]:
    for folder in _named_folder():
        yield folder / f"{network.name}.safetensors"
        if not network.is_built_in:
            yield folder / network.file_name
    yield BUILT_IN / f"{network.name}.safetensors" if network.is_built_in else kept_file(network)


def _foreign(network: Network) -> list[Path]:
    if network.is_built_in:
        return []
    candidates = (folder / network.file_name for folder in _folder_of(network.layout))
    return [path for path in candidates if _is_file(path)]


def _named_folder() -> list[Path]:
    override = os.environ.get("IMPASTO_WEIGHTS_DIR")
    return [expanded(override)] if override else []


def _folder_of(layout: Layout) -> list[Path]:
    """Where the program that publishes files of this layout keeps them; nothing where there is no home folder."""
    environment = os.environ
    try:
        if layout == "keras":
            return [expanded(environment.get("KERAS_HOME") or "~/.keras") / "models"]
        cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
        return [expanded(environment.get("TORCH_HOME") or f"{cache}/torch") / "hub" / "checkpoints"]
    except InputError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a folder that may not be looked into, or no path at all
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
