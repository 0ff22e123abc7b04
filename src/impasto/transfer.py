"""A run that is ready: everything it needs, checked and resolved, and the steps that move the photo's pixels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.color import with_colors_of
from impasto.device import Machine, using_threads
from impasto.features import Extractor
from impasto.image.picture import Picture
from impasto.image.resize import resize
from impasto.objective import Evaluation, Objective, bounded
from impasto.optimize import Step, optimize
from impasto.pyramid import Level
from impasto.record import Record
from impasto.result import Result
from impasto.solvers import LBFGS, Adam, Solver
from impasto.spec import StyleSpec
from impasto.targets import style_transfer_objective

__all__ = ["Transfer"]

log = logging.getLogger("impasto")


@dataclass(frozen=True)
class Transfer:
    """Everything that a run needs, checked and resolved: the pictures, the options, the plan, the network.

    ``photo`` is the content at ``size``, ``content`` and ``style`` the pictures that are compared: gray ones, or with
    other colors, if ``spec.color`` says so. ``size`` is the (height, width) of the finished picture in pixels.
    ``extractors`` are those of all networks in ``levels``, by name.
    """

    photo: Picture
    content: Picture
    style: Picture
    init: Tensor
    size: tuple[int, int]
    spec: StyleSpec
    machine: Machine
    levels: tuple[Level, ...]
    extractors: Mapping[str, Extractor]
    record: Record
    remarks: tuple[str, ...] = ()

    def extractor(self, level: Level) -> Extractor:
        """The network that looks at ``level``."""
        return self.extractors[level.network]

    def objective(self, level: Level) -> Objective:
        """What is minimized at ``level``."""
        device = self.machine.device
        content, style = self.content.resized(level.size), self.style.resized(level.style_size)
        return style_transfer_objective(
            self.extractor(level),
            content.pixels.to(device),
            style.pixels.to(device),
            self.spec,
            content_alpha=None if content.alpha is None else content.alpha.to(device),
            style_alpha=None if style.alpha is None else style.alpha.to(device),
        )

    def steps(self) -> Iterator[Step]:
        """Optimize coarse to fine, yielding every evaluation; each size starts from the best of the one before."""
        return _with_threads(self._steps(), self.machine.threads)

    def _steps(self) -> Iterator[Step]:
        finish = self.finished if self.spec.color == "content" else None
        if self.spec.strength == 0:
            photo = self.content.resized(self.size).pixels
            unchanged = Evaluation(torch.zeros(()), torch.zeros_like(photo))
            yield Step(photo, unchanged, 1, 1, finish, network=self.spec.network)
            return
        previous = self.init
        for place, level in enumerate(self.levels):
            log.debug("%d x %d, %d evaluations of %s", level.size[1], level.size[0], level.iterations, level.network)
            evaluate = bounded(self.objective(level))
            start = self.starting_point(level, previous)
            for step in optimize(start, evaluate, self.solver(level.iterations), level.iterations):
                yield replace(step, finish=finish, level=place, network=level.network)
                previous = step.pixels.clamp(0, 1)  # of the last step, which is the best one

    def finished(self, image: Tensor) -> Tensor:
        """The picture that people are to see of one that was evaluated, 1 x 3 x H x W of any size."""
        if self.spec.color != "content":
            return image
        photo = resize(self.photo.pixels, (image.shape[-2], image.shape[-1]))
        return with_colors_of(image, photo.to(image.device))

    def with_levels(self, levels: Sequence[Level]) -> Transfer:
        """The same run with other evaluations at each size."""
        return replace(self, levels=tuple(levels), record=self.record.planned(levels))

    def starting_point(self, level: Level, previous: Tensor | None = None) -> Tensor:
        """Where ``level`` starts: from ``previous``, or from what ``init`` asked for, brought to its size."""
        return resize(self.init if previous is None else previous, level.size).to(self.machine.device)

    def result(self, steps: Iterable[Step]) -> Result:
        """Run through ``steps``, all of them or those until someone stopped, and keep the best picture."""
        return Result.collect(steps, self.spec, self.size, photo=self.photo, record=self.record)

    def solver(self, iterations: int) -> Solver:
        """A new solver for so many evaluations; what it cannot fill of its memory is not provided."""
        if self.spec.optimizer == "adam":
            return Adam(learning_rate=self.spec.learning_rate)
        return LBFGS(history=min(self.spec.history, iterations))


def _with_threads(steps: Iterator[Step], threads: int | None) -> Iterator[Step]:
    """Compute each step with so many threads; whoever consumes the steps finds the setting as it was."""
    while True:
        with using_threads(threads):
            step = next(steps, None)
        if step is None:
            return
        yield step
