"""A run that has to end at a certain time, with the best picture that can be had by then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from impasto.estimate import Cost, fit_levels, measure_cost, open_ended, seconds_of_next
from impasto.memory import fit_memory
from impasto.optimize import Step
from impasto.steps import Steps
from impasto.transfer import Transfer

__all__ = ["Budget", "within"]


@dataclass(frozen=True)
class Budget:
    """``deadline`` is the time of ``time.monotonic()`` at which the last evaluation has to be done."""

    deadline: float

    def fitted(self, transfer: Transfer, cost: Cost) -> Transfer:
        """The run with as many evaluations as there is time for, and an open end at the full size."""
        if transfer.spec.strength == 0:  # nothing is computed
            return transfer
        levels = open_ended(fit_levels(transfer.levels, cost, self.deadline - time.monotonic()))
        # With more evaluations than before, the solver would remember more.
        return transfer.with_levels(fit_memory(levels, transfer.footprint, transfer.footprint.room))

    def steps(self, steps: Iterator[Step], transfer: Transfer, cost: Cost) -> Iterator[Step]:
        """Hand ``steps`` on until the last one, or until the next one would end too late; at least one."""
        before = time.monotonic()
        for step in steps:
            yield step
            before, took = time.monotonic(), time.monotonic() - before
            if before + seconds_of_next(transfer.levels, cost, step, took) > self.deadline:
                if isinstance(steps, Steps):
                    steps.close()  # and leave nothing switched on
                return


def within(transfer: Transfer, seconds: float | None) -> tuple[Transfer, Iterator[Step]]:
    """The run and its steps, which end within ``seconds`` from here on unless that is None."""
    if seconds is None:
        return transfer, Steps(transfer)
    budget = Budget(time.monotonic() + seconds)
    cost = measure_cost(transfer)
    fitted = budget.fitted(transfer, cost)
    return fitted, budget.steps(Steps(fitted), fitted, cost)
