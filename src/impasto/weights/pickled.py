"""The files of torch.save: pickles, which can run code when they are opened, so only tensors are let through."""

from __future__ import annotations

import pickle
import re
import textwrap
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from impasto.errors import InputError
from impasto.weights.tensors import Weights

__all__ = ["ZIP", "read_torch"]

ZIP = b"PK\x03\x04"
"""The start of what torch.save writes since 2020; before, it was a bare pickle."""

LARGEST_FILE = 2_000_000_000
"""Bytes; the files of VGG-19 with its classifier, the largest here, have 575 MB."""

WRAPPINGS = ("state_dict", "model", "model_state_dict")
"""Under these names training programs put the tensors beside other things."""


def read_torch(path: Path) -> Weights:
    """Return the tensors of a torch file by their names there, without running anything that is in it.

    Raises InputError when the file is damaged, larger than any network's, or needs more than tensors to be opened.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InputError(f"'{path}' has {size / 1e9:.1f} GB, more than the file of any network here.")
    try:
        loaded = _load(path, size)
    except Exception as error:  # of a hostile file the reader may raise anything
        raise InputError(_explanation(path, error)) from None
    return _tensors(loaded)


def _load(path: Path, size: int) -> Any:
    with path.open("rb") as file:
        zipped = file.read(len(ZIP)) == ZIP
    if zipped:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > size:
                raise ValueError("it would unpack to more than its size")
    # Mapped, only the tensors that are used are read: most of the file is the classifier.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what torch has to say of pickles by others helps nobody here
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _explanation(path: Path, error: Exception) -> str:
    reason = str(error)
    found = re.search(r"GLOBAL ([\w.]+)", reason)
    if isinstance(error, pickle.UnpicklingError) or "TorchScript" in reason:
        what = f" ({found[1]})" if found else " (a TorchScript program)" if "TorchScript" in reason else ""
        return (
            f"'{path}' holds more than weights{what}, and code in such a file is never run: download the published"
            " file, or save only the weights with torch.save(model.state_dict(), 'weights.pth')."
        )
    first = next(iter(reason.splitlines()), "") or type(error).__name__
    return (
        f"'{path}' is a damaged or foreign torch file ({textwrap.shorten(first, 100, placeholder=' ...')}): download it"
        " again."
    )


def _tensors(loaded: Any) -> Weights:
    for name in WRAPPINGS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping):
        return {}
    return {name: value.detach() for name, value in loaded.items() if isinstance(name, str) and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if not isinstance(value, torch.Tensor):
        return False
    return value.is_floating_point() and value.layout == torch.strided and value.device.type == "cpu"
