"""What is large and quick to be seen again is not kept for the way back."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["SeenAgain"]


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies in the memory of the one that is forgotten, and how to have that again."""

    shape: torch.Size
    stride: tuple[int, ...]
    offset: int
    see: Callable[[], Tensor]


class SeenAgain:
    """Whatever autograd would save of a tensor that is forgotten comes from computing it again.

    Within ``hooks()`` the operations are done whose way back shall remember less.
    """

    def __init__(self) -> None:
        self._forgotten: Callable[[], Tensor | None] = lambda: None
        self._see: Callable[[], Tensor] = lambda: torch.empty(0)

    def forget(self, tensor: Tensor, see: Callable[[], Tensor]) -> None:
        """Let autograd keep neither ``tensor`` nor a view of it; ``see`` returns the same values, laid out alike."""
        # Once it is gone, another one may lie in its place.
        self._forgotten, self._see = weakref.ref(tensor), see

    def hooks(self) -> torch.autograd.graph.saved_tensors_hooks:
        """What autograd saves inside passes through here."""
        return torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)

    def _pack(self, tensor: Tensor) -> Any:
        forgotten = self._forgotten()
        if forgotten is None or tensor.untyped_storage().data_ptr() != forgotten.untyped_storage().data_ptr():
            return tensor
        return _Place(tensor.shape, tensor.stride(), int(tensor.storage_offset()), self._see)

    def _unpack(self, kept: Any) -> Tensor:
        if not isinstance(kept, _Place):
            return kept  # type: ignore[no-any-return]
        with torch.no_grad():
            return kept.see().as_strided(kept.shape, kept.stride, kept.offset)
