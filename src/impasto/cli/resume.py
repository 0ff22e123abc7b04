"""``impasto resume``: a run that was broken off goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.checkpoints import folder, hold, is_in_use, kept, let_go
from impasto.cli.job import Inputs, Job, Resumed
from impasto.cli.options import Folders, Options, Overwrite, ProgressName, Quiet, Show, Verbose
from impasto.cli.outlook import spell
from impasto.cli.preflight import ready
from impasto.cli.recorded import folders_of
from impasto.cli.running import run_job
from impasto.errors import ImpastoError, InputError
from impasto.image.formats import EXTENSIONS
from impasto.image.paths import expanded
from impasto.spec import OutputOptions, RunOptions
from impasto.validation import build

if TYPE_CHECKING:
    from filelock import FileLock

    from impasto.record import Record

__all__ = ["EXAMPLES", "resume"]

EXAMPLES = """Examples:

impasto resume

impasto resume --list

impasto resume portrait.checkpoint --inputs ~/Pictures -o elsewhere.png
"""


def resume(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A checkpoint; the newest one unless given.", show_default=False),
    ] = None,
    inputs: Folders = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Write to another file than the run was to.", show_default=False
        ),
    ] = None,
    animate: Annotated[
        str | None, typer.Option(metavar="FILE", help="The same for its animation.", show_default=False)
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the runs that can go on, the newest first.")] = False,
    overwrite: Overwrite = False,
    show: Show = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: ProgressName = "auto",
) -> None:
    """Go on with a run that Ctrl-C, a crash or a power cut ended.

    Runs of more than two minutes are kept in a checkpoint, and all that have a --checkpoint. On a CPU the finished
    picture is the same, byte for byte, as if nothing had happened.
    """
    if list_them:
        _list()
        return
    values = {"progress": progress, "quiet": quiet, "verbose": verbose, "show": show}
    elsewhere = _Elsewhere(output, animate)
    folders = folders_of(inputs)
    with ExitStack() as stack:

        def find_job() -> Job:
            path, lock = _newest() if file is None else _named(expanded(file))
            stack.callback(let_go, lock)
            return _job(path, lock, folders, elsewhere, overwrite)

        run_job(find_job, values)


@dataclass(frozen=True)
class _Elsewhere:
    """Where the picture and its animation are to go, unless where the run was told to write them."""

    output: str | None
    animate: str | None


def _named(path: Path) -> tuple[Path, FileLock]:
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()  # raises for names that are too long, and for what may not be looked at
    if not path.is_file():
        raise InputError(f"There is no checkpoint '{path}': check the path, or look with impasto resume --list.")
    return path, hold(path)


def _newest() -> tuple[Path, FileLock]:
    """The newest sound checkpoint in the cache that no run is using; none can from here on."""
    from impasto.checkpoint import read_outline

    reasons = []
    for path in kept():
        with suppress(InputError):
            lock = hold(path)
            try:
                read_outline(path)
            except InputError as error:  # damaged, of another version, or its run has just ended
                let_go(lock)
                reasons += [error] if path.exists() else []
                continue
            return path, lock
    if reasons:
        raise reasons[0]
    raise InputError(f"There is no run to go on with in '{folder()}': give the file that --checkpoint named.")


def _list() -> None:
    from impasto.checkpoint import read_outline

    for path in kept():
        try:
            outline, written = read_outline(path), path.stat().st_mtime
        except (InputError, FileNotFoundError) as error:
            if path.exists():  # its run has not just ended
                typer.echo(str(error), err=True)
            continue
        state = "running" if is_in_use(path) else f"{spell(time.time() - written)} ago"
        typer.echo(f"{path}\n    {outline.done} of {outline.planned} evaluations of '{outline.output}', {state}")


def _job(path: Path, lock: FileLock, folders: Sequence[Path], elsewhere: _Elsewhere, overwrite: bool) -> Job:
    from impasto.checkpoint import read_checkpoint
    from impasto.prepare import Schedule

    checkpoint = read_checkpoint(path)
    record, about = checkpoint.record, checkpoint.job
    output = elsewhere.output
    # A checkpoint outside of the cache may come from anyone: that its run had -y lets it replace nothing here. Nor was
    # that said of another file.
    had_yes = path.parent == folder() and not (output or elsewhere.animate)
    try:
        options = _options(record, about, elsewhere)
        found = {role: _found(role, Path(place), record, folders) for role, place in about["inputs"].items()}
        job = Job(
            Inputs(found["content"], found["style"], found.get("init")),
            Path(about["output"]) if output is None else expanded(output),
            overwrite or (had_yes and bool(about["overwrite"])),
            options,
            not output and bool(about["default_named"]),
            Schedule(record.size[::-1], record.plan()),
            record,
            Resumed(path, lock, checkpoint, float(about["elapsed"]), {**about["saved"]}),
        )
    except ImpastoError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"The checkpoint '{path}' is damaged ({type(error).__name__}): it cannot be used.") from None
    return ready(job, record.plan())


def _options(record: Record, about: Mapping[str, Any], elsewhere: _Elsewhere) -> Options:
    """Those of the run, with each choice as it was resolved; the extension of another file decides its format."""
    run = build(RunOptions, about["run"]).model_copy(update=record.run.model_dump())
    written = {**about["written"]}
    if elsewhere.output and Path(elsewhere.output).suffix.lower() in EXTENSIONS:
        written["format"] = None
    if elsewhere.animate is not None:
        written["animate"] = elsewhere.animate
    return Options(record.style, run, build(OutputOptions, written))


def _found(role: str, path: Path, record: Record, folders: Sequence[Path]) -> Path:
    """The file that was the ``role`` of the run, where it was or in one of ``folders``."""
    wanted = record.inputs[role]
    if wanted.is_in(path):
        return path
    found = wanted.find([path.parent, *folders, Path()])
    if found is None:
        raise InputError(
            f"The {role} is no more what it was at '{path}' (SHA-256 {wanted.sha256[:12]}...): name its folder with"
            " --inputs."
        )
    return found
