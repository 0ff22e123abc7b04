"""How far the student is from VGG-19 on one lesson: in features, in moments, and in where they would move the pixels.

All are relative, so that no tap's range and no picture's contrast matters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features import Features
from training.goals import gradient, moment_matrices, student_metric, targets
from training.lessons import Lesson
from training.student import TAPS, Student

__all__ = ["feature_errors", "gradient_error", "moment_errors"]

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
    for tap, affine in student.maps.items():
        guess = affine @ moment_matrices(seen[tap]) @ affine.T
        truth = lesson.moments[tap][:, :-1, :-1]
        squared = (guess - truth).square().sum(dim=(1, 2))
        energy = truth.square().sum(dim=(1, 2))
        errors[tap] = ((squared / energy.clamp_min(FLOOR**2 * energy.mean()) + 1e-4).sqrt() - 1e-2).mean()
    return errors


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
    """The sum over taps."""
    return torch.stack([errors[tap] for tap in TAPS]).sum()
