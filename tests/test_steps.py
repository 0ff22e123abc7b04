"""A run that was broken off at any step and goes on is the run that was not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.device import Machine
from impasto.errors import ImpastoError
from impasto.features import Extractor
from impasto.image.picture import Picture
from impasto.objective import Evaluation, Objective
from impasto.optimize import Step
from impasto.pyramid import Level
from impasto.solvers import LBFGS
from impasto.steps import Steps
from impasto.transfer import Transfer

MakeTransfer = Callable[..., Transfer]


def with_margin(transfer: Transfer) -> Transfer:
    first, *others = transfer.levels
    return transfer.with_levels([replace(first, margin=8), *others])


def assert_same(ours: list[Step], theirs: list[Step]) -> None:
    assert [(step.level, step.index) for step in ours] == [(step.level, step.index) for step in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert one.terms == other.terms


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("taken_at", [1, 2, 3, 4, 7, 9, 11, 14, 15])
def test_a_run_goes_on_from_its_state_to_the_last_bit(
    taken_at: int, optimizer: str, make_transfer: MakeTransfer
) -> None:
    transfer = with_margin(make_transfer(optimizer=optimizer))
    whole = list(Steps(transfer))
    steps = Steps(transfer)
    for _ in range(taken_at):
        next(steps)
        steps.state  # noqa: B018 - to take it must change nothing
    rest = list(Steps(transfer, steps.state))
    assert_same(rest, whole[taken_at:])


def test_nobody_sees_the_margin_and_the_next_size_starts_without_it(make_transfer: MakeTransfer) -> None:
    transfer = with_margin(make_transfer())
    steps = list(Steps(transfer))
    *_, coarse = (step for step in steps if step.level == 0)
    fine = next(step for step in steps if step.level == 1)
    (height, width), margin = transfer.levels[0].size, transfer.levels[0].margin
    assert margin > 0
    assert coarse.pixels.shape == (1, 3, height + 2 * margin, width + 2 * margin)
    assert coarse.size == (height, width)
    middle = coarse.pixels[:, :, margin : margin + height, margin : margin + width].clamp(0, 1)
    assert torch.equal(coarse.image, middle)
    assert torch.equal(fine.pixels, transfer.starting_point(transfer.levels[1], middle))


def test_each_level_is_held_to_its_own_bound(make_transfer: MakeTransfer, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[bool, float]] = []

    def keeping(keep: bool, most: float) -> AbstractContextManager[None]:
        held.append((keep, most))
        return nullcontext()

    monkeypatch.setattr("impasto.steps.keeping_freed_memory", keeping)
    transfer = make_transfer()
    for _ in Steps(transfer):
        pass
    footprint = transfer.footprint
    keeps = [footprint.keeps_freed(level) for level in transfer.levels]
    assert held == [
        (keep, footprint.bound(level, keeps_freed=keep)) for keep, level in zip(keeps, transfer.levels, strict=True)
    ]


def test_each_level_resizes_the_photo_once_and_lets_go_of_the_solver_before(
    make_transfer: MakeTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = with_margin(make_transfer())
    resized, start, sizes, solvers = Picture.resized, Transfer.starting_point, [], []

    def counted(self: Picture, size: tuple[int, int]) -> Picture:
        if self is transfer.content:
            sizes.append(size)
        return resized(self, size)

    def noticed(self: Transfer, *arguments: Any) -> Tensor:
        solvers.append(steps._solver)
        return start(self, *arguments)

    monkeypatch.setattr(Picture, "resized", counted)
    monkeypatch.setattr(Transfer, "starting_point", noticed)
    steps = Steps(transfer)
    assert len(list(steps)) == sum(level.iterations for level in transfer.levels)
    assert sizes == [level.size for level in transfer.levels]
    assert solvers == [None] * len(transfer.levels)


def test_the_best_step_before_the_break_is_not_forgotten(make_transfer: MakeTransfer) -> None:
    transfer = make_transfer()
    steps = Steps(transfer)
    for _ in range(7):
        next(steps)
    state = steps.state
    better = replace(state.best, evaluation=Evaluation(torch.tensor(-1.0), torch.zeros(0)))
    *_, last = (step for step in Steps(transfer, replace(state, best=better)) if step.level == 1)
    assert last.loss == -1


def test_the_best_of_a_part_with_a_margin_is_not_forgotten_either(make_transfer: MakeTransfer) -> None:
    transfer = with_margin(make_transfer(optimizer="adam", learning_rate=0.5))  # uphill from the first step on
    steps = Steps(transfer)
    for _ in range(2):
        next(steps)
    state = steps.state
    best = state.best
    assert best.index == 1
    *_, last = (step for step in Steps(transfer, state) if step.level == 0)
    assert torch.equal(last.pixels, best.pixels)
    assert last.margin == transfer.levels[0].margin


def test_there_is_no_state_before_the_first_step(make_transfer: MakeTransfer) -> None:
    with pytest.raises(ValueError, match="first step"):
        Steps(make_transfer()).state  # noqa: B018


def failing(error: Exception, at: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the second level fail from evaluation ``at`` on, unless in tiles of 64 pixels; return what was tried."""
    tried, seen = [], 0
    look, evaluate = Transfer.objective, Objective.__call__

    def objective(self: Transfer, level: Level, *arguments: Any) -> Objective:
        tried.append(level.tile)
        return look(self, level, *arguments)

    def evaluate_or_fail(self: Objective, pixels: Tensor) -> Evaluation:
        nonlocal seen
        if tried == [0, 0]:
            seen += 1
            if seen >= at:
                raise error
        return evaluate(self, pixels)

    monkeypatch.setattr(Transfer, "objective", objective)
    monkeypatch.setattr(Objective, "__call__", evaluate_or_fail)
    return tried


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        RuntimeError("input tensor must fit into 32-bit index math"),
    ],
)
@pytest.mark.parametrize("evaluation", [1, 3])
def test_where_memory_does_not_suffice_it_goes_on_in_smaller_tiles(
    evaluation: int,
    error: Exception,
    make_transfer: MakeTransfer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("impasto.memory.SMALLEST_TILE", 16)
    transfer = make_transfer()
    first, second, third = transfer.levels
    transfer = transfer.with_levels([first, replace(second, margin=8), third])
    tried = failing(error, evaluation, monkeypatch)
    with caplog.at_level(logging.WARNING, "impasto"):
        steps = list(Steps(transfer))
    assert tried == [0, 0, 72, 32]
    expected = [(place, index + 1) for place, level in enumerate(transfer.levels) for index in range(level.iterations)]
    assert [(step.level, step.index) for step in steps] == expected
    assert [step.tile for step in steps if step.level == 1] == [0] * (evaluation - 1) + [72] * (6 - evaluation)
    assert "tiles of 72 pixels" in caplog.text
    result = transfer.result(steps)
    assert result.record is not None
    levels = [(level.size, level.tile, level.iterations) for level in result.record.levels]
    assert levels == [
        (first.size[::-1], 0, first.iterations),
        *([(second.size[::-1], 0, evaluation - 1)] if evaluation > 1 else []),
        (second.size[::-1], 72, second.iterations - evaluation + 1),
        (third.size[::-1], 32, third.iterations),
    ]
    monkeypatch.undo()
    again = list(Steps(transfer.with_levels(result.record.plan())))
    assert torch.equal(again[-1].pixels, steps[-1].pixels)


@pytest.mark.parametrize("taken_at", [7, 9])
def test_a_state_is_used_up(taken_at: int, make_transfer: MakeTransfer) -> None:
    steps = Steps(make_transfer())
    for _ in range(taken_at):
        next(steps)
    state = steps.state
    next(Steps(make_transfer(), state))
    assert (state.step.level, state.step.index) == (1, taken_at - 4)
    assert [state.step.pixels.numel(), state.best.pixels.numel(), len(state.solver)] == [0, 0, 0]


def test_where_memory_does_not_suffice_for_going_on_it_goes_on_in_smaller_tiles(
    make_transfer: MakeTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.memory.SMALLEST_TILE", 16)
    transfer = make_transfer()
    steps = Steps(transfer)
    for _ in range(7):
        next(steps)
    state, step = steps.state, LBFGS.step

    def step_or_fail(self: LBFGS, *arguments: Tensor) -> Tensor:
        monkeypatch.setattr(LBFGS, "step", step)
        raise MemoryError

    monkeypatch.setattr(LBFGS, "step", step_or_fail)
    rest = list(Steps(transfer, state))
    assert [step.index for step in rest if step.level == 1] == [4, 5]
    assert all(step.tile > 0 for step in rest if step.level == 1)


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    make_transfer: MakeTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = make_transfer()
    failing(RuntimeError("shapes differ"), 2, monkeypatch)
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(Steps(transfer))


def test_without_memory_for_the_smallest_tiles_it_says_what_to_do(
    make_transfer: MakeTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = make_transfer()
    failing(MemoryError(), 2, monkeypatch)  # the smallest tiles are of 256 pixels
    with pytest.raises(ImpastoError, match="smaller --size"):
        list(Steps(transfer))


def test_the_memory_of_the_solver_is_that_of_the_level(make_transfer: MakeTransfer) -> None:
    steps = Steps(make_transfer())
    kept: dict[int, tuple[int, torch.dtype]] = {}
    for step in steps:
        rows = steps.state.solver["pairs"]["rows"]
        if rows is not None:
            kept[step.level] = max(kept.get(step.level, (0,))[0], len(rows) // 2), rows.dtype
    assert kept == {0: (2, torch.float32), 1: (3, torch.float32), 2: (2, torch.bfloat16)}


def test_after_a_lack_of_memory_it_goes_on_in_the_tiles_it_had(
    make_transfer: MakeTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.memory.SMALLEST_TILE", 16)
    with monkeypatch.context() as patch:
        failing(MemoryError(), 2, patch)
        whole = list(Steps(make_transfer()))
    with monkeypatch.context() as patch:
        failing(MemoryError(), 2, patch)
        steps = Steps(make_transfer())
        for _ in range(7):
            next(steps)
        state = steps.state
    rest = list(Steps(make_transfer(), state))
    assert [step.tile for step in rest if step.level == 1] == [64, 64]
    assert_same(rest, whole[7:])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_state_from_a_file_goes_on_on_a_gpu(make_transfer: MakeTransfer) -> None:
    transfer = make_transfer()
    machine = Machine(torch.device("cuda"), torch.float32)
    extractors = {
        "tiny": Extractor(transfer.extractors["tiny"].network, transfer.extractors["tiny"].weights, device="cuda")
    }
    steps = Steps(replace(transfer, machine=machine, extractors=extractors))
    for _ in range(6):
        next(steps)
    state = steps.state.use_up(torch.device("cpu"))
    assert len(list(Steps(replace(transfer, machine=machine, extractors=extractors), state))) == 9


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="there is no Apple GPU")
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_run_on_an_apple_gpu_is_that_on_the_cpu(optimizer: str, make_transfer: MakeTransfer) -> None:
    transfer = make_transfer(optimizer=optimizer)
    network, weights = transfer.extractors["tiny"].network, transfer.extractors["tiny"].weights
    there = replace(
        transfer,
        machine=Machine(torch.device("mps"), torch.float32),
        extractors={"tiny": Extractor(network, weights, device="mps")},
    )
    for ours, theirs in zip(Steps(there), Steps(transfer), strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=0.01)
