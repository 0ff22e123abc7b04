"""What is told while a run goes on: a bar for people, JSON lines for programs, or only a few lines.

Everything goes to stderr; stdout is for the path of the finished picture.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import typer

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from impasto.estimate import Cost
    from impasto.optimize import Step
    from impasto.pyramid import Level

__all__ = [
    "BarProgress",
    "JsonProgress",
    "LineProgress",
    "Plan",
    "Progress",
    "SilentProgress",
    "choose_progress",
    "spell",
]


@dataclass
class Plan:
    """The levels of a run, what they cost, and when it began."""

    levels: Sequence[Level]
    cost: Cost
    began: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the finished picture in pixels."""
        height, width = self.levels[-1].size
        return width, height

    @property
    def seconds(self) -> float:
        """The estimate for the whole run."""
        return self.cost.of_levels(self.levels)

    @property
    def evaluations(self) -> int:
        """Those of the whole run."""
        return sum(level.iterations for level in self.levels)

    def seconds_left(self, step: Step) -> float:
        """The estimate for what is left after ``step``, corrected by how long the rest really took.

        A tenth of the run counts as having gone to plan: the first evaluations are slower than the others.
        """
        done = 0.0
        for level in self.levels:
            if level.size == step.size:
                done += self.cost.of_level(level) * step.index / level.iterations
                break
            done += self.cost.of_level(level)
        prior = max(self.seconds / 10, 1e-9)
        pace = (time.monotonic() - self.began + prior) / (done + prior)
        return pace * max(self.seconds - done, 0.0)


class Progress(Protocol):
    """A consumer of a run's steps."""

    def begin(self, plan: Plan) -> None:
        """The run is about to start."""

    def show(self, step: Step, plan: Plan) -> None:
        """An evaluation was done."""

    def end(self) -> None:
        """No more steps will come; called at least once, also after errors."""

    def say(self, text: str) -> None:
        """Tell something worth knowing."""

    def saved(self, path: str, loss: float) -> None:
        """The picture is in its file."""


class SilentProgress:
    """For --quiet: nothing."""

    def begin(self, plan: Plan) -> None: ...
    def show(self, step: Step, plan: Plan) -> None: ...
    def end(self) -> None: ...
    def say(self, text: str) -> None: ...
    def saved(self, path: str, loss: float) -> None: ...


class LineProgress:
    """Where nobody looks at a terminal: a line at the start, and the path on stdout."""

    def begin(self, plan: Plan) -> None:
        typer.echo(_announcement(plan), err=True)

    def show(self, step: Step, plan: Plan) -> None: ...
    def end(self) -> None: ...

    def say(self, text: str) -> None:
        typer.echo(text, err=True)

    def saved(self, path: str, loss: float) -> None:
        typer.echo(path)


class JsonProgress:
    """One JSON object a line on stderr, and the path on stdout."""

    def begin(self, plan: Plan) -> None:
        sizes = [[level.size[1], level.size[0]] for level in plan.levels]
        self._write(estimated_seconds=round(plan.seconds, 1), size=plan.size, sizes=sizes, evaluations=plan.evaluations)

    def show(self, step: Step, plan: Plan) -> None:
        from impasto.result import describe

        self._write(**describe(step), seconds_left=round(plan.seconds_left(step), 1))

    def end(self) -> None: ...

    def say(self, text: str) -> None:
        self._write(note=text)

    def saved(self, path: str, loss: float) -> None:
        self._write(saved=path, loss=loss)
        typer.echo(path)

    def _write(self, **values: Any) -> None:
        typer.echo(json.dumps(_finite(values)), err=True)


class BarProgress:
    """A bar with size, step, loss and time left; what is said goes above it."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def begin(self, plan: Plan) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.say(_announcement(plan))
        columns = (
            "{task.fields[size]}",
            BarColumn(),
            "{task.fields[step]}",
            "{task.fields[loss]}",
            "{task.fields[left]}",
        )
        self._bar = Progress(
            *(TextColumn(column) if isinstance(column, str) else column for column in columns),
            console=self._console,
            transient=True,
        )
        left = f"about {spell(plan.seconds)} left"
        self._task = self._bar.add_task("", total=plan.seconds, size="", step="", loss="", left=left)
        self._bar.start()

    def show(self, step: Step, plan: Plan) -> None:
        if self._bar is None or self._task is None:
            return
        left = plan.seconds_left(step)
        passed = time.monotonic() - plan.began
        self._bar.update(
            self._task,
            completed=plan.seconds * passed / max(passed + left, 1e-9),
            size=f"{step.size[1]} x {step.size[0]}",
            step=f"{step.index}/{step.of}",
            loss=f"loss {step.loss:.4g}",
            left=f"about {spell(left)} left" if left else "saving",
        )

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def saved(self, path: str, loss: float) -> None:
        typer.echo(path)


def choose_progress(name: str, *, quiet: bool) -> Progress:
    """Return what --progress asks for; ``auto`` is a bar where a terminal can redraw a line, few lines elsewhere."""
    if quiet:
        return SilentProgress()
    if name == "json":
        return JsonProgress()
    if name == "bar" or (name == "auto" and _can_redraw()):
        return BarProgress()
    return LineProgress()


def _can_redraw() -> bool:
    from rich.console import Console

    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal


def _announcement(plan: Plan) -> str:
    width, height = plan.size
    count = len(plan.levels)
    sizes = "1 size" if count == 1 else f"{count} sizes"
    return f"{width} x {height} pixels, {sizes}, about {spell(plan.seconds)}"


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


def _finite(value: Any) -> Any:
    """Put null where JSON has no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
