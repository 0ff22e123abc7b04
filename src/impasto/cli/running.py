"""A run from the command line: checks -> estimate -> steps -> picture."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from impasto.cli.interrupt import EXIT_INTERRUPTED, Interrupt, interruptible
from impasto.cli.job import STDOUT, Job
from impasto.cli.keeper import Keeper, is_long
from impasto.cli.options import PROGRESS, check_choice
from impasto.cli.outlook import Plan
from impasto.cli.preflight import ready
from impasto.cli.progress import Progress, choose_progress
from impasto.cli.saving import finishing_seconds, new_recorder, save, save_animation, save_snapshot
from impasto.errors import ImpastoError
from impasto.image.paths import expanded
from impasto.pyramid import coarse_network
from impasto.spec import StyleSpec

if TYPE_CHECKING:
    from impasto.animation import Recorder
    from impasto.optimize import Step
    from impasto.result import Result
    from impasto.transfer import Transfer

__all__ = ["prepared", "run_job"]

log = logging.getLogger("impasto")


def run_job(find_job: Callable[[], Job], values: Mapping[str, Any]) -> None:
    """Do the job that ``find_job`` returns; ``values`` are the flags on how to tell about it."""
    began = time.monotonic()
    check_choice("--progress", values["progress"], PROGRESS)
    progress = choose_progress(values["progress"], quiet=values["quiet"])
    try:
        with interruptible(progress.say) as interrupt, _logging_to(progress, verbose=values["verbose"]):
            job = find_job()
            _run(job, progress, interrupt, values, began)
    except ImpastoError as error:
        if values["progress"] != "json" or values["quiet"]:
            raise
        # Who reads objects line by line wants this one as well.
        typer.echo(json.dumps({"error": str(error), "code": error.exit_code}), err=True)
        raise typer.Exit(error.exit_code) from None


def _run(job: Job, progress: Progress, interrupt: Interrupt, values: Mapping[str, Any], began: float) -> None:
    transfer = prepared(job, progress, values)
    if job.options.output.save_every and job.options.spec.network == "auto":
        job = ready(job, transfer.levels)  # a network that was just downloaded may take more evaluations: more files
    recorder = new_recorder(job, transfer)
    computed = _compute(transfer, job, progress, interrupt, recorder, began)
    result, keeper = computed.result, computed.keeper
    is_stopped = interrupt.asked and computed.left_out > 0
    try:
        path = save(result, job)
        if path != STDOUT:
            interrupt.saved = f"the picture{' so far' if is_stopped else ''} is '{path}'"
        if keeper is not None and not is_stopped:
            keeper.drop()
            keeper = None
        # Told of each file as soon as it is there: whatever ends the command now, `impasto resume` may replace it.
        with interrupt.held():
            is_kept = keeper is not None and keeper.write(progress, [] if path == STDOUT else [path])
        if recorder is not None and job.animation is not None and not interrupt.again:
            may_replace = job.may_replace(job.animation)
            if save_animation(recorder, result, job.animation, may_replace, progress) and keeper is not None:
                with interrupt.held():
                    keeper.write(progress, [job.animation])
    finally:
        if keeper is not None:
            keeper.release()
    if is_stopped:
        done, where = len(result.history), "on standard output" if path == STDOUT else f"'{path}'"
        further = f" To go on: impasto resume '{keeper.path}'" if keeper is not None and is_kept else ""
        of = done + computed.left_out
        progress.say(f"Stopped after {done} of {of} evaluations; the picture so far is {where}.{further}")
        raise typer.Exit(EXIT_INTERRUPTED)
    if path != STDOUT:
        progress.saved(str(path), result.loss)
    if values["show"] and path != STDOUT:
        _show(str(path), progress)


@dataclass(frozen=True)
class _Computed:
    """The result, how many evaluations were left out because someone interrupted or the time was over, and what keeps
    the state of the run."""

    result: Result
    left_out: int
    keeper: Keeper | None


def _compute(
    transfer: Transfer,
    job: Job,
    progress: Progress,
    interrupt: Interrupt,
    recorder: Recorder | None,
    began: float,
) -> _Computed:
    from impasto.budget import Budget
    from impasto.estimate import compare_cost, known_cost, measure_cost
    from impasto.result import Collected
    from impasto.steps import Steps

    resumed = job.resumed.checkpoint if job.resumed else None
    seconds = _seconds_to_go(job)
    cost = known_cost(transfer) if seconds is None else measure_cost(transfer)
    budget = None if seconds is None else Budget(began + max(seconds - finishing_seconds(job, transfer), seconds / 2))
    if budget and not resumed:  # else it was fitted before
        transfer = budget.fitted(transfer, cost)
    collected = resumed.collected if resumed else Collected()
    if collected.best is not None:  # which is kept as it was evaluated
        collected.best = replace(collected.best, finish=transfer.finish)
    plan = Plan(transfer.levels, cost, budget.deadline if budget else None)
    plan.before = plan.seconds_until(resumed.state.step) if resumed else 0.0
    steps = Steps(transfer, resumed.state if resumed else None)
    keep = partial(Keeper.new, plan, job, transfer, steps, collected, progress)
    keeper = keep()
    was_short = job.checkpoint is None and not is_long(plan)
    started = time.monotonic()
    interrupt.running = True
    try:
        progress.begin(plan)
        watched = _watched(steps, len(collected.history) + 1, transfer, plan, job, progress, recorder)
        within = budget.steps(watched, transfer, cost) if budget else watched
        for step in _until_interrupted(within, interrupt):
            collected.add(step)
            if was_short and is_long(plan):  # it takes longer than was estimated
                keeper, was_short = keep(), False
            if keeper is not None and len(collected.history) < plan.evaluations:
                keeper.after_step(progress)
        steps.close()  # its state stays
        progress.end()
        result = collected.result(transfer.spec, transfer.size, photo=transfer.photo, record=transfer.record)
    except BaseException:
        progress.end()
        if keeper is not None:
            keeper.release()
        raise
    left_out = plan.evaluations - len(collected.history)
    if not (left_out or resumed or budget):
        compare_cost(transfer, plan.seconds, time.monotonic() - started)
    return _Computed(result, left_out, keeper)


def _seconds_to_go(job: Job) -> float | None:
    """What is left of --time, at least a second, if that was given."""
    seconds = job.options.run.time
    return None if seconds is None else max(seconds - (job.resumed.elapsed if job.resumed else 0.0), 1.0)


def prepared(job: Job, progress: Progress, values: Mapping[str, Any]) -> Transfer:
    """The run of ``job``, ready to start; what is worth knowing was said."""
    from impasto.image.write import losses
    from impasto.prepare import prepare

    inputs, options = job.inputs, job.options
    spec = _with_networks(job, progress, values)
    transfer = prepare(inputs.content, inputs.style, spec, options.run, start=inputs.start, schedule=job.schedule)
    lost = losses(transfer.photo, job.format, metadata=options.output.metadata, pyramid=options.output.pyramid)
    for remark in (*transfer.remarks, *lost, *_of_no_use(job)):
        progress.say(remark)
    if job.made_as:
        for difference in transfer.record.differences(job.made_as):
            progress.say(f"The picture may not come out the same: {difference}.")
        transfer = replace(transfer, record=transfer.record.named_as(job.made_as))
    _log(transfer)
    return transfer


def _of_no_use(job: Job) -> Iterator[str]:
    if job.options.output.quality is not None and job.format.quality is None:
        yield f"--quality changes nothing in {job.format.name}, which has no such choice."
    if job.animation is not None and job.resumed:
        yield "The animation begins where the run goes on."
    if job.options.output.pyramid and job.format.name != "TIFF":
        yield f"--pyramid changes nothing in {job.format.name}: give -o the extension .tif."


def _with_networks(job: Job, progress: Progress, values: Mapping[str, Any]) -> StyleSpec:
    """The options with the network to use; the weights of all that look are here, downloaded if they had to be."""
    from impasto.cli.networks import choose_network

    run, spec = job.options.run, job.options.spec
    weights = expanded(run.weights) if run.weights else None

    def choose(name: str) -> str:
        return choose_network(
            name,
            say=progress.say,
            ask=_ask if _can_be_asked(values) else None,
            weights_file=weights if name == spec.network else None,
            offline=run.offline,
            progress="none" if values["quiet"] else values["progress"],
        ).name

    if job.schedule is not None:  # made again, by the networks that made it
        for name in {level.network: level for level in job.schedule.levels}:
            choose(name)
        return spec
    spec = spec.model_copy(update={"network": choose(spec.network)})
    if coarse_network(spec):
        choose(coarse_network(spec))
    return spec


def _can_be_asked(values: Mapping[str, Any]) -> bool:
    there = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    return there and not values["quiet"] and values["progress"] in ("auto", "bar")


def _ask(question: str) -> bool:
    """Put a question on the terminal until it is answered; raise EOFError where the terminal has no more to read.

    ``typer.confirm`` takes the end of what can be read for Ctrl-C.
    """
    answers = {"": True, "y": True, "yes": True, "n": False, "no": False}
    while True:
        typer.echo(f"{question} [Y/n]: ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            typer.echo(err=True)
            raise EOFError
        if (answer := answers.get(line.strip().lower())) is not None:
            return answer


def _watched(
    steps: Iterator[Step],
    first: int,
    transfer: Transfer,
    plan: Plan,
    job: Job,
    progress: Progress,
    recorder: Recorder | None,
) -> Iterator[Step]:
    """Hand the steps on, counted from ``first``, shown and kept as asked for."""
    every = job.options.output.save_every
    alpha = None if recorder is None else transfer.photo.alpha_at(transfer.size)
    for number, step in enumerate(steps, start=first):
        progress.show(step, plan)
        if recorder is not None:
            recorder.add(step.image_at(recorder.size), alpha)
        if every and number % every == 0:
            save_snapshot(step, transfer, job, number, progress)
        yield step


def _until_interrupted(steps: Iterator[Step], interrupt: Interrupt) -> Iterator[Step]:
    """Hand the steps on until the last one, or until someone interrupts."""
    for step in steps:
        yield step
        if interrupt.asked:
            return


def _show(path: str, progress: Progress) -> None:
    code = 1
    with suppress(Exception):
        code = typer.launch(path)
    if code:
        progress.say(f"'{path}' cannot be shown on this system: open it yourself.")


def _log(transfer: Transfer) -> None:
    machine = transfer.machine
    log.debug(
        "device %s, precision %s, threads %s", machine.device, machine.precision, machine.threads or "as they are"
    )


@contextmanager
def _logging_to(progress: Progress, *, verbose: bool) -> Iterator[None]:
    """Say what the library warns of, and with --verbose all that it logs."""
    handler = logging.Handler()
    handler.emit = lambda record: progress.say(record.getMessage())  # type: ignore[method-assign]
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
