"""Reading a network's weights, from wherever they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from impasto.errors import InputError, MissingWeightsError, OutputError
from impasto.networks import Network
from impasto.weights.advice import how_to_get, how_to_replace
from impasto.weights.cache import metadata_of
from impasto.weights.convert import import_weights, read_file
from impasto.weights.download import Received, fetch_weights
from impasto.weights.search import find_weights, is_foreign
from impasto.weights.tensors import Weights, check_unchanged, fits, read_safetensors

__all__ = ["load_weights", "verify_weights"]

log = logging.getLogger("impasto")


def load_weights(
    network: Network,
    *,
    file: Path | None = None,
    offline: bool = True,
    report: Callable[[Received], None] | None = None,
) -> Weights:
    """Read the weights of ``network``, float32, on the CPU: from ``file``, or from the first place that has them.

    What another program downloaded is converted once into the cache. With ``offline=False``, weights that are nowhere
    are downloaded, and ``report`` is told how far that is; see ``fetch_weights`` for its errors.

    Raises MissingWeightsError, with the commands that mend it, when they are nowhere, and InputError when the file is
    damaged, has changed since it was kept, or is of another network.
    """
    path = file or find_weights(network)
    if path is None and not offline:
        path = fetch_weights(network, report=report)
    if path is None:
        raise MissingWeightsError(f"The weights of {network.name} are not on this machine. {how_to_get(network)}")
    if file is None and is_foreign(path, network):
        path = _copied(path, network)
    log.debug("weights of %s from '%s'", network.name, path)
    if file is None and path.suffix == ".safetensors":
        return _read_kept(path, network)
    return read_file(path, network)


def verify_weights(network: Network) -> tuple[Path, bool]:
    """Read all weights of ``network`` again: names, shapes, finite values, and the fingerprint kept with them.

    Returns the file, and whether there was a fingerprint to compare with: only files that impasto made have one.
    Raises MissingWeightsError when there is none, and InputError, naming the file, when it is damaged.
    """
    path = find_weights(network)
    if path is None:
        raise MissingWeightsError(f"The weights of {network.name} are not on this machine. {how_to_get(network)}")
    read_file(path, network)
    return path, "fingerprint" in metadata_of(path)


def _copied(path: Path, network: Network) -> Path:
    """The copy of another program's file in our form; the file itself where no copy can be kept."""
    try:
        return import_weights(path, network)[1]
    except OutputError as error:
        log.info("'%s' is read each time. %s", path, error)
        return path


def _read_kept(path: Path, network: Network) -> Weights:
    tensors, metadata = read_safetensors(path)
    if not fits(tensors, network):
        raise InputError(f"'{path}' does not have the shapes of {network.name}: {how_to_replace(path, network)}")
    weights = {name: tensor.float() for name, tensor in tensors.items()}
    check_unchanged(weights, metadata, network, path)
    return weights
