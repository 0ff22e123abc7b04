"""The weights themselves: tensors by name, checked against a network, in a safetensors file, and in one number."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from impasto.errors import InputError
from impasto.networks import Network
from impasto.safe_file import opened
from impasto.weights.advice import how_to_replace

__all__ = ["Weights", "check_finite", "check_unchanged", "fingerprint", "fits", "read_safetensors"]

Weights = dict[str, Tensor]
"""``conv4_2.weight`` (outputs x inputs x 3 x 3) and ``conv4_2.bias`` (outputs) for each convolution, float32."""


def fingerprint(weights: Weights) -> str:
    """The SHA-256 over names, shapes and bytes of all tensors in the order of their names, in hexadecimal.

    It says which weights made a picture, whatever file they came in.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        total.update(f"{name} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def fits(weights: Weights, network: Network) -> bool:
    """Whether names and shapes are those of ``network``."""
    return {name: tuple(tensor.shape) for name, tensor in weights.items()} == network.tensor_shapes


def check_finite(weights: Weights, path: Path) -> None:
    """Raise InputError, naming the file, if a value is infinite or not a number."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise InputError(f"'{path}' has values that are not finite: download it again.")


def check_unchanged(weights: Weights, metadata: Mapping[str, str], network: Network, path: Path) -> None:
    """Raise InputError, naming the file, if these are not the weights whose fingerprint was kept with them.

    Only files that impasto made have a fingerprint; in others there is nothing to compare with.
    """
    recorded = metadata.get("fingerprint")
    if recorded and recorded != fingerprint(weights):
        raise InputError(f"The weights in '{path}' have changed since they were kept: {how_to_replace(path, network)}")


def read_safetensors(path: Path) -> tuple[Weights, dict[str, str]]:
    """Return the tensors, memory-mapped, and the metadata of a safetensors file; raise InputError if it is damaged."""
    try:
        with opened(path) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise InputError(f"The weights in '{path}' are damaged ({error}): {how_to_replace(path)}") from None
