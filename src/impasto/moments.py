"""Style as a value that adds: count, sum and second moment of features over positions.

Two halves of a picture, two paintings, tiles, machines and frames of a film merge by the same ``+``. Averages and
covariances do not add; sums of moments do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

__all__ = ["Moments", "moments"]

CHUNKS = 8


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


def moments(features: Tensor, visible: Tensor | None = None) -> Moments:
    """Sum up 1 x C x H x W over its H x W positions; differentiable; float32 sums for bfloat16 features.

    ``visible``, 1 x 1 x H x W in [0, 1], says how much each position counts; all of them fully unless given.
    """
    channels = features.shape[1]
    positions = features.permute(0, 2, 3, 1).reshape(-1, channels)  # a view of channels_last memory
    wide = torch.float64 if features.dtype == torch.float64 else torch.float32
    if visible is None:
        count, total = float(positions.shape[0]), positions.sum(dim=0, dtype=wide)
    else:
        weight = visible.reshape(-1, 1).to(wide)
        count, total = float(weight.sum()), (positions * weight).sum(dim=0)
        positions = positions * weight.sqrt().to(positions.dtype)  # squared by the products below
    second: Tensor = _OuterProducts.apply(positions)  # type: ignore[no-untyped-call]
    return Moments(count, total, second)


class _OuterProducts(torch.autograd.Function):
    """Xᵀ X for N x C, in float32 (float64 for float64), and its gradient X (G + Gᵀ) in one product instead of two.

    In bfloat16 the products are of chunks, which are then summed in float32: fast, and the relative error stays at
    5e-4.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, positions: Tensor) -> Tensor:
        ctx.save_for_backward(positions)
        if positions.dtype != torch.bfloat16:
            return positions.T @ positions
        count, channels = positions.shape
        whole = count - count % CHUNKS
        chunks = positions[:whole].view(CHUNKS, whole // CHUNKS, channels)
        rest = positions[whole:].float()
        return torch.bmm(chunks.transpose(1, 2), chunks).float().sum(dim=0) + rest.T @ rest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (positions,) = ctx.saved_tensors
        symmetric = gradient + gradient.T
        product: Tensor = positions @ symmetric.to(positions.dtype)
        return product
