"""Paintings that were looked at are remembered: their moments, in the cache, for the next run with the same one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from impasto.errors import OutputError
from impasto.hardware import processor_name
from impasto.image.destination import write_bytes
from impasto.moments import Moments
from impasto.safe_file import opened
from impasto.version import __version__

__all__ = ["LIMIT", "KeptStyles"]

LIMIT = 256_000_000
"""Bytes of all kept moments; those that were not used for the longest time make room."""

WORTH_KEEPING = 128 * 128
"""Pixels of a painting below which it is quicker to look again."""

ByLayer = dict[str, Moments]


@dataclass(frozen=True)
class KeptStyles:
    """Moments in ``folder``, found by what they were computed of and how.

    All that may change their last bits belongs to the latter: a run comes out the same whether they were kept or not.
    Nothing that goes wrong with a file here ends a run.
    """

    folder: Path

    def moments(
        self, picture: Tensor, alpha: Tensor | None, how: Mapping[str, object], compute: Callable[[], ByLayer]
    ) -> ByLayer:
        """Those of 1 x 3 x H x W, with ``alpha`` 1 x 1 x H x W; by ``compute`` unless they are kept."""
        if picture.shape[-1] * picture.shape[-2] < WORTH_KEEPING:
            return compute()
        path = self.folder / f"{_digest(picture, alpha, how)}.safetensors"
        found = _read(path, picture.device)
        if found is None:
            found = compute()
            with suppress(OSError, OutputError):
                _write(path, found)
                self._make_room()
        return found

    def _make_room(self) -> None:
        files = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > LIMIT:
                path.unlink(missing_ok=True)


def _digest(picture: Tensor, alpha: Tensor | None, how: Mapping[str, object]) -> str:
    machine = {
        "impasto": __version__,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "processor": processor_name(),
    }
    text = json.dumps({**machine, **how}, sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=20)
    for tensor in (picture, alpha):
        digest.update(b"none" if tensor is None else repr((tensor.shape, tensor.dtype)).encode())
        if tensor is not None:
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _read(path: Path, device: torch.device) -> ByLayer | None:
    """What is kept in ``path``; None if that is nothing, or damaged."""
    try:
        with opened(path) as file:
            counts = json.loads(file.metadata()["counts"])
            found = {
                layer: Moments(
                    count, file.get_tensor(f"{layer}.sum").to(device), file.get_tensor(f"{layer}.second").to(device)
                )
                for layer, count in counts.items()
            }
        os.utime(path)
        return found
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(path: Path, found: ByLayer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"{layer}.sum": each.sum.contiguous() for layer, each in found.items()}
    tensors |= {f"{layer}.second": each.second.contiguous() for layer, each in found.items()}
    counts = {layer: each.count for layer, each in found.items()}
    write_bytes(save(tensors, {"counts": json.dumps(counts)}), path, overwrite=True)
