"""How good a student is on pictures that it was never taught with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from impasto.features import Extractor
from training.canvases import advanced, new_canvas
from training.goals import own_metric
from training.lessons import PIXELS, Lesson, lesson, ordinary_lessons
from training.losses import feature_errors, gradient_error, moment_errors
from training.pictures import Corpus
from training.student import Student

__all__ = ["HeldOut"]

SIDES = (96, 128, 176, 256)
"""Of the half-stylized pictures."""


@dataclass(frozen=True)
class HeldOut:
    """Lessons from pictures that were held out, some of them half-stylized by VGG-19."""

    lessons: tuple[Lesson, ...]

    @classmethod
    def prepare(cls, teacher: Extractor, corpus: Corpus) -> HeldOut:
        """The same ones in each run."""
        generator = Generator().manual_seed(20151)
        lessons = list(ordinary_lessons(teacher, corpus, 12, generator))
        for side in SIDES:
            canvas = new_canvas(corpus, PIXELS // side**2, side, generator).to(teacher.device)
            for evaluations in (5, 10):
                canvas = advanced(canvas, teacher, own_metric, evaluations)
                lessons.append(lesson(teacher, canvas.pictures.clamp(0, 1), canvas.goal))
        return cls(tuple(lessons))

    def figures(self, student: Student, dtype: torch.dtype) -> dict[str, float]:
        """Relative errors of features and of moments by tap, and of gradients (1 - cosine, mostly)."""
        sums: dict[str, list[float]] = {}
        for each in self.lessons:
            with torch.no_grad():
                seen = student.extractor(dtype)(each.pictures, each.features)
                for kind, errors in (("f", feature_errors), ("m", moment_errors)):
                    for tap, error in errors(student, seen, each).items():
                        sums.setdefault(f"{kind} {tap}", []).append(float(error))
            if each.goal is not None:
                error = gradient_error(student, each, dtype).detach()
                sums.setdefault("gradient", []).append(float(error))
        return {name: round(sum(values) / len(values), 4) for name, values in sums.items()}
