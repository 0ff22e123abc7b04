"""What a student is taught by: nothing is wrong with one that sees what its teacher sees, and distances are distances."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Generator

from training.canvases import new_canvas
from training.fit import pruned
from training.goals import CONTENT, STYLES
from training.lessons import lesson
from training.losses import distance_errors, feature_errors
from training.student import TAPS, Student


@pytest.fixture
def half_done(teacher, corpus):
    """A lesson about two pictures on their way from photos to paintings."""
    canvas = new_canvas(corpus, 2, 32, Generator().manual_seed(0))
    return lesson(teacher, torch.lerp(canvas.goal.photos, canvas.goal.paintings, 0.5), canvas.goal)


def test_a_student_that_sees_what_its_teacher_sees_makes_no_error(tiny, teacher, corpus, half_done):
    pictures = [corpus.crops(4, 64, Generator().manual_seed(index)) for index in range(3)]
    student = pruned(replace(tiny, teacher=tiny), teacher, pictures)
    seen = student.extractor(torch.float32)(half_done.pictures, TAPS)
    found = distance_errors(student, seen, half_done, torch.float32)
    assert set(found) == set(TAPS)
    for tap, error in (found | feature_errors(student, seen, half_done)).items():
        assert float(error.detach()) < 0.05, tap


def test_distances_are_those_from_photo_and_painting(small, teacher, half_done):
    student = Student.random(small, Generator().manual_seed(1))
    look = student.extractor(torch.float32)
    found = distance_errors(student, look(half_done.pictures, TAPS), half_done, torch.float32)
    pictures, goal = half_done.pictures, half_done.goal
    here, there = (
        student.mapped(look(pictures, TAPS))[CONTENT] - student.mapped(look(goal.photos, TAPS))[CONTENT],
        teacher(pictures, TAPS)[CONTENT] - teacher(goal.photos, TAPS)[CONTENT],
    )
    expected = ((here - there).square().sum((1, 2, 3)) / there.square().sum((1, 2, 3))).mean()
    torch.testing.assert_close(found[CONTENT], expected, rtol=1e-3, atol=1e-4)

    def gram(features):
        return torch.einsum("bihw,bjhw->bij", features, features) / features[0, 0].numel()

    for tap in STYLES:
        ours, theirs = (
            gram(see(pictures)[tap]) - gram(see(goal.paintings)[tap])
            for see in (lambda images: student.mapped(look(images, TAPS)), lambda images: teacher(images, TAPS))
        )
        least = 0.05 * gram(teacher(goal.paintings, TAPS)[tap]).square().sum((1, 2))
        expected = (ours - theirs).norm(dim=(1, 2)) / torch.maximum(theirs.square().sum((1, 2)), least).sqrt()
        torch.testing.assert_close(found[tap], expected.mean(), rtol=1e-3, atol=1e-4)
