"""The space in which features are compared: a network's own, or that of the teacher whose features it learned to tell.

A student's features f are mapped to its teacher's by an affine map A (f, 1). Distances in the teacher's space need
none of its many channels: with the triangular R of A = Q R, |A v| = |R v| for features; and with K = AᵀA = RᵀR,
|A M Aᵀ|² = tr(K M K M) in the Frobenius norm for their moments M.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.moments import Moments

__all__ = ["OWN", "OwnSpace", "Space", "TeachersSpace"]


class Space(Protocol):
    """Where distances between features, and between their moments, are taken."""

    def features(self, features: Tensor) -> Tensor:
        """B x C x H x W -> B x C' x H x W with the distances of this space, in the same precision."""
        ...

    def statistics(self, moments: Moments) -> Tensor:
        """What is compared of moments: the Gram matrix divided by the positions, or what gives it in this space."""
        ...

    def energy(self, difference: Tensor) -> Tensor:
        """The squared Frobenius norm that a difference of statistics has in this space, a scalar."""
        ...

    def channels(self, own: int) -> int:
        """The channels of this space, for a layer with ``own``."""
        ...


@dataclass(frozen=True)
class OwnSpace:
    """The space of the network's own features."""

    def features(self, features: Tensor) -> Tensor:
        return features

    def statistics(self, moments: Moments) -> Tensor:
        return moments.gram

    def energy(self, difference: Tensor) -> Tensor:
        return difference.square().sum()

    def channels(self, own: int) -> int:
        return own


@dataclass(frozen=True)
class TeachersSpace:
    """The space of the teacher's features; ``factor`` is R, ``metric`` K, ``teachers`` its number of channels, C'.

    They are for (features, 1): R is (C + 1) x (C + 1), or C' x (C + 1) if the teacher's channels are fewer.
    """

    factor: Tensor
    metric: Tensor
    teachers: int

    @classmethod
    def of_map(cls, affine: Tensor, *, device: torch.device, dtype: torch.dtype) -> TeachersSpace:
        """From the map to the teacher's channels, C' x (C + 1).

        R is found on the CPU in float64: not every device can, and so it is the same on all.
        """
        exact = affine.detach().cpu().double()
        factor = torch.linalg.qr(exact, mode="r").R
        return cls(factor.to(dtype).to(device), (exact.T @ exact).to(dtype).to(device), affine.shape[0])

    def features(self, features: Tensor) -> Tensor:
        factor = self.factor.to(features.dtype)
        return F.conv2d(features, factor[:, :-1, None, None], factor[:, -1])

    def statistics(self, moments: Moments) -> Tensor:
        return moments.homogeneous

    def energy(self, difference: Tensor) -> Tensor:
        product = self.metric.to(difference.dtype) @ difference
        return (product * product.T).sum()

    def channels(self, own: int) -> int:
        return self.teachers


OWN = OwnSpace()
"""The space in which all networks but students are compared."""
