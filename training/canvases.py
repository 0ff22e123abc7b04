"""Pictures that are themselves under optimization, by the student's objective or by VGG-19's.

An optimizer seeks out whatever the student misjudges, so the student has to see where it is led to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from impasto.features import Extractor
from impasto.objective import Evaluation, bounded
from impasto.solvers import LBFGS
from training.goals import Goal, Metric, distance, targets
from training.pictures import Corpus, chance, uniform
from training.student import TAPS

__all__ = ["Canvas", "advanced", "new_canvas"]


@dataclass(frozen=True)
class Canvas:
    """Pictures on their way to a goal, B x 3 x side x side; values may leave [0, 1] as they do in a run."""

    pictures: Tensor
    goal: Goal

    def to(self, device: torch.device | str) -> Canvas:
        goal = Goal(**{name: tensor.to(device) for name, tensor in vars(self.goal).items()})
        return Canvas(self.pictures.to(device), goal)


def new_canvas(corpus: Corpus, count: int, side: int, generator: Generator) -> Canvas:
    """Start from the photos, blurred ones as after a coarser size, noise, or the paintings."""
    photos, paintings = (corpus.crops(count, side, generator) for _ in range(2))
    starts = torch.cat(
        [_start(photo[None], painting[None], generator) for photo, painting in zip(photos, paintings, strict=True)]
    )
    return Canvas(starts, Goal.random(photos, paintings, generator))


def _start(photo: Tensor, painting: Tensor, generator: Generator) -> Tensor:
    draw = uniform(0, 1, generator)
    if draw < 0.6:
        return photo
    if draw < 0.75:
        side = photo.shape[-1]
        small = F.interpolate(photo, size=(side // 2, side // 2), mode="bilinear", antialias=True)
        return F.interpolate(small, size=(side, side), mode="bicubic").clamp(0, 1)
    if draw < 0.9:
        return (0.5 + 0.15 * torch.randn(photo.shape, generator=generator)).clamp(0, 1)
    return painting if chance(0.5, generator) else torch.lerp(painting, photo, 0.5)


def advanced(canvas: Canvas, extractor: Extractor, metric: Metric, evaluations: int) -> Canvas:
    """Follow an objective for so many evaluations of L-BFGS, all pictures together."""
    wanted = targets(extractor, metric, canvas.goal)

    def evaluate(pixels: Tensor) -> Evaluation:
        with torch.enable_grad():
            pixels = pixels.detach().requires_grad_()
            loss = distance(extractor(pixels, TAPS), metric, wanted, canvas.goal)
            loss = loss + 0.5 * (pixels.diff(dim=-1).square().mean() + pixels.diff(dim=-2).square().mean())
            (gradient,) = torch.autograd.grad(loss, pixels)
        return Evaluation(loss.detach(), gradient)

    solver, pixels, in_range = LBFGS(history=10), canvas.pictures, bounded(evaluate)
    for _ in range(evaluations):
        evaluation = in_range(pixels)
        pixels = solver.step(pixels, evaluation.loss, evaluation.gradient)
    return replace(canvas, pictures=pixels) if bool(pixels.isfinite().all()) else canvas
