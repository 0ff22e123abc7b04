"""How far a picture is from what is wanted, and which way leads there: evaluate(pixels) -> Evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from impasto.features import Extractor
from impasto.terms import Octave
from impasto.tiling import evaluate_octave

__all__ = ["Evaluate", "Evaluation", "Objective", "bounded", "halved"]


@dataclass(frozen=True)
class Evaluation:
    """What one look at the pixels gave: the loss (scalar), its gradient (as the pixels), and the weighted terms."""

    loss: Tensor
    gradient: Tensor
    weighted: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The loss as a number; waits for the device, once for this and the terms."""
        return self._numbers[0]

    @property
    def terms(self) -> dict[str, float]:
        """Each term's share of the loss by name; waits for the device, once for all."""
        return dict(zip(self.weighted, self._numbers[1:], strict=True))

    @cached_property
    def _numbers(self) -> list[float]:
        terms = [*self.weighted.values()]
        numbers: list[float] = torch.stack([self.loss.to(terms[0]) if terms else self.loss, *terms]).tolist()
        return numbers

    def without_gradient(self) -> Evaluation:
        """The same with a gradient of no values; numbers that were fetched from the device are not fetched again."""
        kept = replace(self, gradient=self.loss.new_empty(0))
        if "_numbers" in vars(self):
            vars(kept)["_numbers"] = self._numbers
        return kept


Evaluate: TypeAlias = Callable[[Tensor], Evaluation]


@dataclass(frozen=True)
class Objective:
    """The weighted sum of named losses of what the extractor sees.

    ``octaves``, at least one, look at the picture at its own size, at half of it, at a quarter, and so on.
    """

    extractor: Extractor
    octaves: tuple[Octave, ...]

    def __call__(self, pixels: Tensor) -> Evaluation:
        """Evaluate at 1 x 3 x H x W, sRGB in [0, 1]."""
        pictures = [pixels.detach()]
        for _ in self.octaves[1:]:
            pictures.append(halved(pictures[-1]))
        values, gradient = [], None
        for octave, picture in zip(self.octaves[::-1], pictures[::-1], strict=True):
            here, slope = evaluate_octave(self.extractor, picture, octave)
            values.append(here)
            gradient = slope if gradient is None else add_halved(slope, gradient)
        assert gradient is not None
        weighted = {name: value.to(pixels.dtype) for each in values[::-1] for name, value in each.items()}
        return Evaluation(torch.stack(list(weighted.values())).sum(), gradient, weighted)


def halved(image: Tensor) -> Tensor:
    """Halve the sides of B x 3 x H x W by means of 2 x 2 pixels, which add over tiles.

    As F.avg_pool2d, which takes several times longer on a CPU.
    """
    height, width = (side - side % 2 for side in image.shape[-2:])
    rows = image[..., 0:height:2, :width] + image[..., 1:height:2, :width]
    return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)


def add_halved(gradient: Tensor, of_half: Tensor) -> Tensor:
    """Add to the gradient in a picture what the gradient in its half says of it, in place."""
    height, width = (side - side % 2 for side in gradient.shape[-2:])
    quarter = of_half * 0.25
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        gradient[..., row:height:2, column:width:2] += quarter
    return gradient


def bounded(evaluate: Evaluate) -> Evaluate:
    """Keep a minimization in [0, 1] by one-sided gradients: a minimum of the result is a picture as it can be saved.

    The picture is evaluated where it would be saved, at the nearest values in range, and where a value is out of
    range the gradient only ever pulls it back. (Clamping after a step instead would falsify the curvature that
    L-BFGS learns, and clamping the finished picture would change its loss.)
    """

    def evaluate_in_range(pixels: Tensor) -> Evaluation:
        inside = pixels.clamp(0, 1)
        evaluation = evaluate(inside)
        outward = torch.sub(pixels, inside, out=inside).mul_(evaluation.gradient) < 0
        gradient = evaluation.gradient.masked_fill(outward, 0)
        return Evaluation(evaluation.loss, gradient, evaluation.weighted)

    return evaluate_in_range
