"""How far a download is: a bar for people at a terminal, a few lines elsewhere, JSON lines for programs; on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from impasto.cli.progress import can_redraw

if TYPE_CHECKING:
    from impasto.weights import Received

__all__ = ["download_progress"]

Report = Callable[["Received"], None]

LINES = 5
"""How many lines tell of a download where nothing can be drawn."""

OBJECTS = 100
"""How many JSON lines do."""


@contextmanager
def download_progress(kind: str = "auto") -> Iterator[Report]:
    """Give a ``report`` for ``fetch_weights``; ``kind`` is auto, bar, json or none, as --progress has them."""
    if kind == "none":
        yield lambda received: None
    elif kind == "json":
        yield _Lines(OBJECTS, _as_json)
    elif kind == "bar" or can_redraw():
        with _bar() as report:
            yield report
    else:
        yield _Lines(LINES, _as_text)


class _Lines:
    """Tells each note, and each time that another share of the file is there."""

    def __init__(self, shares: int, spell: Callable[[Received], str]) -> None:
        self._shares = shares
        self._spell = spell
        self._told = -1

    def __call__(self, received: Received) -> None:
        share = self._shares * received.bytes // received.total if received.total else 0
        if received.note or share > self._told:
            self._told = max(share, self._told)
            _write(self._spell(received))


def _as_json(received: Received) -> str:
    if received.note:
        return json.dumps({"note": received.note})
    return json.dumps({"download": received.network, "bytes": received.bytes, "of": received.total or None})


def _as_text(received: Received) -> str:
    from impasto.weights.advice import megabytes

    if received.note:
        return received.note
    of = f" of {megabytes(received.total)}" if received.total else ""
    return f"Downloading {received.network}: {megabytes(received.bytes)}{of}"


def _write(line: str) -> None:
    with suppress(OSError, ValueError):  # who read this has gone away; the download goes on
        typer.echo(line, err=True)


@contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def report(received: Received) -> None:
            progress.update(task, description=received.network, completed=received.bytes, total=received.total or None)
            if received.note:
                console.print(received.note, markup=False)

        yield report
