from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.objective import Evaluate, Evaluation, Objective, bounded
from impasto.optimize import Step, optimize
from impasto.solvers import LBFGS, Adam, Solver
from impasto.spec import StyleSpec
from impasto.targets import style_transfer_objective

Picture = Callable[..., Tensor]


def distance_to(target: float) -> Evaluate:
    def evaluate(pixels: Tensor) -> Evaluation:
        offset = pixels - target
        return Evaluation(offset.square().mean(), 2 * offset / offset.numel())

    return evaluate


def step_of(loss: float, side: int = 4, index: int = 1) -> Step:
    return Step(torch.zeros(1, 3, side, side), Evaluation(torch.tensor(loss), torch.zeros(1)), index, 9)


class Counting:
    """A solver that goes nowhere, and counts."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, point: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        self.steps += 1
        return point

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@pytest.fixture
def objective(extractor: Any, picture: Picture) -> Objective:
    return style_transfer_objective(extractor, picture(32, 24, seed=1), picture(24, 32, seed=2), StyleSpec())


@pytest.mark.parametrize("iterations", [0, 1, 5])
def test_there_is_a_step_for_each_evaluation_and_nothing_is_computed_in_vain(iterations: int) -> None:
    solver, seen = Counting(), []

    def evaluate(pixels: Tensor) -> Evaluation:
        seen.append(pixels)
        return distance_to(0)(pixels)

    steps = list(optimize(torch.ones(1, 3, 2, 2), evaluate, solver, iterations))
    assert [(step.index, step.of) for step in steps] == [(i + 1, iterations) for i in range(iterations)]
    assert len(seen) == iterations
    assert solver.steps == max(0, iterations - 1)


def test_the_first_step_shows_the_start() -> None:
    start = torch.full((1, 3, 2, 2), 0.7)
    first = next(optimize(start, distance_to(0), LBFGS(), 10))
    assert torch.equal(first.pixels, start)
    assert first.loss == pytest.approx(0.49)


def test_each_evaluation_belongs_to_the_pixels_of_its_step(objective: Objective, picture: Picture) -> None:
    for step in optimize(picture(32, 24), objective, LBFGS(), 6):
        assert torch.equal(objective(step.pixels).loss, step.evaluation.loss)
        assert step.loss == pytest.approx(sum(step.terms.values()))


@pytest.mark.parametrize("solver", [LBFGS(), Adam(learning_rate=0.02)])
def test_the_loss_falls(solver: Solver, objective: Objective, picture: Picture) -> None:
    losses = [step.loss for step in optimize(picture(32, 24), bounded(objective), solver, 40)]
    assert min(losses) < 0.5 * losses[0]


def test_steps_that_were_kept_do_not_change_later(objective: Objective, picture: Picture) -> None:
    steps, copies = [], []
    for step in optimize(picture(32, 24), objective, LBFGS(), 6):
        steps.append(step)
        copies.append(step.pixels.clone())
    assert all(torch.equal(step.pixels, copy) for step, copy in zip(steps, copies, strict=True))


def test_an_exception_in_the_consumer_loses_nothing(objective: Objective, picture: Picture) -> None:
    whole = list(optimize(picture(32, 24), objective, LBFGS(), 8))
    solver, seen = LBFGS(), []

    def consume() -> None:
        for step in optimize(picture(32, 24), objective, solver, 8):
            seen.append(step)
            if step.index == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    last = seen[-1]
    pixels = solver.step(last.pixels, last.evaluation.loss, last.evaluation.gradient)
    rest = list(optimize(pixels, objective, solver, 4))
    assert all(torch.equal(one.pixels, other.pixels) for one, other in zip(whole[4:], rest, strict=True))


def test_two_runs_taken_in_turns_are_those_taken_alone(objective: Objective, picture: Picture) -> None:
    starts = [picture(32, 24, seed=seed) for seed in (3, 4)]
    alone = [[step.pixels for step in optimize(start, objective, LBFGS(), 6)] for start in starts]
    in_turns = zip(*(optimize(start, objective, LBFGS(), 6) for start in starts), strict=True)
    for index, steps in enumerate(in_turns):
        assert all(torch.equal(step.pixels, path[index]) for step, path in zip(steps, alone, strict=True))


def test_the_image_of_a_step_lies_in_range() -> None:
    pixels = torch.tensor([-0.5, 0.25, 1.5]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    step = Step(pixels, distance_to(0)(pixels), 1, 1)
    assert step.image[0, 0, 0].tolist() == [0, 0.25, 1]
    assert step.size == (1, 3)


def test_the_image_at_a_smaller_size_is_finished_at_that_size() -> None:
    step = replace(step_of(1.0, side=9), margin=1, finish=lambda image: image + 0.1 * image.shape[-1])
    assert step.image.tolist() == torch.full((1, 3, 7, 7), 0.7).tolist()
    assert step.image_at((2, 3)).tolist() == torch.full((1, 3, 2, 3), 0.3).tolist()


def test_the_better_step_has_the_lower_loss() -> None:
    low, high = step_of(1.0), step_of(2.0)
    assert low.better_than(high) is low
    assert high.better_than(low) is low
    assert high.better_than(None) is high


def test_a_step_at_a_new_size_is_better_whatever_its_loss() -> None:
    assert step_of(5.0, side=8).better_than(step_of(1.0, side=4)).size == (8, 8)


def test_a_loss_of_nan_is_never_better() -> None:
    good, bad = step_of(1.0), step_of(math.nan)
    assert bad.better_than(good) is good
    assert good.better_than(bad) is good


def test_the_last_step_is_the_best_one_seen() -> None:
    class Wanderer:
        """Goes 3, 1, 2 whatever it is told."""

        def __init__(self) -> None:
            self.points = iter((1.0, 2.0))

        def step(self, point: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
            return torch.full_like(point, next(self.points))

    start = torch.full((1, 3, 2, 2), 3.0)
    steps = list(optimize(start, lambda x: Evaluation(x.sum(), torch.ones_like(x)), Wanderer(), 3))  # type: ignore[arg-type]
    assert [step.index for step in steps] == [1, 2, 3]
    assert [step.loss for step in steps] == [36, 12, 12]
