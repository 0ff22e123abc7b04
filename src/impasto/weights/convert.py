"""From a file in any form to the one that is kept: which network it is of, whether it is sound, and the copy of it."""

from __future__ import annotations

from pathlib import Path

from impasto.errors import InputError
from impasto.networks import NETWORKS, Network, preferred_network
from impasto.weights.advice import how_to_get
from impasto.weights.cache import keep
from impasto.weights.checksum import digest, is_published
from impasto.weights.contents import Contents, read_contents
from impasto.weights.tensors import Weights, check_finite, check_unchanged, fingerprint

__all__ = ["import_weights", "read_file", "recognize_file"]


def import_weights(path: Path, network: Network | None = None) -> tuple[Network, Path]:
    """Check a Keras HDF5, torch or safetensors file, recognize its network, and keep a copy in the cache.

    ``network`` says which one it is, where the file leaves that open. Returns the network and the file in the cache.
    Raises InputError when the file is missing, damaged, not of a known network, or has values that are not finite;
    OutputError when the cache cannot be written. A file that is not the published one is taken; ``published`` in the
    metadata of the copy says which it was.
    """
    contents = read_contents(path)
    network, weights = _recognize(contents, path, network)
    if network.is_built_in:
        raise InputError(
            f"'{path}' has the weights of {network.name}, which come with impasto and are not kept in the cache: to use"
            " these ones, give --weights, or put them into the folder of IMPASTO_WEIGHTS_DIR."
        )
    check_finite(weights, path)
    check_unchanged(weights, contents.metadata, network, path)
    return network, keep(weights, network, _metadata(network, weights, contents, path))


def recognize_file(path: Path, network: Network | None = None) -> Network:
    """Return the network whose weights ``path`` holds, which has to be ``network`` if one is given.

    Raises InputError when the file is missing, damaged, of no known network, of another one, or of more than one.
    """
    return _recognize(read_contents(path), path, network)[0]


def read_file(path: Path, network: Network) -> Weights:
    """Read the weights of ``network`` from a file in any form, float32; raise InputError if it has not got them."""
    contents = read_contents(path)
    _, weights = _recognize(contents, path, network)
    check_finite(weights, path)
    check_unchanged(weights, contents.metadata, network, path)
    return weights


def _recognize(contents: Contents, path: Path, wanted: Network | None) -> tuple[Network, Weights]:
    """By what tells its network for certain; or else by its shapes, and by the layout of who publishes them."""
    known = _known(contents, path)
    if wanted is not None and known is not None and known.name != wanted.name:
        raise InputError(f"'{path}' has the weights of {known.name}, not of {wanted.name}: use --network {known.name}.")
    candidates = [wanted] if wanted is not None else [known] if known is not None else _of_layout(contents)
    fitting = [(network, weights) for network in candidates if (weights := contents.of(network)) is not None]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and ".join(network.name for network, _ in fitting)
        raise InputError(f"'{path}' has the shapes of {names}, whose values differ: say which with --network NAME.")
    others = [network.name for network in _of_layout(contents) if contents.of(network) is not None]
    if wanted is not None and others:
        names = " or ".join(f"--network {name}" for name in others)
        raise InputError(
            f"'{path}' has the shapes of {' and '.join(others)}, not of {wanted.name}, which is asked for: leave the"
            f" file out, or use {names}."
        )
    expected = wanted.name if wanted is not None else ", ".join(NETWORKS)
    raise InputError(
        f"'{path}' holds none of the networks that were expected ({expected}), or only a part of one:"
        f" {len(contents.tensors)} tensors were found. {how_to_get(wanted or preferred_network())}"
    )


def _known(contents: Contents, path: Path) -> Network | None:
    """The network that the file's metadata name, or the one that was published in this very file."""
    named = contents.metadata.get("network")
    if named in NETWORKS:
        return NETWORKS[named]
    return next((network for network in NETWORKS.values() if is_published(path, network)), None)


def _of_layout(contents: Contents) -> list[Network]:
    return [network for network in NETWORKS.values() if contents.layout in (network.layout, "ours")]


def _metadata(network: Network, weights: Weights, contents: Contents, path: Path) -> dict[str, str]:
    """What is written down with the weights; a copy of a file of ours says what that one said of its source."""
    source = {"source_sha256": digest(path), "published": "yes" if is_published(path, network) else "no"}
    own = {"network": network.name, "licence": network.licence, "fingerprint": fingerprint(weights)}
    known = contents.metadata if "fingerprint" in contents.metadata else {}
    return own | {key: known.get(key, value) for key, value in source.items()}
