"""The HDF5 files of Keras: groups ``block1_conv1`` ..., kernels as height x width x inputs x outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from impasto.errors import InputError
from impasto.weights.tensors import Weights

__all__ = ["read_keras"]

LARGEST_TENSOR = 512 * 512 * 9
"""The values of the largest kernel of any network here; a file that declares more is none of them."""


def read_keras(path: Path) -> Weights:
    """Read a Keras file into tensors with our names and order; raise InputError if it is damaged or foreign."""
    import h5py

    weights: Weights = {}
    try:
        with h5py.File(path, "r") as file:
            for group_name, group in file.get("model_weights", file).items():
                block, separator, conv = group_name.removeprefix("block").partition("_conv")
                if not separator:
                    continue
                for dataset in (group[_text(name)] for name in group.attrs["weight_names"]):
                    kind, tensor = _tensor(dataset)
                    weights[f"conv{block}_{conv}.{kind}"] = tensor
    except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError, MemoryError) as error:
        raise InputError(f"'{path}' is a damaged or foreign HDF5 file ({error}): download it again.") from None
    return weights


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _tensor(dataset: Any) -> tuple[str, torch.Tensor]:
    """A kernel turned to outputs x inputs x height x width, or a bias."""
    if dataset.size > LARGEST_TENSOR:
        raise ValueError(f"{dataset.name} has {dataset.size:,} values")
    array = np.asarray(dataset, dtype=np.float32)
    if array.ndim == 4:
        return "weight", torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))
    return "bias", torch.from_numpy(array)
