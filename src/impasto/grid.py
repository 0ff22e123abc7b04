"""A picture cut into tiles: each has a core of its own, and around it what the network has to see for the core."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.networks import Network

__all__ = ["BLOCK", "SMALLEST_TILE", "Span", "Tile", "Tiling", "exact_halo", "whole"]

BLOCK = 256
"""Pixels: the side of the squares of which sums in bfloat16 are taken. What is cut between them adds up to the same."""

SMALLEST_TILE = 256
"""Pixels: the side of smaller tiles would be little but halo."""

MUCH_LARGER = 2
"""Times as many pixels as the picture has, from which on a painting is cut: to look at it takes less than half as much
memory for each as an evaluation."""


@dataclass(frozen=True)
class Span:
    """A tile along one side of the picture: the core from ``start`` to ``stop``, padded from ``first`` to ``last``."""

    start: int
    stop: int
    first: int
    last: int
    end: int

    def core(self, stride: int) -> slice:
        """The core's positions among those of the padded tile, of a layer with ``stride``."""
        return slice((self.start - self.first) // stride, self._stop(self.first, stride))

    def part(self, stride: int) -> slice:
        """The core's positions among those of the whole picture."""
        return slice(self.start // stride, self._stop(0, stride))

    def own(self, first: int) -> slice:
        """The core's pixels in what begins at pixel ``first``."""
        return slice(self.start - first, self.stop - first)

    def widened(self, by: int) -> Span:
        """The same with so many pixels more of the picture in the core, and around it what the core has around it."""
        start, first = max(0, self.start - by), max(0, self.first - by)
        return Span(start, min(self.end, self.stop + by), first, min(self.end, self.last + by), self.end)

    def _stop(self, origin: int, stride: int) -> int | None:
        """None at the picture's end, where the last pixels may be too few for a position."""
        return None if self.stop == self.end else (self.stop - origin) // stride


@dataclass(frozen=True)
class Tile:
    """A part of a picture; both cores and padded tiles begin at multiples of the deepest layer's stride."""

    rows: Span
    columns: Span

    @property
    def is_whole(self) -> bool:
        """Whether it is the only one."""
        return all((span.start, span.stop) == (0, span.end) for span in (self.rows, self.columns))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the core in pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def padded_size(self) -> tuple[int, int]:
        """(height, width) of the padded tile in pixels."""
        return self.rows.last - self.rows.first, self.columns.last - self.columns.first

    def padded(self, picture: Tensor) -> Tensor:
        """The padded tile of B x C x H x W pixels, a view."""
        return picture[..., self.rows.first : self.rows.last, self.columns.first : self.columns.last]

    def bordered(self, padded: Tensor) -> Tensor:
        """The core of the padded tile's pixels with the row below and the column to the right, where there are such."""
        rows, columns = (
            slice(span.start - span.first, span.stop - span.first + 1) for span in (self.rows, self.columns)
        )
        return padded if self.is_whole else padded[..., rows, columns]

    def core(self, features: Tensor, stride: int) -> Tensor:
        """What the core has of the features of the padded tile, a view."""
        return features if self.is_whole else features[..., self.rows.core(stride), self.columns.core(stride)]

    def part(self, features: Tensor, stride: int) -> Tensor:
        """What the core has of the features of the whole picture, a view."""
        return features if self.is_whole else features[..., self.rows.part(stride), self.columns.part(stride)]

    def widened(self, by: int) -> Tile:
        """The tile whose core has so many pixels more of the picture on each side."""
        return Tile(self.rows.widened(by), self.columns.widened(by)) if by else self

    def core_of_core(self, features: Tensor, wider: Tile, stride: int) -> Tensor:
        """What the core has of what the core of a ``wider`` tile has of features, a view."""
        if wider is self:
            return features
        spans = ((self.rows, wider.rows), (self.columns, wider.columns))
        rows, columns = (replace(span, first=other.start).core(stride) for span, other in spans)
        return features[..., rows, columns]

    def core_of_padded(self, pixels: Tensor, wider: Tile) -> Tensor:
        """What the core has of the pixels of a ``wider`` padded tile, a view."""
        return pixels[..., self.rows.own(wider.rows.first), self.columns.own(wider.columns.first)]


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut that are larger than a padded tile: cores of ``side`` x ``side`` pixels, roughly, that begin
    at multiples of ``unit``.

    As many pixels around each are seen as make it exact, or ``halo``, if that is less. On the way back a tile gives its
    share of the gradient to all pixels that it sees, and a pixel near a border has it from several tiles. Where sums of
    such shares are rounded otherwise than the whole, tiles are to be ``apart``: each looks as far again, and finds all
    of the gradient of its own core.
    """

    side: int
    halo: int | None = None
    unit: int = 1
    apart: bool = False

    @classmethod
    def in_precision(cls, side: int, dtype: torch.dtype) -> Tiling:
        """Tiles with which convolutions in ``dtype`` find what they find in the whole picture."""
        if dtype == torch.bfloat16:
            return cls(side, unit=BLOCK, apart=True)
        return cls(side)

    @classmethod
    def of_painting(cls, painting: tuple[int, int], canvas: tuple[int, int], dtype: torch.dtype) -> Tiling | None:
        """How a ``painting`` of (height, width) is cut beside a ``canvas`` that is looked at as a whole: not at all, or
        if it is much larger, into parts of about that size."""
        if math.prod(painting) <= MUCH_LARGER * math.prod(canvas):
            return None
        return cls.in_precision(-(-math.isqrt(math.prod(canvas)) // SMALLEST_TILE) * SMALLEST_TILE, dtype)

    def widening(self, network: Network, layers: Collection[str]) -> int:
        """By how many pixels tiles are widened on the way back."""
        return self.around(network, layers) if self.apart else 0

    def tiles(self, size: tuple[int, int], network: Network, layers: Collection[str]) -> tuple[Tile, ...]:
        """The tiles of a picture of (height, width) ``size``, of which ``network`` is to see ``layers``."""
        rows, columns = self._spans(size, network, layers)
        return tuple(Tile(row, column) for row in rows for column in columns)

    def seen(self, size: tuple[int, int], network: Network, layers: Collection[str]) -> tuple[int, int]:
        """The pixels that are looked at on the way there, in addition, and on the way back."""
        spans = self._spans(size, network, layers)
        if all(len(each) == 1 for each in spans):
            return 0, math.prod(size)
        there, back = (
            math.prod(sum(wide.last - wide.first for wide in (span.widened(by) for span in each)) for each in spans)
            for by in (0, self.widening(network, layers))
        )
        return there, back

    def largest(
        self, size: tuple[int, int], network: Network, layers: Collection[str], *, goes_back: bool = True
    ) -> int:
        """The pixels of the largest padded tile, on the way back if there is one."""
        widening = self.widening(network, layers) if goes_back else 0
        spans = ([span.widened(widening) for span in each] for each in self._spans(size, network, layers))
        return math.prod(max(span.last - span.first for span in each) for each in spans)

    def _spans(self, size: tuple[int, int], network: Network, layers: Collection[str]) -> tuple[list[Span], list[Span]]:
        halo, stride = self.around(network, layers), _stride(network, layers)
        if size[0] * size[1] <= (self.side + 2 * (halo + self.widening(network, layers))) ** 2:
            return [_whole(size[0])], [_whole(size[1])]
        rows, columns = (_spans(length, self.side, halo, max(stride, self.unit), stride) for length in size)
        return rows, columns

    def around(self, network: Network, layers: Collection[str]) -> int:
        """The pixels that are seen around a core."""
        halo, stride = exact_halo(network, layers), _stride(network, layers)
        halo = halo if self.halo is None else min(halo, self.halo)
        return -(-halo // stride) * stride  # another one would shift the positions


def whole(size: tuple[int, int]) -> tuple[Tile, ...]:
    """The picture of (height, width) ``size`` as a single tile."""
    return (Tile(_whole(size[0]), _whole(size[1])),)


def _whole(length: int) -> Span:
    return Span(0, length, 0, length, length)


def _stride(network: Network, layers: Iterable[str]) -> int:
    """That of the deepest layer."""
    return max((network.stride(layer) for layer in layers), default=1)


def exact_halo(network: Network, layers: Iterable[str]) -> int:
    """How many pixels around a core are seen by ``layers``; at least the next one, with which pixels are compared."""
    return max((network.radius(layer) for layer in layers), default=1)


def _spans(length: int, side: int, halo: int, unit: int, stride: int) -> list[Span]:
    """Cut ``length`` into parts of about equal size: ``side`` rounded up to ``unit``, and less than ``stride`` more."""
    parts = -(-length // side)
    step = -(-length // (parts * unit)) * unit
    # A last part without a position of the deepest layer belongs to the one before.
    starts = [start for start in range(0, length, step) if start == 0 or length - start >= stride]
    return [
        Span(start, stop, max(0, start - halo), min(length, stop + halo), length)
        for start, stop in zip(starts, [*starts[1:], length], strict=True)
    ]
