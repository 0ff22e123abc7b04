"""A picture cut into tiles: each has a core of its own, and around it what the network has to see for the core."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.networks import Network

__all__ = ["HALO_OF_BF16", "Span", "Tile", "Tiling", "exact_halo", "halo_of", "whole"]

HALO_OF_BF16 = 64
"""Pixels around a core that are enough where convolutions compute in bfloat16: what is left out changes the gradient
by a ninetieth of what bfloat16 does; 48 pixels would by an eighth of it."""


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


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut that are larger than a padded tile: cores of ``side`` x ``side`` pixels, roughly.

    As many pixels around each are seen as make it exact, or ``halo``, if that is less.
    """

    side: int
    halo: int | None = None

    def tiles(self, size: tuple[int, int], network: Network, layers: Collection[str]) -> tuple[Tile, ...]:
        """The tiles of a picture of (height, width) ``size``, of which ``network`` is to see ``layers``."""
        rows, columns = self._spans(size, network, layers)
        return tuple(Tile(row, column) for row in rows for column in columns)

    def largest(self, size: tuple[int, int], network: Network, layers: Collection[str]) -> int:
        """The pixels of the largest padded tile."""
        rows, columns = self._spans(size, network, layers)
        return max(row.last - row.first for row in rows) * max(column.last - column.first for column in columns)

    def _spans(self, size: tuple[int, int], network: Network, layers: Collection[str]) -> tuple[list[Span], list[Span]]:
        stride = max((network.stride(layer) for layer in layers), default=1)
        halo = exact_halo(network, layers)
        halo = halo if self.halo is None else min(halo, self.halo)
        halo = -(-halo // stride) * stride  # another one would shift the positions
        if size[0] * size[1] <= (self.side + 2 * halo) ** 2:
            return [_whole(size[0])], [_whole(size[1])]
        rows, columns = (_spans(length, self.side, halo, stride) for length in size)
        return rows, columns


def whole(size: tuple[int, int]) -> tuple[Tile, ...]:
    """The picture of (height, width) ``size`` as a single tile."""
    return (Tile(_whole(size[0]), _whole(size[1])),)


def _whole(length: int) -> Span:
    return Span(0, length, 0, length, length)


def halo_of(dtype: torch.dtype) -> int | None:
    """The halo that is enough for convolutions in ``dtype``; None: no less than an exact one."""
    return HALO_OF_BF16 if dtype == torch.bfloat16 else None


def exact_halo(network: Network, layers: Iterable[str]) -> int:
    """How many pixels around a core are seen by ``layers``; at least the next one, with which pixels are compared."""
    return max((network.radius(layer) for layer in layers), default=1)


def _spans(length: int, side: int, halo: int, stride: int) -> list[Span]:
    """Cut ``length`` into parts of about equal size: ``side`` rounded up to ``stride``, and less than one more."""
    parts = -(-length // side)
    step = -(-length // (parts * stride)) * stride
    # A last part without a position of the deepest layer belongs to the one before.
    starts = [start for start in range(0, length, step) if start == 0 or length - start >= stride]
    return [
        Span(start, stop, max(0, start - halo), min(length, stop + halo), length)
        for start, stop in zip(starts, [*starts[1:], length], strict=True)
    ]
