"""What a file with weights holds: Keras HDF5, torch or safetensors, told by how it begins, under its own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from impasto.errors import InputError
from impasto.networks import Layout, Network
from impasto.weights.keras import read_keras
from impasto.weights.pickled import ZIP, read_torch
from impasto.weights.tensors import Weights, fits, read_safetensors

__all__ = ["Contents", "read_contents"]

HDF5 = b"\x89HDF\r\n\x1a\n"
PICKLE = b"\x80"
SEQUENTIAL = re.compile(r"(?:module\.)?(features\.)?(\d+)\.(weight|bias)")
"""``features.21.weight`` of a whole VGG, with ``module.`` before it from DataParallel, or ``21.weight`` of its features
alone. The classifier, ``classifier.0.weight``, is left out."""


@dataclass(frozen=True)
class Contents:
    """The tensors of a file; names and order are ours, unless ``layout`` is "torch" and they are torchvision's."""

    layout: Layout
    tensors: Weights
    metadata: Mapping[str, str] = field(default_factory=dict)

    def of(self, network: Network) -> Weights | None:
        """The tensors as those of ``network``, float32, or None when names or shapes are not its own."""
        tensors = _renamed(self.tensors, network) if self.layout == "torch" else self.tensors
        if not fits(tensors, network):
            return None
        return {name: tensor.float() for name, tensor in tensors.items()}


def read_contents(path: Path) -> Contents:
    """Read a file in any of the forms that can be imported.

    Raises InputError, naming the file, when it is missing, damaged, of another form, or could run code when opened.
    """
    if not path.is_file():
        raise InputError(f"There is no file '{path}' with weights: check the path.")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}): ask for permission to read it.") from None
    if start.startswith(HDF5):
        return Contents("keras", read_keras(path))
    if start[8:] == b"{" or path.suffix == ".safetensors":  # first, for it begins with a number, which may be anything
        return _of_safetensors(path)
    if start.startswith((ZIP, PICKLE)):
        return Contents("torch", read_torch(path))
    raise InputError(
        f"'{path}' is neither a Keras HDF5 file (.h5) nor safetensors nor a torch file (.pth): these can be imported."
    )


def _of_safetensors(path: Path) -> Contents:
    tensors, metadata = read_safetensors(path)
    foreign = any(SEQUENTIAL.fullmatch(name) for name in tensors)
    return Contents("torch" if foreign else "ours", tensors, metadata)


def _renamed(tensors: Weights, network: Network) -> Weights:
    """Give the convolutions of a torch.nn.Sequential our names; what belongs to no convolution keeps its own."""
    matches = [(match, tensor) for name, tensor in tensors.items() if (match := SEQUENTIAL.fullmatch(name))]
    whole = any(match[1] for match, _ in matches)
    names = network.sequential_names
    return {
        f"{names.get(int(match[2]), match[2])}.{match[3]}": tensor
        for match, tensor in matches
        if bool(match[1]) == whole
    }
