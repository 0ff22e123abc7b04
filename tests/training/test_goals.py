"""The objectives of whole batches are those of the package, picture by picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Generator

from impasto.features import Extractor
from impasto.spec import StyleSpec
from impasto.targets import style_transfer_objective
from training.goals import STYLES, Goal, gradient, own_metric, student_metric, targets
from training.student import Student


@pytest.fixture
def pictures():
    return torch.rand(3, 3, 32, 32, generator=Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def goal():
    photos, paintings = torch.rand(2, 3, 3, 32, 32, generator=Generator().manual_seed(2), dtype=torch.float64)
    weights = torch.rand(3, 1 + len(STYLES), generator=Generator().manual_seed(3), dtype=torch.float64) + 0.1
    return Goal(photos, paintings, weights[:, :1], weights[:, 1:])


def reference(extractor: Extractor, goal: Goal, pictures: torch.Tensor, index: int) -> torch.Tensor:
    """What the package says of one of the pictures."""
    layers = dict(zip(STYLES, goal.style_weights[index].tolist(), strict=True))
    total = sum(layers.values())
    spec = StyleSpec(
        octaves=1,
        tv_weight=0,
        content_weight=float(goal.content_weights[index]),
        style_weight=total,
        style_layers=layers,
    )
    one = slice(index, index + 1)
    return style_transfer_objective(extractor, goal.photos[one], goal.paintings[one], spec)(pictures[one]).gradient


def test_the_teachers_gradient_is_that_of_the_package(tiny, tiny_weights, goal, pictures):
    extractor = Extractor(tiny, tiny_weights, dtype=torch.float64)
    found = gradient(extractor, own_metric, targets(extractor, own_metric, goal), goal, pictures)
    for index in range(3):
        expected = reference(extractor, goal, pictures, index)
        torch.testing.assert_close(found[index : index + 1], expected, rtol=1e-5, atol=1e-10)


def test_the_students_gradient_is_that_of_the_package(small, goal, pictures):
    student = Student.random(small, Generator().manual_seed(4))
    doubled = replace(
        student,
        kernels={name: tensor.double() for name, tensor in student.kernels.items()},
        biases={name: tensor.double() for name, tensor in student.biases.items()},
        slopes={name: tensor.double() for name, tensor in student.slopes.items()},
    )
    weights = doubled.weights() | {f"{tap}.map": affine for tap, affine in doubled.maps.items()}
    extractor, metric = doubled.extractor(torch.float64), student_metric(doubled)
    found = gradient(extractor, metric, targets(extractor, metric, goal), goal, pictures)
    for index in range(3):
        expected = reference(Extractor(small, weights, dtype=torch.float64), goal, pictures, index)
        torch.testing.assert_close(found[index : index + 1], expected, rtol=1e-3, atol=1e-9)
