"""The loop: look at the pixels, hand the caller what was seen, follow the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from impasto.objective import Evaluate, Evaluation
from impasto.solvers import Solver

__all__ = ["Step", "optimize"]


@dataclass(frozen=True)
class Step:
    """One evaluation of the picture, as the caller sees it.

    ``index`` counts from 1 to ``of`` at the present size; ``evaluation`` belongs to ``pixels``, 1 x 3 x H x W.
    Values of ``pixels`` may leave [0, 1]; they were evaluated at the nearest values inside. ``finish`` makes the
    picture that people are to see of the one that was evaluated. ``level`` is the part of the run, from 0, and
    ``network`` the name of the one that looked.
    """

    pixels: Tensor
    evaluation: Evaluation
    index: int
    of: int
    finish: Callable[[Tensor], Tensor] | None = None
    level: int = 0
    network: str = ""

    @property
    def image(self) -> Tensor:
        """The picture at this step, 1 x 3 x H x W, sRGB in [0, 1]."""
        image = self.pixels.clamp(0, 1)
        return image if self.finish is None else self.finish(image)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def loss(self) -> float:
        """The weighted sum of all terms; waits for the device."""
        return float(self.evaluation.loss)

    @property
    def terms(self) -> dict[str, float]:
        """Each term's share of the loss by name; waits for the device."""
        return self.evaluation.terms

    def better_than(self, other: Step | None) -> Step:
        """The better one of two steps: the later part of the run, or the lower loss in it; never a loss of NaN."""
        if other is None or (self.level, self.size) != (other.level, other.size):
            return self
        return self if self.loss <= other.loss or math.isnan(other.loss) else other


def optimize(pixels: Tensor, evaluate: Evaluate, solver: Solver, iterations: int) -> Iterator[Step]:
    """Minimize ``evaluate`` from ``pixels``, yielding after each of ``iterations`` evaluations.

    Without a line search a single step may lead uphill; so the last Step is the best one seen, the picture to keep.
    """
    best: Step | None = None
    for index in range(1, iterations + 1):
        evaluation = evaluate(pixels)
        step = Step(pixels, evaluation, index, iterations)
        best = step.better_than(best)
        yield step if index < iterations else replace(best, index=index)
        if index < iterations:
            pixels = solver.step(pixels, evaluation.loss, evaluation.gradient)
