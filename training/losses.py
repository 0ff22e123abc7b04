"""How far the student is from VGG-19 on one lesson: in features, in moments, and in where they would move the pixels.

All are relative, so that no tap's range and no picture's contrast matters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features import Features
from training.goals import CONTENT, STYLES, gradient, moment_matrices, student_metric, targets
from training.lessons import Lesson
from training.student import TAPS, Student

__all__ = ["distance_errors", "feature_errors", "gradient_error", "moment_errors", "total"]

IMPORTANCE = {"relu1_1": 0.5, "relu2_1": 0.5, "relu3_1": 0.5, "relu4_1": 0.5, "relu4_2": 2.0, "relu5_1": 2.0}
"""What errors count: of pictures that a student paints, VGG-19 finds fault with the two deepest taps alone."""

NEAR = 5e-2
"""The least squared distance from a goal, as a share of the energy of that, by which errors are divided."""

FLOOR = 1e-2
"""The least energy of a picture, as a share of the mean of its lesson, that errors are divided by."""


def feature_errors(student: Student, seen: Features, lesson: Lesson) -> dict[str, Tensor]:
    """Σ |A f - F|² / Σ |F|² by tap, the mean over pictures."""
    errors = {}
    for tap, guess in student.mapped(seen).items():
        truth = lesson.features[tap]
        errors[tap] = _relative(
            (guess - truth).float().square().sum(dim=(1, 2, 3)), truth.float().square().sum((1, 2, 3))
        )
    return errors


def moment_errors(student: Student, seen: Features, lesson: Lesson) -> dict[str, Tensor]:
    """|A M Aᵀ - G| / |G| by tap, the mean over pictures: the style error by which results are judged."""
    errors = {}
    maps = student.maps
    for tap in TAPS:
        matrices = moment_matrices(seen[tap])
        guess = maps[tap] @ matrices @ maps[tap].T if tap in maps else matrices[:, :-1, :-1]
        truth = lesson.moments[tap][:, :-1, :-1]
        squared = (guess - truth).square().sum(dim=(1, 2))
        energy = truth.square().sum(dim=(1, 2))
        errors[tap] = ((squared / energy.clamp_min(FLOOR**2 * energy.mean()) + 1e-4).sqrt() - 1e-2).mean()
    return errors


def distance_errors(student: Student, seen: Features, lesson: Lesson, dtype: torch.dtype) -> dict[str, Tensor]:
    """How wrong the student is about what separates pictures under optimization from their goal, by tap.

    Of the features of the photo at the content's tap, and of the Gram matrices of the painting at the others: the
    difference from VGG-19's own difference, relative to that. An optimizer follows these differences, and features
    alone may be told well without them.
    """
    assert lesson.goal is not None
    assert lesson.wanted is not None
    extractor, maps = student.extractor(dtype), student.maps
    photos = student.mapped_tap(CONTENT, extractor(lesson.goal.photos, [CONTENT])[CONTENT])
    truth = (lesson.features[CONTENT] - lesson.wanted.content).float()
    guess = (student.mapped_tap(CONTENT, seen[CONTENT]) - photos).float()
    least = NEAR * lesson.wanted.content_scale
    errors = {
        CONTENT: ((guess - truth).square().sum((1, 2, 3)) / _at_least(truth.square().sum((1, 2, 3)), least)).mean()
    }
    paintings = extractor(lesson.goal.paintings, STYLES)
    for tap in STYLES:
        between = moment_matrices(seen[tap]) - moment_matrices(paintings[tap])
        guess = maps[tap] @ between @ maps[tap].T if tap in maps else between[:, :-1, :-1]
        truth = (lesson.moments[tap] - lesson.wanted.moments[tap])[:, :-1, :-1]
        least = NEAR * lesson.wanted.moments_scale[tap]
        errors[tap] = (
            ((guess - truth).square().sum((1, 2)) / _at_least(truth.square().sum((1, 2)), least)).sqrt().mean()
        )
    return errors


def _at_least(energy: Tensor, least: Tensor) -> Tensor:
    return torch.maximum(energy, least)


def gradient_error(student: Student, lesson: Lesson, dtype: torch.dtype) -> Tensor:
    """1 - the cosine between the two gradients, and a little of the squared logarithm of their ratio.

    The mean over pictures, and over the gradients as they are and averaged over 2 x 2, 4 x 4 and 8 x 8 pixels: at
    full size they are mostly noise of the finest layer, which an optimizer does not follow for long.
    """
    assert lesson.goal is not None
    assert lesson.gradient is not None
    extractor, metric = student.extractor(dtype), student_metric(student)
    wanted = targets(extractor, metric, lesson.goal)
    ours = gradient(extractor, metric, wanted, lesson.goal, lesson.pictures, differentiable=True)
    errors = []
    for octave in range(4):
        guess, truth = (F.avg_pool2d(each, 2**octave).flatten(1) for each in (ours, lesson.gradient))
        cosine = F.cosine_similarity(guess, truth, dim=1, eps=1e-20)
        ratio = (guess.norm(dim=1).clamp_min(1e-20) / truth.norm(dim=1).clamp_min(1e-20)).log()
        errors.append((1 - cosine + 0.1 * ratio.clamp(-2, 2).square()).mean())
    return torch.stack(errors).mean()


def _relative(squared: Tensor, energy: Tensor) -> Tensor:
    return (squared / energy.clamp_min(FLOOR * energy.mean())).mean()


def total(errors: dict[str, Tensor]) -> Tensor:
    """The sum over taps, weighted by ``IMPORTANCE``."""
    return torch.stack([IMPORTANCE[tap] * errors[tap] for tap in TAPS]).sum()
