"""Whether a file is the one that was published. No torch here."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from impasto.networks import Network

__all__ = ["digest", "is_published", "matches"]


def is_published(path: Path, network: Network) -> bool:
    """Whether ``path`` can be read and is, byte for byte, the file in which ``network`` is published."""
    try:
        return matches(path, network)
    except OSError:
        return False


def matches(path: Path, network: Network) -> bool:
    """Whether the checksum of ``path`` is that of the published file; raises OSError if it cannot be read."""
    if network.is_built_in or (network.size and path.stat().st_size != network.size):
        return False
    return network.checksum.matches(digest(path, network.checksum.kind))


def digest(path: Path, kind: str = "sha256") -> str:
    """The MD5 or SHA-256 of a file, in hexadecimal; remembered while size and time of the file stay the same."""
    state = path.stat()
    return _digest(path.absolute(), kind, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=32)
def _digest(path: Path, kind: str, size: int, modified: int, number: int) -> str:
    # MD5 is what Keras publishes; it tells damage from health here, and is no signature.
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
