"""What the student is shown in one round, and what VGG-19 sees there.

A round is a fixed number of lessons, made from its number and the student's state alone, so that a run that was broken
off goes on exactly where it was. Each lesson is gone through several times: asking the teacher costs more than
learning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from impasto.features import Extractor, Features
from training.canvases import Canvas
from training.goals import Goal, gradient, moment_matrices, own_metric, targets
from training.pictures import Corpus, disturbed
from training.student import TAPS

__all__ = ["PIXELS", "Lesson", "lesson", "ordinary_lessons", "random_side"]

PIXELS = 2**16
"""Of all pictures of a lesson: 4 of 128 x 128."""

SIDES = (96, 128, 128, 176, 256)


@dataclass(frozen=True)
class Lesson:
    """Pictures, what VGG-19 sees in them, and, for pictures under optimization, where it would move their pixels."""

    pictures: Tensor
    features: Features
    moments: dict[str, Tensor]
    goal: Goal | None = None
    gradient: Tensor | None = None


def lesson(teacher: Extractor, pictures: Tensor, goal: Goal | None = None) -> Lesson:
    """Ask the teacher."""
    pictures = pictures.to(teacher.device)
    with torch.no_grad():
        features = teacher(pictures, TAPS)
        moments = {tap: moment_matrices(features[tap]) for tap in TAPS}
    if goal is None:
        return Lesson(pictures, features, moments)
    wanted = targets(teacher, own_metric, goal)
    return Lesson(pictures, features, moments, goal, gradient(teacher, own_metric, wanted, goal, pictures))


def ordinary_lessons(teacher: Extractor, corpus: Corpus, count: int, generator: Generator) -> Iterator[Lesson]:
    """Crops of pictures, one lesson in three of disturbed ones."""
    for index in range(count):
        side = random_side(generator)
        pictures = corpus.crops(PIXELS // side**2, side, generator)
        yield lesson(teacher, pictures if index % 3 else disturbed(pictures, generator))


def lesson_of(canvas: Canvas, teacher: Extractor) -> Lesson:
    """A lesson about pictures under optimization."""
    return lesson(teacher, canvas.pictures.clamp(0, 1), canvas.goal)


def random_side(generator: Generator) -> int:
    """The side of the pictures of a lesson, in pixels."""
    return SIDES[int(torch.randint(len(SIDES), (), generator=generator))]
