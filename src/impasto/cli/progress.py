"""What is told while a run goes on: a bar for people, JSON lines for programs, or only a few lines.

Everything goes to stderr; stdout is for the path of the finished picture.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import typer

from impasto.cli.outlook import Plan, announcement, spell
from impasto.cli.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from impasto.optimize import Step

__all__ = [
    "BarProgress",
    "JsonProgress",
    "LineProgress",
    "Progress",
    "SilentProgress",
    "can_redraw",
    "choose_progress",
]


def _print_path(path: str) -> None:
    """Print the path of the finished picture on stdout, also if its name is no Unicode."""
    try:
        typer.echo(path)
    except UnicodeEncodeError:
        typer.echo(os.fsencode(path))


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
        typer.echo(announcement(plan), err=True)

    def show(self, step: Step, plan: Plan) -> None: ...
    def end(self) -> None: ...

    def say(self, text: str) -> None:
        typer.echo(printable(text), err=True)

    def saved(self, path: str, loss: float) -> None:
        _print_path(path)


class JsonProgress:
    """One JSON object a line on stderr, and the path on stdout."""

    def begin(self, plan: Plan) -> None:
        sizes = [[level.size[1], level.size[0]] for level in plan.levels]
        self._write(estimated_seconds=round(plan.to_go, 1), size=plan.size, sizes=sizes, evaluations=plan.evaluations)

    def show(self, step: Step, plan: Plan) -> None:
        from impasto.result import describe

        self._write(**describe(step), seconds_left=round(plan.seconds_left(step), 1))

    def end(self) -> None: ...

    def say(self, text: str) -> None:
        self._write(note=text)

    def saved(self, path: str, loss: float) -> None:
        self._write(saved=path, loss=loss)
        _print_path(path)

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

        self.say(announcement(plan))
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
        left = f"about {spell(plan.to_go)} left"
        self._task = self._bar.add_task("", total=plan.to_go, size="", step="", loss="", left=left)
        self._bar.start()

    def show(self, step: Step, plan: Plan) -> None:
        if self._bar is None or self._task is None:
            return
        left = plan.seconds_left(step)
        passed = time.monotonic() - plan.began
        self._bar.update(
            self._task,
            completed=plan.to_go * passed / max(passed + left, 1e-9),
            size=f"{step.size[1]} x {step.size[0]} {step.network}",
            step=f"{step.index}/{step.of}",
            loss=f"loss {step.loss:.4g}",
            left=f"about {spell(left)} left" if left else "saving",
        )

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        self._console.print(printable(text), markup=False)

    def saved(self, path: str, loss: float) -> None:
        _print_path(path)


class DetachableProgress:
    """Another progress, until the one who reads it goes away: that must not end a run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, plan: Plan) -> None:
        self._try(lambda progress: progress.begin(plan))

    def show(self, step: Step, plan: Plan) -> None:
        self._try(lambda progress: progress.show(step, plan))

    def end(self) -> None:
        self._try(lambda progress: progress.end())

    def say(self, text: str) -> None:
        self._try(lambda progress: progress.say(text))

    def saved(self, path: str, loss: float) -> None:
        self._try(lambda progress: progress.saved(path, loss))

    def _try(self, tell: Callable[[Progress], None]) -> None:
        try:
            tell(self._progress)
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._progress = SilentProgress()


def choose_progress(name: str, *, quiet: bool) -> Progress:
    """Return what --progress asks for; ``auto`` is a bar where a terminal can redraw a line, few lines elsewhere."""
    if quiet:
        return SilentProgress()
    if name == "json":
        return DetachableProgress(JsonProgress())
    if name == "bar" or (name == "auto" and can_redraw()):
        return DetachableProgress(BarProgress())
    return DetachableProgress(LineProgress())


def can_redraw() -> bool:
    """Whether stderr is a terminal on which a line can be drawn again."""
    from rich.console import Console

    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal


def _finite(value: Any) -> Any:
    """Put null where JSON has no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
