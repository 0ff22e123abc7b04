"""The networks' trained weights: where they are looked for, how a file becomes one of them, how they are read.

They are kept as one safetensors file a network, ``vgg19.safetensors``, tensors named ``conv4_2.weight`` (outputs x
inputs x 3 x 3) and ``conv4_2.bias``, float32.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import InputError, MissingWeightsError, OutputError
from impasto.image.files import expanded, new_file_beside
from impasto.networks import NETWORKS, Network

__all__ = [
    "cache_folder",
    "find_weights",
    "how_to_get",
    "import_weights",
    "load_weights",
    "search_path",
]

Weights = dict[str, Tensor]

LARGEST_TENSOR = 512 * 512 * 9
"""The values of the largest kernel of any network here; a file that declares more is none of them."""


def cache_folder() -> Path:
    """The folder for what impasto keeps: ``IMPASTO_CACHE``, or the platform's usual one."""
    from platformdirs import user_cache_path

    override = os.environ.get("IMPASTO_CACHE")
    return expanded(override) if override else user_cache_path("impasto", appauthor=False)


def search_path() -> list[Path]:
    """The folders in which weights are looked for, the first one first."""
    folders = [cache_folder() / "weights"]
    override = os.environ.get("IMPASTO_WEIGHTS_DIR")
    return [expanded(override), *folders] if override else folders


def find_weights(network: Network) -> Path | None:
    """Return the file with the weights of ``network``, or None when there is none on this machine."""
    candidates = (folder / f"{network.name}.safetensors" for folder in search_path())
    return next((path for path in candidates if path.is_file()), None)


def how_to_get(network: Network) -> str:
    """Say in two lines how to get the weights of ``network``."""
    return (
        f"Download {network.source} (80 MB) on any machine, then run here:\n"
        f"    impasto weights import {network.source.rpartition('/')[2]}"
    )


def load_weights(network: Network) -> Weights:
    """Read the weights of ``network`` from the first place that has them, memory-mapped, float32, on the CPU.

    Raises MissingWeightsError, with the commands that mend it, when they are nowhere, and InputError when the file is
    damaged.
    """
    path = find_weights(network)
    if path is None:
        raise MissingWeightsError(f"The weights of {network.name} are not on this machine. {how_to_get(network)}")
    weights = _read_safetensors(path)
    _check(weights, network, path)
    return weights


def import_weights(path: Path) -> tuple[Network, Path]:
    """Recognize the network in a Keras HDF5 or safetensors file, check it, and keep it in the cache.

    Returns the network and the file in the cache. Raises InputError when the file is missing, damaged, not of a
    known network, or has values that are not finite; OutputError when the cache cannot be written.
    """
    weights = _read(path)
    network = _recognize(weights, path)
    _check(weights, network, path)
    finite = all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    if not finite:
        raise InputError(f"'{path}' has values that are not finite: download it again.")
    target = cache_folder() / "weights" / f"{network.name}.safetensors"
    weights = {name: tensor.float() for name, tensor in weights.items()}
    _save(weights, target, {"network": network.name, "licence": network.licence, "source_sha256": sha256(path)})
    return network, target


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> Weights:
    if not path.is_file():
        raise InputError(f"There is no file '{path}' to import: check the path.")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}): ask for permission to read it.") from None
    if start == b"\x89HDF\r\n\x1a\n":
        return _read_keras(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    raise InputError(f"'{path}' is neither a Keras HDF5 file (.h5) nor safetensors: these can be imported.")


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"The weights in '{path}' are damaged ({error}): delete the file and import it again."
        ) from None


def _read_keras(path: Path) -> Weights:
    """Read block1_conv1 ... of a Keras file; kernels turn from height x width x inputs x outputs to ours."""
    import h5py

    weights: Weights = {}
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            for group_name, group in root.items():
                block, separator, conv = group_name.removeprefix("block").partition("_conv")
                if not separator:
                    continue
                for dataset in (group[_text(name)] for name in group.attrs["weight_names"]):
                    if dataset.size > LARGEST_TENSOR:
                        raise ValueError(f"{dataset.name} has {dataset.size:,} values")
                    array = np.asarray(dataset, dtype=np.float32)
                    kind = "weight" if array.ndim == 4 else "bias"
                    array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
                    weights[f"conv{block}_{conv}.{kind}"] = torch.from_numpy(np.ascontiguousarray(array))
    except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError, MemoryError) as error:
        raise InputError(f"'{path}' is a damaged or foreign HDF5 file ({error}): download it again.") from None
    return weights


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _recognize(weights: Weights, path: Path) -> Network:
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for network in NETWORKS.values():
        if shapes == network.tensor_shapes:
            return network
    raise InputError(
        f"'{path}' holds none of the networks impasto knows ({', '.join(NETWORKS)}), or only a part of one:"
        f" {len(shapes)} tensors were found. {how_to_get(NETWORKS['vgg19'])}"
    )


def _check(weights: Weights, network: Network, path: Path) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != network.tensor_shapes:
        raise InputError(f"'{path}' does not have the shapes of {network.name}: delete the file and import it again.")


def _save(weights: Weights, target: Path, metadata: dict[str, str]) -> None:
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = new_file_beside(target)
        mode = temporary.stat().st_mode
        save_file(weights, temporary, metadata)
        temporary.chmod(mode)  # safetensors makes it private
        temporary.replace(target)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"The weights cannot be kept in '{target.parent}' ({error}): make room, or set IMPASTO_CACHE to"
            " another folder."
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
