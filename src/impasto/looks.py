"""Pictures that are looked at, whole or tile by tile, with what of them is visible."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor

from impasto.device import sent
from impasto.features import Extractor
from impasto.grid import Tile, Tiling, whole
from impasto.image.resize import surrounded
from impasto.moments import Moments
from impasto.objective import halved
from impasto.tiling import look_at

__all__ = ["Look", "Recall", "Viewed"]

Recall: TypeAlias = Callable[
    [Tensor, Tensor | None, Mapping[str, object], Callable[[], dict[str, Moments]]], dict[str, Moments]
]
"""(painting, its alpha, how it is looked at, what looks at it) -> its moments by layer."""


@dataclass(frozen=True)
class Look:
    """How pictures are looked at: see ``style_transfer_objective``."""

    extractor: Extractor
    tiling: Tiling | None
    recall: Recall | None
    keep_content: bool

    def for_painting(self, painting: Viewed, canvas: tuple[int, int]) -> Look:
        """The same for a ``painting`` beside a picture of (height, width) ``canvas``: in tiles, if that is much
        smaller, so that it takes no more memory."""
        tiling = self.tiling or Tiling.of_painting(painting.size, canvas, self.extractor.dtype)
        return replace(self, tiling=tiling)

    def tiles(self, picture: Viewed, layers: Collection[str]) -> tuple[Tile, ...]:
        """Those of ``picture``, or the whole of it."""
        if self.tiling is None:
            return whole(picture.size)
        return self.tiling.tiles(picture.size, self.extractor.network, layers)

    def tiles_back(self, tiles: tuple[Tile, ...], layers: Collection[str]) -> tuple[Tile, ...]:
        """The same for the way back; none if they are the same there."""
        if self.tiling is None or len(tiles) == 1 or not self.tiling.apart:
            return ()
        widening = self.tiling.widening(self.extractor.network, layers)
        return tuple(tile.widened(widening) for tile in tiles)

    def look(self, picture: Viewed, tile: Tile, layers: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """What the core of a tile has of the named layers, one after the other."""
        return look_at(self.extractor, sent(tile.padded(picture.pixels), self.extractor.device), tile, layers)

    def visible(self, picture: Viewed, tile: Tile, layer: str) -> Tensor | None:
        """The visible share of each position that the core of a tile has of ``layer``."""
        stride = self.extractor.network.stride(layer)
        visible = picture.visible(stride)
        return None if visible is None else tile.part(visible, stride)


@dataclass(frozen=True)
class Viewed:
    """A picture that is looked at, and how visible the pixels of the whole one are that it is ``reduced`` from:
    ``pooled`` by the stride of layers, once that was asked for."""

    pixels: Tensor
    alpha: Tensor | None
    reduced: int = 1
    pooled: dict[int, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[-2], self.pixels.shape[-1]

    def surrounded(self, margin: int) -> Viewed:
        """With a margin, before any stride was asked for."""
        alpha = None if self.alpha is None else surrounded(self.alpha, margin)
        return Viewed(surrounded(self.pixels, margin), alpha, self.reduced)

    def halved(self) -> Viewed:
        return Viewed(halved(self.pixels), self.alpha, 2 * self.reduced)

    def visible(self, stride: int) -> Tensor | None:
        """The visible share of each position of a layer, 1 x 1 x H x W; None where there is no transparency."""
        if self.alpha is None:
            return None
        if stride not in self.pooled:
            self.pooled[stride] = F.avg_pool2d(self.alpha, self.reduced * stride)
        return self.pooled[stride]

    def shows_anything(self, stride: int) -> bool:
        """Not so for an object at the border that a deep layer's last whole position leaves out."""
        visible = self.visible(stride)
        return visible is None or bool(visible.any())
