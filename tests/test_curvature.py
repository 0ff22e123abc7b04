from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.curvature import CHUNK, Curvature, Difference

Pairs = list[tuple[Tensor, Tensor]]


def pairs(count: int, size: int = 50) -> Pairs:
    """Steps of a minimization of a quadratic, and how its gradient changes."""
    generator = torch.Generator().manual_seed(3)
    factor = torch.randn(size, size, generator=generator, dtype=torch.float64)
    matrix = factor @ factor.T / size + 0.1 * torch.eye(size, dtype=torch.float64)
    steps = [torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [(step, matrix @ step) for step in steps]


def remember(curvature: Curvature, step: Tensor, change: Tensor, unit: float = 1.0) -> bool:
    """Keep the pair of a step and the change of the gradient over it."""
    zero = torch.zeros_like(step)
    pair = Difference(step, zero), Difference(change, zero, unit)
    seen = curvature.look(*pair, zero)
    return curvature.remember(*pair, seen, 1e-8) is not seen


def direction(curvature: Curvature, gradient: Tensor, unit: float = 1.0) -> Tensor:
    """Where a gradient leads to that comes after the last pair."""
    nothing = Difference(gradient, gradient)
    return curvature.direction(gradient, unit, curvature.look(nothing, nothing, gradient, unit))


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
    assert all(remember(curvature, s, y) for s, y in known)
    assert len(curvature) == min(count, history)
    gradient = torch.randn(50, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected = textbook(known[-history:], gradient)
    torch.testing.assert_close(direction(curvature, gradient), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(direction(curvature, gradient.view(5, 10)), expected.view(5, 10), rtol=1e-9, atol=1e-9)


def test_float32_is_precise_enough() -> None:
    curvature, known = Curvature(10), pairs(10)
    for s, y in known:
        remember(curvature, s.float(), y.float())
    gradient = torch.randn(50, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected = textbook(known, gradient)
    assert (direction(curvature, gradient.float()) - expected).norm() < 1e-5 * expected.norm()


def test_on_an_ill_conditioned_valley_it_stays_near_the_textbook() -> None:
    """Steps that follow each other down a quadratic of condition 10,000 are nearly parallel."""
    scales = torch.logspace(-4, 0, 5000, dtype=torch.float64)
    curvature, known = Curvature(100), []
    point = torch.ones(5000)
    gradient = scales.float() * point
    for _ in range(120):
        step = direction(curvature, gradient) if curvature else -0.1 * gradient
        point, before = point + step, gradient
        gradient = scales.float() * point
        if remember(curvature, step, gradient - before):
            known.append((step.double(), (gradient - before).double()))
    expected = textbook(known[-100:], gradient.double())
    assert (direction(curvature, gradient) - expected).norm() < 1e-3 * expected.norm()


@pytest.mark.parametrize(("before", "after"), [(5, 3), (3, 5)])
def test_a_state_goes_into_another_memory(before: int, after: int) -> None:
    gradient = torch.linspace(-1, 1, 50, dtype=torch.float64)
    whole, other, known = Curvature(before), Curvature(after), pairs(7)
    for s, y in known:
        remember(whole, s, y)
    remember(other, *known[0])
    other.load_state_dict(whole.state_dict())
    count = min(before, after)
    torch.testing.assert_close(direction(other, gradient), textbook(known[-count:], gradient), rtol=1e-9, atol=1e-9)
    other.load_state_dict(Curvature(2).state_dict())
    assert len(other) == 0


def test_the_curvature_that_was_tested_is_the_one_that_counts() -> None:
    """Another order of summation could make a nearly flat pair one without curvature."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        s, y = torch.randn(2, 20_000, generator=generator)
        curvature = Curvature(3)
        zero = torch.zeros_like(s)
        pair = Difference(s, zero), Difference(y, zero)
        seen = curvature.look(*pair, s)
        curvature.remember(*pair, seen, 1e-8)
        if curvature:
            products = curvature.state_dict()["products"]
            assert products[1][0] == products[0][1] == float(seen.own[0, 1])


def long_pairs(count: int) -> Pairs:
    """Vectors of more than one chunk."""
    generator = torch.Generator().manual_seed(3)
    steps = [torch.randn(CHUNK + 1000, generator=generator) for _ in range(count)]
    scales = torch.linspace(0.1, 2, CHUNK + 1000)
    return [(step, scales * step) for step in steps]


def test_long_vectors_are_gone_through_in_parts() -> None:
    curvature, known = Curvature(3), long_pairs(5)
    assert all(remember(curvature, s, y) for s, y in known)
    gradient = torch.linspace(-1, 1, CHUNK + 1000)
    expected = textbook([(s.double(), y.double()) for s, y in known[-3:]], gradient.double())
    assert (direction(curvature, gradient) - expected).norm() < 1e-5 * expected.norm()


def test_rows_in_bfloat16_are_pairs_of_rounded_vectors() -> None:
    """Half the memory: the direction is exactly that of the rounded pairs."""
    curvature, known = Curvature(3, torch.bfloat16), long_pairs(4)
    for s, y in known:
        remember(curvature, s, y)
    assert curvature.state_dict()["rows"].dtype == torch.bfloat16
    gradient = torch.linspace(-1, 1, CHUNK + 1000)
    rounded = [(s.bfloat16().double(), y.bfloat16().double()) for s, y in known[-3:]]
    expected = textbook(rounded, gradient.double())
    assert (direction(curvature, gradient) - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_a_unit_keeps_products_from_leaving_the_range(unit: float) -> None:
    plain, scaled = Curvature(3), Curvature(3)
    for s, y in pairs(4):
        remember(plain, s, y)
        assert remember(scaled, s.float(), (y * unit).float(), unit)
    gradient = torch.linspace(-1, 1, 50, dtype=torch.float64)
    ours, theirs = direction(scaled, (gradient * unit).float(), unit), direction(plain, gradient)
    assert (ours - theirs).norm() < 1e-5 * theirs.norm()


def test_a_pair_without_curvature_is_not_kept_and_takes_nobodys_place() -> None:
    curvature = Curvature(2)
    (s, y), (other, its), (gradient, _) = pairs(3)
    remember(curvature, s, y)
    remember(curvature, other, its)
    before = direction(curvature, gradient)
    for change in (-y, torch.zeros_like(y)):
        assert not remember(curvature, s, change)
    torch.testing.assert_close(direction(curvature, gradient), before, rtol=1e-12, atol=0)


def test_what_was_forgotten_leaves_no_trace() -> None:
    fresh, used = Curvature(3), Curvature(3)
    for s, y in pairs(7):
        remember(used, s, y)
    used.clear()
    assert not used
    for s, y in pairs(2):
        assert remember(fresh, s, y)
        assert remember(used, s, y)
    gradient = torch.linspace(-1, 1, 50, dtype=torch.float64)
    assert torch.equal(direction(fresh, gradient), direction(used, gradient))


@pytest.mark.parametrize("count", [0, 2, 5])
def test_it_goes_on_from_a_saved_state_to_the_last_bit(count: int) -> None:
    whole, restored = Curvature(3), Curvature(3)
    known = pairs(8)
    for s, y in known[:count]:
        remember(whole, s.float(), y.float())
    restored.load_state_dict(whole.state_dict())
    gradient = torch.linspace(-1, 1, 50)
    for s, y in known[count:]:
        for each in (whole, restored):
            remember(each, s.float(), y.float())
        assert torch.equal(direction(whole, gradient), direction(restored, gradient))


@pytest.mark.parametrize(("offset", "is_taken_over"), [(0, True), (1, False)])
def test_rows_are_taken_over_where_they_lie_as_usual(offset: int, is_taken_over: bool) -> None:
    """Elsewhere, as in a file, sums over them would differ in their last bits."""
    whole = Curvature(3)
    for step, change in pairs(3):
        remember(whole, step, change)
    state = whole.state_dict()
    memory = torch.empty(state["rows"].numel() + 8, dtype=torch.float64)
    rows = memory[offset : offset + state["rows"].numel()].view_as(state["rows"]).copy_(state["rows"])
    restored = Curvature(3)
    restored.load_state_dict({**state, "rows": rows})
    assert (restored.state_dict()["rows"].data_ptr() == rows.data_ptr()) == is_taken_over
    assert torch.equal(restored.state_dict()["rows"], rows)
