"""The networks' trained weights: found on this machine, downloaded, checked, converted, read.

They are kept as one safetensors file a network, ``vgg19.safetensors``, tensors named ``conv4_2.weight`` (outputs x
inputs x 3 x 3) and ``conv4_2.bias``, float32. Finding them needs no torch, so the names are looked up when they are
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.weights.advice import how_to_get
    from impasto.weights.cache import cache_folder, metadata_of, unfinished_downloads
    from impasto.weights.checksum import is_published
    from impasto.weights.convert import import_weights, recognize_file
    from impasto.weights.download import Received, fetch_weights
    from impasto.weights.load import load_weights, verify_weights
    from impasto.weights.search import best_present, find_weights, missing_folder, passed_over, search_path
    from impasto.weights.tensors import Weights, fingerprint

__all__ = [
    "Received",
    "Weights",
    "best_present",
    "cache_folder",
    "fetch_weights",
    "find_weights",
    "fingerprint",
    "how_to_get",
    "import_weights",
    "is_published",
    "load_weights",
    "metadata_of",
    "missing_folder",
    "passed_over",
    "recognize_file",
    "search_path",
    "unfinished_downloads",
    "verify_weights",
]

_HOMES = {
    "advice": ("how_to_get",),
    "cache": ("cache_folder", "metadata_of", "unfinished_downloads"),
    "checksum": ("is_published",),
    "convert": ("import_weights", "recognize_file"),
    "download": ("Received", "fetch_weights"),
    "load": ("load_weights", "verify_weights"),
    "search": ("best_present", "find_weights", "missing_folder", "passed_over", "search_path"),
    "tensors": ("Weights", "fingerprint"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'impasto.weights' has no attribute '{name}'")
    value = getattr(import_module(f"impasto.weights.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
