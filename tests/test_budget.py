from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import impasto
from impasto import allocator, budget
from impasto.budget import Budget, within
from impasto.errors import InputError, OptionError
from impasto.estimate import MOST_EVALUATIONS, Cost
from impasto.footprint import LEEWAY
from impasto.networks import Network
from impasto.prepare import prepare
from impasto.spec import RunOptions, StyleSpec
from impasto.steps import Steps
from impasto.transfer import Transfer

COST = Cost({"tiny": 1.0}, {"tiny": 0.0})


@pytest.fixture
def transfer(installed: Network, photo: Tensor, painting: Tensor) -> Transfer:
    return prepare(photo, painting, StyleSpec(size="48"), RunOptions(precision="fp32"))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that is put forward by hand."""
    seconds = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    return seconds


def test_a_run_ends_before_the_evaluation_that_would_be_late(transfer: Transfer, now: list[float]) -> None:
    budget = Budget(now[0] + 12.5)
    fitted = budget.fitted(transfer, COST)
    assert fitted.levels[-1].iterations == MOST_EVALUATIONS
    done, before = 0, list(allocator._uses)
    for _ in budget.steps(Steps(fitted), fitted, COST):
        done += 1
        now[0] += 1.0
    assert done == 12
    assert allocator._uses == before


def test_more_evaluations_do_not_take_more_memory_than_there_is(
    installed: Network, photo: Tensor, painting: Tensor, now: list[float]
) -> None:
    spec = StyleSpec(size="48", num_iterations=4, history=20)
    free = prepare(photo, painting, spec, RunOptions(precision="fp32", memory="64G"))
    limit = int(1.001 * LEEWAY * free.footprint.of_run(free.levels))
    transfer = prepare(photo, painting, spec, RunOptions(precision="fp32", memory=str(limit)))
    open_end = replace(transfer.levels[-1], iterations=MOST_EVALUATIONS)
    assert not transfer.footprint.fits(open_end, limit)
    fitted = Budget(now[0] + 1000).fitted(transfer, COST)
    assert fitted.levels[-1].iterations == MOST_EVALUATIONS
    assert all(fitted.footprint.fits(level, limit) for level in fitted.levels)


def test_there_is_a_picture_however_short_the_time(transfer: Transfer, now: list[float]) -> None:
    fitted = Budget(now[0] - 5).fitted(transfer, COST)
    steps = Budget(now[0] - 5).steps(Steps(fitted), fitted, COST)
    assert len(list(steps)) == 1


def test_without_a_time_the_plan_is_followed(transfer: Transfer) -> None:
    same, steps = within(transfer, None)
    assert same is transfer
    assert len(list(steps)) == sum(level.iterations for level in transfer.levels)


def test_the_library_takes_a_time(
    installed: Network, photo: Tensor, painting: Tensor, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(transfer: Transfer) -> Cost:
        return COST

    monkeypatch.setattr(budget, "measure_cost", measure)
    done = 0
    for _ in impasto.iterate(photo, painting, size=48, precision="fp32", time="9s"):
        done += 1
        now[0] += 1.0
    assert done == 9


@pytest.mark.parametrize("quality", [0, 101, 500])
def test_a_quality_that_is_none_is_refused(quality: int, transfer: Transfer, tmp_path: Path) -> None:
    result = transfer.result([next(Steps(transfer))])
    with pytest.raises(OptionError, match="quality"):
        result.save(tmp_path / "a.jpg", quality=quality)
    assert list(tmp_path.glob("a*")) == []


@pytest.mark.parametrize("pictures", [(None, 1), (1, None)])
def test_no_picture_is_refused(pictures: tuple[Any, Any], installed: Network, photo: Tensor) -> None:
    content, style = (photo if picture else None for picture in pictures)
    with pytest.raises(InputError, match="NoneType"):
        impasto.stylize(content, style, size=48)  # type: ignore[arg-type]


def test_a_start_may_be_a_path(installed: Network, photo: Tensor, painting: Tensor, tmp_path: Path) -> None:
    options: dict[str, Any] = {"size": 48, "num_iterations": 1, "coarse_iterations": ()}
    path = impasto.stylize(photo, painting, **options).save(tmp_path / "start.png")
    assert impasto.stylize(photo, painting, init=path, **options).spec.init == "start.png"


@pytest.mark.parametrize("color", ["content", "match"])
def test_colors_are_changed_at_the_size_of_the_result(
    color: str, installed: Network, photo: Tensor, painting: Tensor
) -> None:
    transfer = prepare(photo, painting, StyleSpec(size="32", color=color), RunOptions())
    assert transfer.content.size == transfer.size == transfer.photo.size
    assert transfer.style.size == transfer.levels[-1].style_size
