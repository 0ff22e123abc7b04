"""What the schedule is compared with, on functions and pictures small enough to follow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.schedule import WAYS, WINDOW, carried, table, until_slow
from impasto.objective import Evaluation
from impasto.optimize import Step
from impasto.presets import resolve_spec
from impasto.pyramid import Level
from impasto.solvers import LBFGS

Picture = Callable[..., Tensor]


def test_ways_have_options_that_exist() -> None:
    for way in WAYS.values():
        assert resolve_spec("standard", way.options)
        assert resolve_spec("standard", way.finest, way.coarser)


@pytest.mark.parametrize(("falls", "after"), [(0.5, WINDOW + 1), (0.01, WINDOW + 10)])
def test_it_ends_when_the_loss_hardly_falls_and_with_the_best(falls: float, after: int) -> None:
    losses = [100.0 - number for number in range(9)] + [90.0] + [91.0] * 100
    steps = [
        Step(torch.full((1, 3, 1, 1), loss), Evaluation(torch.tensor(loss), torch.zeros(())), index, 110)
        for index, loss in enumerate(losses, start=1)
    ]
    found = list(until_slow(steps, falls))
    assert len(found) == after
    assert found[-1].loss == min(losses)


def solver_of(scale: Tensor, size: tuple[int, int], steps: int) -> LBFGS:
    """One that has gone down a quadratic with the curvatures ``scale``."""
    solver, point = LBFGS(history=40), torch.full((1, 3, *size), 0.9)
    for _ in range(steps):
        point = solver.step(point, (scale * point.square()).sum() / 2, scale * point)
    return solver


@pytest.mark.parametrize("grows", [False, True])
def test_carried_curvature_points_as_well_as_learned_one(grows: bool) -> None:
    size = (4, 6)
    after = (8, 12) if grows else size
    scale = torch.linspace(1, 20, 3).view(1, 3, 1, 1).expand(1, 3, *size)
    larger = torch.linspace(1, 20, 3).view(1, 3, 1, 1).expand(1, 3, *after) * (1 / 4 if grows else 1)
    old, new = solver_of(scale, size, 8), LBFGS(history=40)
    carried(old, new, Level(size, size, 1), Level(after, after, 1))
    point = torch.full((1, 3, *after), 0.5)
    value = (larger * point.square()).sum() / 2
    ahead = new.step(point, value, larger * point)
    blind = LBFGS().step(point, value, larger * point)
    assert (larger * ahead.square()).sum() < 0.5 * (larger * blind.square()).sum()


def test_the_table_has_ratios_and_the_best_first() -> None:
    figures = {"loss": 2.0, "content_error": 1.0, "style_error": 1.0, "style_error_half": 1.0}
    figures |= {"style_error_quarter": 1.0, "sliced_wasserstein": 1.0}
    found = {"standard": {"pair": figures}, "better": {"pair": figures | {"loss": 1.0}}}
    lines = table(found).splitlines()
    assert lines[2].startswith("| better | 0.500 | 1.000")
    assert lines[3].startswith("| standard | 1.000")
