from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.curvature import Curvature

Pairs = list[tuple[Tensor, Tensor]]


def pairs(count: int, size: int = 50) -> Pairs:
    """Steps of a minimization of a quadratic, and how its gradient changes."""
    generator = torch.Generator().manual_seed(3)
    factor = torch.randn(size, size, generator=generator, dtype=torch.float64)
    matrix = factor @ factor.T / size + 0.1 * torch.eye(size, dtype=torch.float64)
    steps = [torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [(step, matrix @ step) for step in steps]


def textbook(known: Pairs, gradient: Tensor) -> Tensor:
    """Algorithm 7.4 of Nocedal and Wright, from |s| / |y|, in long vectors."""
    direction, alphas = -gradient, []
    for s, y in reversed(known):
        alphas.append((s @ direction) / (s @ y))
        direction = direction - alphas[-1] * y
    s, y = known[-1]
    direction = direction * s.norm() / y.norm()
    for (s, y), alpha in zip(known, reversed(alphas), strict=True):
        direction = direction + (alpha - (y @ direction) / (s @ y)) * s
    return direction


@pytest.mark.parametrize("count", [1, 2, 5, 6, 17])
@pytest.mark.parametrize("history", [1, 5, 20])
def test_the_direction_is_that_of_the_textbook(count: int, history: int) -> None:
    curvature, known = Curvature(history), pairs(count)
    assert all(curvature.remember(s, y, 1e-8) for s, y in known)
    assert len(curvature) == min(count, history)
    gradient = torch.randn(50, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected = textbook(known[-history:], gradient)
    torch.testing.assert_close(curvature.direction(gradient), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(curvature.direction(gradient.view(5, 10)), expected.view(5, 10), rtol=1e-9, atol=1e-9)


def test_float32_is_precise_enough() -> None:
    curvature, known = Curvature(10), pairs(10)
    for s, y in known:
        curvature.remember(s.float(), y.float(), 1e-8)
    gradient = torch.randn(50, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected = textbook(known, gradient)
    assert (curvature.direction(gradient.float()) - expected).norm() < 1e-5 * expected.norm()


def test_on_an_ill_conditioned_valley_it_stays_near_the_textbook() -> None:
    """Steps that follow each other down a quadratic of condition 10,000 are nearly parallel."""
    scales = torch.logspace(-4, 0, 5000, dtype=torch.float64)
    curvature, known = Curvature(100), []
    point = torch.ones(5000)
    gradient = scales.float() * point
    for _ in range(120):
        step = curvature.direction(gradient) if curvature else -0.1 * gradient
        point, before = point + step, gradient
        gradient = scales.float() * point
        if curvature.remember(step, gradient - before, 1e-8):
            known.append((step.double(), (gradient - before).double()))
    expected = textbook(known[-100:], gradient.double())
    assert (curvature.direction(gradient) - expected).norm() < 1e-3 * expected.norm()


@pytest.mark.parametrize(("before", "after"), [(5, 3), (3, 5)])
def test_a_state_goes_into_another_memory(before: int, after: int) -> None:
    gradient = torch.linspace(-1, 1, 50, dtype=torch.float64)
    whole, other, known = Curvature(before), Curvature(after), pairs(7)
    for s, y in known:
        whole.remember(s, y, 1e-8)
    other.remember(*known[0], 1e-8)
    other.load_state_dict(whole.state_dict())
    count = min(before, after)
    torch.testing.assert_close(other.direction(gradient), textbook(known[-count:], gradient), rtol=1e-9, atol=1e-9)
    other.load_state_dict(Curvature(2).state_dict())
    assert len(other) == 0


def test_the_curvature_that_was_tested_is_the_one_that_counts() -> None:
    """Another order of summation could make a nearly flat pair one without curvature."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        s, y = torch.randn(2, 20_000, generator=generator)
        curvature = Curvature(3)
        if curvature.remember(s, y, 1e-8):
            tested = float(torch.dot(s, y))
            assert [row[column] for row, column in zip(curvature.state_dict()["products"], (1, 0), strict=True)] == [
                tested,
                tested,
            ]


def test_a_pair_without_curvature_is_not_kept_and_takes_nobodys_place() -> None:
    curvature = Curvature(2)
    (s, y), (other, its), (gradient, _) = pairs(3)
    curvature.remember(s, y, 1e-8)
    curvature.remember(other, its, 1e-8)
    before = curvature.direction(gradient)
    for change in (-y, torch.zeros_like(y)):
        assert not curvature.remember(s, change, 1e-8)
    torch.testing.assert_close(curvature.direction(gradient), before, rtol=1e-12, atol=0)


def test_what_was_forgotten_leaves_no_trace() -> None:
    fresh, used = Curvature(3), Curvature(3)
    for s, y in pairs(7):
        used.remember(s, y, 1e-8)
    used.clear()
    assert not used
    for s, y in pairs(2):
        assert fresh.remember(s, y, 1e-8)
        assert used.remember(s, y, 1e-8)
    gradient = torch.linspace(-1, 1, 50, dtype=torch.float64)
    assert torch.equal(fresh.direction(gradient), used.direction(gradient))


@pytest.mark.parametrize("count", [0, 2, 5])
def test_it_goes_on_from_a_saved_state_to_the_last_bit(count: int) -> None:
    whole, restored = Curvature(3), Curvature(3)
    known = pairs(8)
    for s, y in known[:count]:
        whole.remember(s.float(), y.float(), 1e-8)
    restored.load_state_dict(whole.state_dict())
    gradient = torch.linspace(-1, 1, 50)
    for s, y in known[count:]:
        for each in (whole, restored):
            each.remember(s.float(), y.float(), 1e-8)
        assert torch.equal(whole.direction(gradient), restored.direction(gradient))
