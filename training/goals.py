"""Style-transfer objectives for whole batches of pictures, each with its own photo, painting and weights.

They are those of ``impasto.objective`` at one octave, relative and without smoothness, written for batches: the
objective of a batch is the sum over its pictures, so that its gradient holds each picture's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from impasto.features import Extractor, Features
from training.student import TAPS, Student

__all__ = ["CONTENT", "STYLES", "Goal", "Metric", "moment_matrices", "own_metric", "student_metric", "targets"]

CONTENT = "relu4_2"
STYLES = tuple(tap for tap in TAPS if tap != CONTENT)

Metric = Callable[[str, Tensor], Tensor]
"""(tap, vectors v of (features, 1) as last dimension) -> v K, so that v K vᵀ is a squared length to VGG-19."""


@dataclass(frozen=True)
class Goal:
    """Photos and paintings, B x 3 x side x side, and the weights B x 1 (content) and B x 5 (style) of their terms."""

    photos: Tensor
    paintings: Tensor
    content_weights: Tensor
    style_weights: Tensor

    @classmethod
    def random(cls, photos: Tensor, paintings: Tensor, generator: Generator) -> Goal:
        """Weights around those of the dial, from a strength of 0.2 to 1, each layer's up to some times more or less."""
        strength = 0.2 + 0.8 * torch.rand(len(photos), 1, generator=generator)
        spread = torch.exp(0.7 * torch.randn(len(photos), len(STYLES), generator=generator))
        content = (2 * (1 - strength)).pow(1.5)
        style = 2 * (2 * strength).pow(1.5) / len(STYLES) * spread
        return cls(photos, paintings, content, style)


@dataclass(frozen=True)
class Targets:
    """What is wanted of each picture's features and moments, and how large they are in VGG-19's metric."""

    content: Tensor
    content_scale: Tensor
    moments: dict[str, Tensor]
    moments_scale: dict[str, Tensor]


def moment_matrices(features: Tensor) -> Tensor:
    """The mean outer product of (features, 1) with itself over positions: B x C x H x W -> B x (C + 1) x (C + 1)."""
    positions = features.permute(0, 2, 3, 1).flatten(1, 2)
    count = positions.shape[1]
    # The division comes first, so that sums stay in range and bfloat16 rounds once.
    scaled = positions / count**0.5
    second = _wide(torch.bmm(scaled.transpose(1, 2), scaled))
    mean = _wide(positions).mean(dim=1)
    upper = torch.cat([second, mean[:, :, None]], dim=2)
    ones = torch.ones_like(mean[:, :1])
    return torch.cat([upper, torch.cat([mean, ones], dim=1)[:, None]], dim=1)


def own_metric(tap: str, vectors: Tensor) -> Tensor:
    """VGG-19's: the homogeneous 1 counts for nothing."""
    return torch.cat([vectors[..., :-1], torch.zeros_like(vectors[..., -1:])], dim=-1)


def student_metric(student: Student) -> Metric:
    """Through the student's maps: v (Aᵀ A). Unlike a factor of it, it can be differentiated wherever the maps are."""
    inner = {tap: affine.T @ affine for tap, affine in student.maps.items()}
    return lambda tap, vectors: vectors @ inner[tap]


def targets(extractor: Extractor, metric: Metric, goal: Goal) -> Targets:
    """Look once at photos and paintings."""
    with torch.no_grad():
        content = extractor(goal.photos, [CONTENT])[CONTENT]
        content_scale = _content_energy(metric, content, is_difference=False)
        seen = extractor(goal.paintings, STYLES)
        moments = {tap: moment_matrices(seen[tap]) for tap in STYLES}
        scales = {tap: _energy(metric, tap, matrix) for tap, matrix in moments.items()}
    return Targets(content, content_scale, moments, scales)


def distance(seen: Features, metric: Metric, wanted: Targets, goal: Goal) -> Tensor:
    """The objective of a batch, a scalar."""
    content = _content_energy(metric, seen[CONTENT] - wanted.content, is_difference=True) / wanted.content_scale
    terms = [goal.content_weights[:, 0] * content]
    for place, tap in enumerate(STYLES):
        difference = moment_matrices(seen[tap]) - wanted.moments[tap]
        terms.append(goal.style_weights[:, place] * _energy(metric, tap, difference) / wanted.moments_scale[tap])
    return torch.stack(terms).sum()


def gradient(
    extractor: Extractor, metric: Metric, wanted: Targets, goal: Goal, pictures: Tensor, *, differentiable: bool = False
) -> Tensor:
    """The direction in which each picture gets worse, B x 3 x side x side."""
    with torch.enable_grad():
        pixels = pictures.detach().requires_grad_()
        loss = distance(extractor(pixels, TAPS), metric, wanted, goal)
        (result,) = torch.autograd.grad(loss, pixels, create_graph=differentiable)
    return result


def _energy(metric: Metric, tap: str, matrices: Tensor) -> Tensor:
    """|A M Aᵀ|² = tr(M K M K) of each of B symmetric matrices."""
    product = metric(tap, matrices)
    return (product * product.transpose(1, 2)).sum(dim=(1, 2))


def _content_energy(metric: Metric, features: Tensor, *, is_difference: bool) -> Tensor:
    """Σ |A f|² over positions of each picture; the shift of the map cancels in differences."""
    positions = _wide(features.permute(0, 2, 3, 1).flatten(1, 2))
    fill = torch.zeros_like if is_difference else torch.ones_like
    homogeneous = torch.cat([positions, fill(positions[:, :, :1])], dim=2)
    return (homogeneous * metric(CONTENT, homogeneous)).sum(dim=(1, 2))


def _wide(tensor: Tensor) -> Tensor:
    """In float32 at least, as sums have to be."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
