"""In which space features are compared: the network's own, or that of the network whose features it learned to tell.

A student's features f are mapped to its teacher's by an affine map A (f, 1). Distances in the teacher's space need
none of its many channels: with the triangular R of A = Q R, |A v| = |R v| for features, and |A M Aᵀ| = |R M Rᵀ| in the
Frobenius norm for their moments M.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.moments import Moments

__all__ = ["OWN", "Metric"]


@dataclass(frozen=True)
class Metric:
    """``factor`` is R and ``channels`` are the teacher's, C'; None for the network's own space.

    R is for (features, 1): (C + 1) x (C + 1), or C' x (C + 1) if the teacher's channels are fewer.
    """

    factor: Tensor | None = None
    channels: int | None = None

    @classmethod
    def of_map(cls, affine: Tensor) -> Metric:
        """The metric of the teacher's space, from the map to its C' channels, C' x (C + 1), in its precision."""
        return cls(torch.linalg.qr(affine, mode="r").R, affine.shape[0])

    def features(self, features: Tensor) -> Tensor:
        """B x C x H x W -> as many channels as are needed to hold distances in this space, in the same precision."""
        if self.factor is None:
            return features
        factor = self.factor.to(features.dtype)
        return F.conv2d(features, factor[:, :-1, None, None], factor[:, -1])

    def gram(self, moments: Moments) -> Tensor:
        """The Gram matrix divided by the positions, or a matrix with the same distances as those of the teacher."""
        if self.factor is None:
            return moments.gram
        factor = self.factor.to(moments.second.dtype)
        return factor @ moments.homogeneous @ factor.T


OWN = Metric()
"""The space of the network's own features, in which all but a student's are compared."""
