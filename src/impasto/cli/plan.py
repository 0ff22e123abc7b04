"""``impasto plan``: what a run would take, without running it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from impasto.cli.job import Inputs, Job
from impasto.cli.options import TWO_PICTURES, resolve, with_flags
from impasto.cli.outlook import Plan, spell
from impasto.cli.preflight import check_inputs, check_network, file_of
from impasto.cli.progress import choose_progress
from impasto.cli.running import prepared
from impasto.cli.saving import finishing_seconds
from impasto.quantity import spell_bytes

if TYPE_CHECKING:
    from impasto.pyramid import Level
    from impasto.transfer import Transfer

__all__ = ["EXAMPLES", "plan"]

EXAMPLES = """Examples:

impasto plan photo.jpg painting.jpg --size 4096

impasto plan photo.jpg painting.jpg --size 4096 --memory 4G
"""


def _plan(*, content: str, style: str, **values: Any) -> None:
    """Say what "impasto stylize CONTENT STYLE" with these options would take.

    The pictures are read and the networks are timed, but nothing is painted, and no picture is written. One line for
    each size: the network, its evaluations, the tiles and the history with which they fit into memory, and the time.
    """
    from impasto.budget import Budget
    from impasto.estimate import fit_levels, measure_cost

    options = resolve(values)
    inputs = Inputs(file_of(content), file_of(style), None)
    check_network(options.spec)
    check_inputs(inputs, options)
    job = Job(inputs, Path(values["output"] or "planned.png"), overwrite=False, options=options)
    transfer = prepared(job, choose_progress("none", quiet=values["quiet"]), values)
    cost = measure_cost(transfer)
    expected: Sequence[Level] = transfer.levels
    if options.run.time is not None and options.spec.strength > 0:
        seconds = max(options.run.time - finishing_seconds(job, transfer), options.run.time / 2)
        likely = fit_levels(transfer.levels, cost, seconds)
        transfer = Budget(time.monotonic() + seconds).fitted(transfer, cost)
        # Where there is time left, the last one goes on for longer.
        expected = [replace(a, iterations=b.iterations) for a, b in zip(transfer.levels, likely, strict=True)]
    outlook = Plan(expected, cost)
    width, height = outlook.size
    memory = transfer.footprint.of_run(transfer.levels)
    typer.echo(f"{width} x {height} pixels, about {spell(outlook.seconds)}, about {spell_bytes(memory)} of memory")
    for level in expected:
        typer.echo(_line(level, transfer, cost.of_level(level)))


def _line(level: Level, transfer: Transfer, seconds: float) -> str:
    size = f"{level.size[1]} x {level.size[0]}"
    tiles = f"tiles of {level.tile}" if level.tile else "at once"
    history = ""
    if transfer.spec.optimizer == "lbfgs":
        history = f"history {level.history or transfer.spec.history} in {level.history_precision}"
    memory = spell_bytes(transfer.footprint.of_level(level))
    return (
        f"{size:>13}  {level.network:<18} {level.iterations:>5} evaluations  {tiles:<13}  {history:<20}  {memory:>9}"
        f"  {spell(seconds):>8}{_elsewhere(level, transfer)}"
    )


def _elsewhere(level: Level, transfer: Transfer) -> str:
    """What there is to say on some machines only."""
    main = f"  {spell_bytes(transfer.footprint.elsewhere(level))} more in main memory"
    again = "  content seen again each time"
    return (main if level.vectors == "main memory" else "") + (again if level.targets == "again" else "")


plan = with_flags(_plan, first=TWO_PICTURES)
