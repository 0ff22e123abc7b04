"""What a run is going to take, and how much of it is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impasto.estimate import Cost
    from impasto.optimize import Step
    from impasto.pyramid import Level

__all__ = ["Plan", "announcement", "spell"]


@dataclass
class Plan:
    """The levels of a run, what they cost, when it has to end, if at a certain time, when it began, and the seconds
    estimated for what had been done ``before``."""

    levels: Sequence[Level]
    cost: Cost
    deadline: float | None = None
    began: float = field(default_factory=time.monotonic)
    before: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the finished picture in pixels."""
        height, width = self.levels[-1].size
        return width, height

    @property
    def seconds(self) -> float:
        """The estimate for the whole run, or the time that it was given."""
        if self.deadline is not None:
            return max(self.deadline - self.began, 0.0)
        return self.cost.of_levels(self.levels)

    @property
    def to_go(self) -> float:
        """The same without what had been done before."""
        return self.seconds if self.deadline is not None else max(self.seconds - self.before, 0.0)

    @property
    def evaluations(self) -> int:
        """Those of the whole run."""
        return sum(level.iterations for level in self.levels)

    def seconds_left(self, step: Step) -> float:
        """The estimate for what is left after ``step``, corrected by how long the rest really took.

        A tenth of the run counts as having gone to plan: the first evaluations are slower than the others.
        """
        if self.deadline is not None:
            return max(self.deadline - time.monotonic(), 0.0)
        done = self.seconds_until(step)
        prior = max((self.seconds - self.before) / 10, 1e-9)
        pace = (time.monotonic() - self.began + prior) / (done - self.before + prior)
        return pace * max(self.seconds - done, 0.0)

    def seconds_until(self, step: Step) -> float:
        """The estimate for all until ``step``."""
        before = sum(self.cost.of_level(level) for level in self.levels[: step.level])
        level = self.levels[step.level]
        return before + self.cost.of_level(level) * step.index / level.iterations


def announcement(plan: Plan) -> str:
    """What is said before a run starts."""
    width, height = plan.size
    count = len({level.size for level in plan.levels})
    sizes = "1 size" if count == 1 else f"{count} sizes"
    return f"{width} x {height} pixels, {sizes}, about {spell(plan.to_go)}"


def spell(seconds: float) -> str:
    """Say a time as people do: 40 s, 3 min, 1 h 20 min."""
    if seconds < 95:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(hours / 24)} days"
    return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
