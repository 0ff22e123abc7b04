"""``impasto stylize``: options -> checks -> estimate -> steps -> picture."""

from __future__ import annotations

import inspect
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from impasto.cli.interrupt import EXIT_INTERRUPTED, Interrupt, interruptible
from impasto.cli.options import PROGRESS, check_choice, flag, resolve, with_flags
from impasto.cli.plan import Plan
from impasto.cli.preflight import Job, check_job
from impasto.cli.progress import Progress, choose_progress
from impasto.errors import ImpastoError, OutputError

if TYPE_CHECKING:
    from impasto.optimize import Step
    from impasto.result import Result
    from impasto.stylize import Transfer

__all__ = ["EXAMPLES", "run_job", "stylize"]

log = logging.getLogger("impasto")

EXAMPLES = """Examples:

impasto stylize photo.jpg painting.jpg

impasto stylize photo.jpg painting.jpg -o painted.png --size 1024

impasto stylize photo.jpg painting.jpg --preset draft --strength 0.7 --show

impasto stylize photo.jpg painting.jpg --config look.toml --save-every 10
"""


def _stylize(*, content: str, style: str, **values: Any) -> None:
    """Make the photo CONTENT look painted by the hand of STYLE.

    Both are JPEG or PNG files. The path of the finished picture is printed; everything else goes to stderr. Options
    come from the defaults, then the preset, then the file of --config, then the flags. Ctrl-C ends after the running
    step and saves the picture so far.
    """
    run_job(content, style, values)


def _argument(name: str, help: str) -> inspect.Parameter:
    return flag(name, str, typer.Argument(help=help, metavar=name.upper(), show_default=False), ...)


stylize = with_flags(
    _stylize, first=(_argument("content", "The photo."), _argument("style", "The painting, or any other picture."))
)


def run_job(content: str, style: str, values: dict[str, Any], *, name: str = "") -> None:
    """Do what the flags in ``values`` ask for; the default output is ``name``.png or made of the inputs' names."""
    check_choice("--progress", values["progress"], PROGRESS)
    progress = choose_progress(values["progress"], quiet=values["quiet"])
    try:
        _run(content, style, values, name, progress)
    except ImpastoError as error:
        if values["progress"] != "json" or values["quiet"]:
            raise
        # Who reads objects line by line wants this one as well.
        typer.echo(json.dumps({"error": str(error), "code": error.exit_code}), err=True)
        raise typer.Exit(error.exit_code) from None


def _run(content: str, style: str, values: dict[str, Any], name: str, progress: Progress) -> None:
    with interruptible(progress.say) as interrupt, _logging_to(progress, verbose=values["verbose"]):
        job = check_job(content, style, values["output"], values["overwrite"], resolve(values), name)
        result, left_out = _compute(job, progress, interrupt)
        path = _save(result, job)
        if left_out:
            done = len(result.history)
            progress.say(f"Stopped after {done} of {done + left_out} evaluations; the picture so far is '{path}'.")
            raise typer.Exit(EXIT_INTERRUPTED)
        progress.saved(str(path), result.loss)
    if values["show"]:
        _show(path, progress)


def _compute(job: Job, progress: Progress, interrupt: Interrupt) -> tuple[Result, int]:
    """Return the result, and how many evaluations were left out because someone interrupted."""
    from impasto.estimate import measure_cost
    from impasto.result import Result
    from impasto.stylize import prepare

    transfer = prepare(job.content, job.style, job.options.spec, job.options.run)
    _log(transfer)
    plan = Plan(transfer.levels, measure_cost(transfer))
    progress.begin(plan)
    interrupt.running = True
    try:
        steps = _watched(transfer, plan, job, progress, interrupt)
        result = Result.collect(steps, transfer.spec, transfer.size)
    finally:
        progress.end()
    return result, plan.evaluations - len(result.history) if interrupt.asked else 0


def _watched(transfer: Transfer, plan: Plan, job: Job, progress: Progress, interrupt: Interrupt) -> Iterator[Step]:
    """Hand the steps on, shown and kept as asked for, until the last one or until someone interrupts."""
    every = job.options.output.save_every
    for number, step in enumerate(transfer.steps(), start=1):
        progress.show(step, plan)
        if every and number % every == 0:
            _save_snapshot(step, transfer.size, job, number, progress)
        yield step
        if interrupt.asked:
            return


def _save_snapshot(step: Step, size: tuple[int, int], job: Job, number: int, progress: Progress) -> None:
    """Write the picture of a step at the size of the result; a failure is told, but does not end the run."""
    from impasto.image.resize import resize
    from impasto.image.write import write_image

    try:
        write_image(resize(step.image, size), job.snapshot(number), overwrite=job.overwrite)
    except OutputError as error:
        progress.say(f"impasto: {error}")


def _save(result: Result, job: Job) -> Path:
    """Write the result, and if that fails now, write it somewhere else before saying so: hours may be in it."""
    try:
        return result.save(job.output, overwrite=job.overwrite)
    except OutputError as error:
        for folder in (Path(tempfile.gettempdir()), Path.home()):
            with suppress(OutputError, OSError):
                refuge = Path(tempfile.mkdtemp(prefix="impasto-", dir=folder)) / job.output.name
                raise ImpastoError(f"{error}\nThe picture is in '{result.save(refuge)}' instead.") from None
        raise ImpastoError(str(error)) from None


def _show(path: Path, progress: Progress) -> None:
    code = 1
    with suppress(Exception):
        code = typer.launch(str(path))
    if code:
        progress.say(f"'{path}' cannot be shown on this system: open it yourself.")


def _log(transfer: Transfer) -> None:
    from impasto.weights import find_weights

    machine, network = transfer.machine, transfer.extractor.network
    log.debug(
        "device %s, precision %s, threads %s", machine.device, machine.precision, machine.threads or "as they are"
    )
    log.debug("network %s, weights %s", network.name, find_weights(network))


@contextmanager
def _logging_to(progress: Progress, *, verbose: bool) -> Iterator[None]:
    """With --verbose, say what the library logs."""
    if not verbose:
        yield
        return
    handler = logging.Handler()
    handler.emit = lambda record: progress.say(record.getMessage())  # type: ignore[method-assign]
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
