"""Style as a value that adds: count, sum and second moment of features over positions.

Two halves of a picture, two paintings, tiles, machines and frames of a film merge by the same ``+``. Averages and
covariances do not add; sums of moments do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.device import widest
from impasto.grid import BLOCK

__all__ = ["Moments", "moments"]

CHUNKS = 8
"""Parts of a block of which products of bfloat16 are taken: few enough to be fast, and many enough to be precise."""

CHUNKS_OF_SUMS = 64
"""The same for sums."""

FEW = 256
"""Positions whose products are taken in float32 at once: so few are not worth the chunks."""


@dataclass(frozen=True)
class Moments:
    """``count`` positions, their ``sum`` (C) and the sum of their outer products ``second`` (C x C), fp32 or fp64."""

    count: float
    sum: Tensor
    second: Tensor

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.sum + other.sum, self.second + other.second)

    def __mul__(self, weight: float) -> Moments:
        """Let these positions count ``weight`` times."""
        return Moments(self.count * weight, self.sum * weight, self.second * weight)

    __rmul__ = __mul__

    def to(self, target: torch.dtype | torch.device) -> Moments:
        """The same numbers in another precision, or on another device."""
        return Moments(self.count, self.sum.to(target), self.second.to(target))

    @property
    def gram(self) -> Tensor:
        """The Gram matrix divided by the positions, C x C: the mean outer product of a position with itself."""
        return self.second / self.count

    @property
    def homogeneous(self) -> Tensor:
        """The mean outer product of (features, 1) with itself, (C + 1) x (C + 1)."""
        mean = self.mean[:, None]
        return torch.cat([torch.cat([self.gram, mean], dim=1), torch.cat([mean, torch.ones_like(mean[:1])]).T])

    @property
    def mean(self) -> Tensor:
        """The mean of each channel, C."""
        return self.sum / self.count

    @property
    def covariance(self) -> Tensor:
        """The covariance of the channels, C x C."""
        return self.gram - torch.outer(self.mean, self.mean)


def moments(
    features: Tensor, visible: Tensor | None = None, count: float | None = None, stride: int | None = None
) -> Moments:
    """Sum up 1 x C x H x W over its H x W positions; differentiable; sums of bfloat16 are in float64 where there is.

    ``visible``, 1 x 1 x H x W in [0, 1], says how much each position counts; all of them fully unless given.
    Its sum is ``count``, for those who know it: to find it out means to wait for the device. In bfloat16 positions that
    are ``stride`` pixels apart are taken in blocks of BLOCK x BLOCK pixels, so that parts of a picture that are cut
    between blocks add up to the same as the whole, on a CPU in practice to the last bit.
    """
    positions = features.squeeze(0).permute(1, 2, 0)  # a view of channels_last memory
    in_blocks = features.device.type == "cpu"  # for a GPU they would be many small tasks
    block = max(1, BLOCK // stride) if stride and in_blocks else max(1, *positions.shape[:2])
    if visible is None:
        number = float(positions.shape[0] * positions.shape[1])
        return Moments(number, *_Sums.apply(positions, None, block))  # type: ignore[no-untyped-call]
    wide = torch.float64 if features.dtype == torch.float64 else torch.float32
    weight = visible.squeeze(0).permute(1, 2, 0).to(features.device, wide)
    count = float(weight.sum(dtype=widest(weight.device))) if count is None else count
    return Moments(count, *_Sums.apply(positions, weight, block))  # type: ignore[no-untyped-call]


class _Sums(torch.autograd.Function):
    """The sum and Xᵀ X of H x W x C, in which each position counts by its weight, H x W x 1; the gradient is
    g + X (G + Gᵀ), times the weight, and of X no copy is kept.

    In bfloat16 both are taken of chunks of blocks, which are added up in float32, and the blocks in float64, in which
    numbers of so few digits hardly ever lose one: fast, and the relative error stays below 1e-3. (To take sums of all
    positions in float32 would convert everything first; a CPU takes ten times longer for that.)
    """

    @staticmethod
    def forward(ctx: Any, positions: Tensor, weight: Tensor | None, block: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(positions, weight)
        ctx.set_materialize_grads(False)
        if positions.dtype != torch.bfloat16:
            return _of_positions(_rows(positions), None if weight is None else _rows(weight))
        height, width, channels = positions.shape
        wide = widest(positions.device)
        total, second = positions.new_zeros(channels, dtype=wide), positions.new_zeros(channels, channels, dtype=wide)
        for top in range(0, height, block):
            for left in range(0, width, block):
                here = slice(top, top + block), slice(left, left + block)
                part = _of_positions_in_chunks(_rows(positions[here]), None if weight is None else _rows(weight[here]))
                total += part[0]
                second += part[1]
        return total, second

    @staticmethod
    def backward(ctx: Any, of_sum: Tensor | None, of_products: Tensor | None) -> tuple[Tensor | None, None, None]:
        positions, weight = ctx.saved_tensors
        rows = _rows(positions)
        if of_products is None:
            gradient = None if of_sum is None else of_sum.to(rows.dtype).expand_as(rows)
        elif of_sum is None:
            gradient = rows @ _symmetric(of_products, rows)
        else:
            gradient = torch.addmm(of_sum.to(rows.dtype), rows, _symmetric(of_products, rows))
        if gradient is None:
            return None, None, None
        if weight is not None:
            gradient = gradient * _rows(weight).to(rows.dtype)
        return gradient.view(positions.shape), None, None


def _rows(positions: Tensor) -> Tensor:
    """H x W x C -> (H * W) x C."""
    return positions.reshape(-1, positions.shape[-1])


def _of_positions(positions: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """The sum and Xᵀ X of N x C, of which each counts by its weight, N x 1."""
    if weight is None:
        return positions.sum(dim=0), positions.T @ positions
    scaled = positions * weight.sqrt().to(positions.dtype)
    return (positions * weight).sum(dim=0), scaled.T @ scaled


def _of_positions_in_chunks(positions: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same in bfloat16; the sums are in float32."""
    scaled = positions if weight is None else positions * weight.sqrt().to(positions.dtype)
    chunks, rest = _chunks(scaled, CHUNKS)
    second = torch.bmm(chunks.transpose(1, 2), chunks).sum(dim=0, dtype=torch.float32)
    if len(rest):
        second += rest.T @ rest
    if weight is not None:
        return (positions * weight).sum(dim=0), second
    chunks, rest = _chunks(positions, CHUNKS_OF_SUMS)
    total = chunks.sum(dim=1).float().sum(dim=0)
    return total + rest.sum(dim=0) if len(rest) else total, second


def _symmetric(of_products: Tensor, positions: Tensor) -> Tensor:
    return (of_products + of_products.T).to(positions.dtype)


def _chunks(positions: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """N x C -> ``count`` equal parts, count x (N // count) x C, and what is left, in float32; no parts of few."""
    if len(positions) <= FEW:
        return positions.new_empty(0, 0, positions.shape[1]), positions.float()
    whole = len(positions) - len(positions) % count
    return positions[:whole].view(count, whole // count, positions.shape[1]), positions[whole:].float()
