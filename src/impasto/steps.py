"""A run that goes on: its evaluations one at a time, and where it stands between two of them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from impasto.allocator import keeping_freed_memory
from impasto.device import using_threads
from impasto.errors import InputError, is_out_of_memory
from impasto.image.resize import without_margin
from impasto.memory import in_smaller_tiles
from impasto.objective import Evaluate, bounded
from impasto.optimize import Step, optimize
from impasto.pyramid import Level
from impasto.replay import replayed
from impasto.solvers import Solver
from impasto.transfer import Transfer

__all__ = ["State", "Steps"]

log = logging.getLogger("impasto")


@dataclass
class State:
    """Where a run stands after a ``step``, of which the ``solver`` has not been told; ``best`` is that of its level.

    Tensors in ``solver`` are those that it goes on with.
    """

    step: Step
    best: Step
    solver: Mapping[str, Any]

    def use_up(self, device: torch.device) -> State:
        """The same on ``device``; pictures and solver are not held here any more: there is no room for them twice."""
        taken = State(_moved(self.step, device), _moved(self.best, device), _placed(self.solver, device))
        self.step = self.best = replace(
            self.step, pixels=self.step.pixels.new_empty(0), evaluation=self.step.evaluation.without_gradient()
        )
        self.solver = {}
        return taken


def _moved(step: Step, device: torch.device) -> Step:
    if step.pixels.device == device:
        return step
    evaluation = step.evaluation
    moved = replace(evaluation, loss=evaluation.loss.to(device), gradient=evaluation.gradient.to(device))
    return replace(step, pixels=step.pixels.to(device), evaluation=moved)


def _placed(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return {key: _placed(item, device) for key, item in value.items()} if isinstance(value, Mapping) else value


class Steps(Iterator[Step]):
    """Optimize coarse to fine, yielding every evaluation; each size starts from the best of the one before
    (see ``Transfer.starting_point``).

    With a ``state``, only the evaluations that were left when it was taken.
    """

    def __init__(self, transfer: Transfer, state: State | None = None) -> None:
        self._transfer = transfer
        self._solver: Solver | None = None
        self._latest: tuple[Step, Step] | None = None
        self._steps = _with_threads(self._all(state), transfer.machine.threads)

    def __next__(self) -> Step:
        step = next(self._steps)
        best = step.better_than(self._latest[1] if self._latest else None)
        self._latest = step, best.without_gradient()
        return step

    def close(self) -> None:
        """End it here; settings of torch are as they were."""
        self._steps.close()

    @property
    def state(self) -> State:
        """What is needed to go on later. Raises ValueError before the first step."""
        if self._latest is None:
            raise ValueError("there is no state before the first step")
        return State(*self._latest, self._solver.state_dict() if self._solver else {})

    def _all(self, state: State | None) -> Iterator[Step]:
        transfer = self._transfer
        if transfer.spec.strength == 0:
            yield transfer.unchanged()
            return
        first = 0
        previous = None
        if state is not None:
            first = state.step.level
            if state.step.index < state.step.of:
                for step in self._level(first, None, state):
                    yield step
                    previous = step.within_margin
            else:
                previous = state.use_up(state.step.pixels.device).step.within_margin
            first += 1
        for place in range(first, len(transfer.levels)):
            for step in self._level(place, None if previous is None else previous.clamp(0, 1)):
                yield step
                previous = step.within_margin  # of the last step, which is the best one

    def _level(self, place: int, previous: Tensor | None, state: State | None = None) -> Iterator[Step]:
        """The steps of a level; where memory does not suffice after all, those that are left in smaller tiles."""
        transfer, level = self._transfer, self._transfer.levels[place]
        content = None
        if state is None:
            self._solver = None  # its memory is not needed any more
            content = transfer.content.resized(level.size)
            pixels, done, best = transfer.starting_point(level, previous, content), 0, None
            log.debug("%s", level)
        else:
            level = replace(level, tile=state.step.tile)  # it may have become smaller on the way
            pixels, done, best = state.step.pixels, state.step.index, _for_optimize(state.best)
        self._solver = transfer.solver(level)
        del previous
        keeps = transfer.footprint.keeps_freed(level)
        evaluate: Evaluate | None
        while True:
            try:
                with keeping_freed_memory(keeps, transfer.footprint.bound(level, keeps_freed=keeps)):
                    if state is not None:
                        (pixels, best), state = self._going_on(state, level, self._solver), None
                    evaluate = replayed(bounded(transfer.objective(level, content)), pixels, in_tiles=level.tile > 0)
                    content = None
                    for step in optimize(pixels, evaluate, self._solver, level.iterations, done=done, best=best):
                        pixels, done, best = step.pixels, step.index, step.better_than(best).without_gradient()
                        yield replace(step, finish=transfer.finish, **_about(place, level))
                        del step
                    return
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # From here on nothing holds what was in memory when it failed.
            self._solver = evaluate = state = content = None
            before, level, keeps = level, in_smaller_tiles(level, transfer.machine.device), False
            # As if another level began, which is what the record calls it.
            if best is not None:
                picture = without_margin(best.pixels, level.margin).clamp(0, 1)
                pixels, best = transfer.starting_point(level, picture), None
            pixels = pixels.to(transfer.home(level))
            how = f"tiles of {level.tile} pixels" if level.vectors == before.vectors else "main memory"
            log.warning("There was not enough memory; going on in %s.", how)
            self._solver = transfer.solver(level)

    def _going_on(self, state: State, level: Level, solver: Solver) -> tuple[Tensor, Step]:
        """Where to look next, and the best step so far; ``state`` is used up."""
        taken = state.use_up(self._transfer.home(level))
        self._latest = taken.step, taken.best
        return _gone_on(solver, taken), _for_optimize(taken.best)


def _for_optimize(best: Step) -> Step:
    """The same for who knows of no levels."""
    return replace(best, level=0, tile=0, margin=0)


def _about(place: int, level: Level) -> dict[str, Any]:
    """What a step of ``level`` says of it."""
    return {"level": place, "network": level.network, "tile": level.tile, "margin": level.margin}


def _gone_on(solver: Solver, state: State) -> Tensor:
    """Where to look next; the state of the solver is used up."""
    evaluation = state.step.evaluation
    try:
        solver.load_state_dict(dict(state.solver))
        if isinstance(state.solver, dict):
            state.solver.clear()
        return solver.step(state.step.pixels, evaluation.loss, evaluation.gradient)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"The state of the solver is damaged ({type(error).__name__}): the run cannot go on."
        ) from None


def _with_threads(steps: Iterator[Step], threads: int | None) -> Generator[Step, None, None]:
    """Compute each step with so many threads; whoever consumes the steps finds the setting as it was."""
    while True:
        with using_threads(threads):
            step = next(steps, None)
        if step is None:
            return
        yield step
