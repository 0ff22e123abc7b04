"""Luminance, and the mean and covariance of a picture's colors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["luminance", "match_color"]


def luminance(image: Tensor) -> Tensor:
    """B x 3 x H x W, sRGB in [0, 1] -> B x 1 x H x W, luma in [0, 1] with the weights of ITU-R BT.601."""
    weights = image.new_tensor([0.299, 0.587, 0.114])
    weighted: Tensor = image * weights[:, None, None]
    return weighted.sum(dim=1, keepdim=True)


def match_color(image: Tensor, target: Tensor) -> Tensor:
    """Move the mean and covariance of the colors of ``image`` to those of ``target`` by an affine map.

    Both are 1 x 3 x H x W, sRGB in [0, 1]; the result is clamped to [0, 1]. The map is L_target L_image⁻¹ with the
    Cholesky factors of the covariances (Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016).
    """
    mean, factor = _color_moments(image)
    target_mean, target_factor = _color_moments(target)
    flat = image[0].flatten(1).double() - mean
    moved = target_factor @ torch.linalg.solve_triangular(factor, flat, upper=False) + target_mean
    result: Tensor = moved.clamp(0, 1).to(image.dtype)
    return result.view_as(image)


def _color_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (3 x 1) and the Cholesky factor of the covariance (3 x 3), in float64."""
    colors = image[0].flatten(1).double()
    mean = colors.mean(dim=1, keepdim=True)
    centered = colors - mean
    covariance = centered @ centered.T / colors.shape[1]
    # A gray picture's covariance is singular; 1e-5 is well under the square of one 8-bit step.
    floor = 1e-5 * torch.eye(3, dtype=torch.float64, device=image.device)
    return mean, torch.linalg.cholesky(covariance + floor)
