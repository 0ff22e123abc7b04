"""A run that is ready: everything it needs, checked and resolved, and the steps that move the photo's pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.color import with_colors_of
from impasto.device import Machine
from impasto.features import Extractor
from impasto.footprint import Footprint
from impasto.grid import Tiling
from impasto.image.picture import Picture
from impasto.image.resize import grown, resize, surrounded
from impasto.looks import Recall
from impasto.objective import Evaluation, Objective
from impasto.optimize import Step
from impasto.pyramid import Level
from impasto.record import Record
from impasto.result import Result
from impasto.solvers import LBFGS, Adam, Solver
from impasto.spec import StyleSpec
from impasto.styles import KeptStyles
from impasto.targets import style_transfer_objective

__all__ = ["Transfer"]


@dataclass(frozen=True)
class Transfer:
    """Everything that a run needs, checked and resolved: the pictures, the options, the plan, the network.

    ``photo`` is the content in the proportions of ``size``, (height, width) of the finished picture in pixels;
    ``content`` and ``style`` are the pictures that are compared: gray ones, or with other colors, if ``spec.color``
    says so; ``init``, 1 x 3 x H x W, is what to start from.
    Floats are in [0, 1]; pictures that have other sizes than the run needs are kept as the whole numbers of the file.
    ``extractors`` are those of all networks in ``levels``, by name, and ``footprint`` says how much memory each takes,
    and ``styles`` remembers paintings.
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
    footprint: Footprint
    record: Record
    remarks: tuple[str, ...] = ()
    styles: KeptStyles | None = None

    def extractor(self, level: Level) -> Extractor:
        """The network that looks at ``level``."""
        return self.extractors[level.network]

    def objective(self, level: Level, content: Picture | None = None) -> Objective:
        """What is minimized at ``level``; ``content`` is the one at its size, if that is there already."""
        home = self.home(level)
        content, style = content or self.content.resized(level.size), self.style.resized(level.style_size)
        return style_transfer_objective(
            self.extractor(level),
            content.pixels.to(home),
            style.pixels.to(home),
            self.spec,
            content_alpha=None if content.alpha is None else content.alpha.to(home),
            style_alpha=None if style.alpha is None else style.alpha.to(home),
            tiling=self.tiling(level),
            recall=self._recall(level),
            keep_content=level.targets == "kept",
            margin=level.margin,
        )

    def home(self, level: Level) -> torch.device:
        """Where the picture of ``level``, its gradient and the history are."""
        return torch.device("cpu") if level.vectors == "main memory" else self.machine.device

    def _recall(self, level: Level) -> Recall | None:
        """What remembers paintings, for the weights of the level's network."""
        if self.styles is None:
            return None
        styles, weights = self.styles, self.record.weights[level.network]
        return lambda picture, alpha, how, compute: styles.moments(picture, alpha, {**how, "weights": weights}, compute)

    def tiling(self, level: Level) -> Tiling | None:
        """The tiles in which ``level`` is looked at; None for the whole picture."""
        return Tiling.in_precision(level.tile, self.machine.dtype) if level.tile else None

    @property
    def finish(self) -> Callable[[Tensor], Tensor] | None:
        """What steps need to show their picture, if that is not the one that was evaluated."""
        return self.finished if self.spec.color == "content" else None

    def finished(self, image: Tensor) -> Tensor:
        """The picture that people are to see of one that was evaluated, 1 x 3 x H x W of any size."""
        if self.spec.color != "content":
            return image
        photo = resize(self.photo.stored, (image.shape[-2], image.shape[-1]))
        return with_colors_of(image, photo.to(image.device))

    def unchanged(self) -> Step:
        """The only step of a run that leaves the photo as it is."""
        photo = self.content.resized(self.size).pixels
        evaluation = Evaluation(torch.zeros(()), torch.zeros_like(photo))
        return Step(photo, evaluation, 1, 1, self.finish, network=self.spec.network)

    def with_levels(self, levels: Sequence[Level]) -> Transfer:
        """The same run with other evaluations at each size, or made in another way."""
        return replace(self, levels=tuple(levels), record=self.record.planned(levels))

    def starting_point(self, level: Level, previous: Tensor | None = None, content: Picture | None = None) -> Tensor:
        """Where ``level`` starts: from ``previous``, or from what ``init`` asked for, brought to its canvas;
        ``content`` is the one at its size, if that is there already.

        What began as a picture gets the photo's details whenever it grows. A network would have to find them again, and
        a small one sees too little of them for that.
        """
        picture = self.init if previous is None else previous
        is_photo = picture is self.content.stored  # which has no details beyond its own
        if self._gets_details and not is_photo and max(picture.shape[-2:]) < max(level.size):
            picture = grown(picture, (content or self.content.resized(level.size)).stored)
        else:
            picture = resize(picture, level.size)
        return surrounded(picture, level.margin).to(self.home(level))

    @property
    def _gets_details(self) -> bool:
        """Whether the run began as the photo, or as another picture that is to be like it.

        Noise and the painting have no details of the photo. The name of a picture does not tell: it may be ``noise``.
        """
        is_given = "init" in self.record.inputs
        return self.spec.strength < 1 if is_given else self.spec.init == "content"

    def result(self, steps: Iterable[Step]) -> Result:
        """Run through ``steps``, all of them or those until someone stopped, and keep the best picture."""
        return Result.collect(steps, self.spec, self.size, photo=self.photo, record=self.record)

    def solver(self, level: Level) -> Solver:
        """A new solver for ``level``; what it cannot fill of its memory is not provided."""
        if self.spec.optimizer == "adam":
            return Adam(learning_rate=self.spec.learning_rate)
        dtype = torch.bfloat16 if level.history_precision == "bf16" else None
        return LBFGS(history=min(level.history or self.spec.history, level.iterations), memory_dtype=dtype)
