"""The loop: look at the pixels, hand the caller what was seen, follow the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from impasto.image.resize import resize, without_margin
from impasto.objective import Evaluate, Evaluation
from impasto.solvers import Solver

__all__ = ["Step", "optimize"]


@dataclass(frozen=True)
class Step:
    """One evaluation of the picture, as the caller sees it.

    ``index`` counts from 1 to ``of`` at the present size; ``evaluation`` belongs to ``pixels``, 1 x 3 x H x W.
    Values of ``pixels`` may leave [0, 1]; they were evaluated at the nearest values inside. ``finish`` makes the
    picture that people are to see of the one that was evaluated. ``level`` is the part of the run, from 0, ``network``
    the name of the one that looked, and ``tile`` the side of the tiles in which it did, 0 for the whole picture.
    ``pixels`` have a ``margin`` of so many on each side that do not belong to the picture.
    """

    pixels: Tensor
    evaluation: Evaluation
    index: int
    of: int
    finish: Callable[[Tensor], Tensor] | None = None
    level: int = 0
    network: str = ""
    tile: int = 0
    margin: int = 0

    @property
    def within_margin(self) -> Tensor:
        """The pixels of the picture, 1 x 3 x H x W."""
        return without_margin(self.pixels, self.margin)

    @property
    def image(self) -> Tensor:
        """The picture at this step, 1 x 3 x H x W, sRGB in [0, 1]."""
        return self.image_at(self.size)

    def image_at(self, size: tuple[int, int]) -> Tensor:
        """The same at (height, width) ``size``, at which it is finished: that is quick where it is small."""
        image = resize(self.within_margin.clamp(0, 1), size)
        return image if self.finish is None else self.finish(image)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture in pixels."""
        return self.pixels.shape[-2] - 2 * self.margin, self.pixels.shape[-1] - 2 * self.margin

    @property
    def loss(self) -> float:
        """The weighted sum of all terms; waits for the device."""
        return self.evaluation.value

    @property
    def terms(self) -> dict[str, float]:
        """Each term's share of the loss by name; waits for the device."""
        return self.evaluation.terms

    def without_gradient(self) -> Step:
        """The same for those who keep it, not to go on from it: with a gradient of no values."""
        return replace(self, evaluation=self.evaluation.without_gradient())

    def better_than(self, other: Step | None) -> Step:
        """The better one of two steps: the later part of the run, or the lower loss in it; never a loss of NaN.

        Where it went on in smaller tiles, another part began.
        """
        if other is None or (self.level, self.size, self.tile) != (other.level, other.size, other.tile):
            return self
        return self if self.loss <= other.loss or math.isnan(other.loss) else other


def optimize(
    pixels: Tensor,
    evaluate: Evaluate,
    solver: Solver,
    iterations: int,
    *,
    done: int = 0,
    best: Step | None = None,
) -> Iterator[Step]:
    """Minimize ``evaluate`` from ``pixels``, yielding after each of ``iterations`` evaluations.

    Without a line search a single step may lead uphill; so the last Step is the best one seen, the picture to keep.
    Where ``done`` of the evaluations were made before, it goes on with ``pixels``, and ``best`` is the best of those.
    """
    for index in range(done + 1, iterations + 1):
        step = Step(pixels, evaluate(pixels), index, iterations)
        best = step.better_than(best).without_gradient()
        if index == iterations:
            yield replace(best, index=index)
            return
        yield step
        pixels = solver.step(pixels, step.evaluation.loss, step.evaluation.gradient)
        del step  # with the gradient, while the next one is computed
