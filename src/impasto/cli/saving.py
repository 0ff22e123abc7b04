"""What a run leaves behind: the picture, and on the way to it snapshots and the animation."""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.job import STDOUT, Job, numbered
from impasto.cli.progress import Progress
from impasto.errors import ImpastoError, OutputError

if TYPE_CHECKING:
    from impasto.animation import Recorder
    from impasto.optimize import Step
    from impasto.result import Result
    from impasto.transfer import Transfer

__all__ = ["new_recorder", "save", "save_animation", "save_snapshot"]


def save_snapshot(step: Step, transfer: Transfer, job: Job, number: int, progress: Progress) -> None:
    """Write the picture of a step at the size of the result; a failure is told, but does not end the run."""
    from impasto.image.picture import Picture
    from impasto.image.resize import resize
    from impasto.image.write import write_picture

    picture = Picture(resize(step.image, transfer.size).cpu(), transfer.photo.resized(transfer.size).alpha)
    try:
        write_picture(picture, job.snapshot(number), overwrite=job.overwrite)
    except OutputError as error:
        progress.say(f"impasto: {error}")


def new_recorder(job: Job, transfer: Transfer) -> Recorder | None:
    """What keeps the pictures for --animate; the first one is what the run starts from."""
    if job.animation is None:
        return None
    from impasto.animation import Recorder

    recorder = Recorder(transfer.size)
    recorder.add(transfer.finished(transfer.init), transfer.photo.alpha)
    return recorder


def save_animation(recorder: Recorder, result: Result, path: Path, overwrite: bool, progress: Progress) -> None:
    """Write the animation; a failure is told, but does not cost the picture."""
    recorder.add(result.picture.pixels, result.picture.alpha)
    try:
        recorder.save(path, overwrite=overwrite)
        progress.say(f"The picture coming into being is in '{path}'.")
    except OutputError as error:
        progress.say(f"impasto: {error}")


def save(result: Result, job: Job) -> Path:
    """Write the result, and if that fails now, somewhere else before saying so: hours may be in it. Return its path."""
    if job.output == STDOUT:
        _write_to_stdout(result, job)
        return STDOUT
    try:
        return _save_as(result, job, _free(job))
    except OutputError as error:
        for folder in (Path(tempfile.gettempdir()), Path.home()):
            with suppress(OutputError, OSError):
                refuge = Path(tempfile.mkdtemp(prefix="impasto-", dir=folder)) / job.output.name
                raise ImpastoError(f"{error}\nThe picture is in '{_save_as(result, job, refuge)}' instead.") from None
        raise ImpastoError(str(error)) from None


def _free(job: Job) -> Path:
    """The output, or the next free name if another run took it meanwhile and nobody asked for it."""
    if not job.default_named or job.overwrite:
        return job.output
    return next(path for number in count(1) if not (path := numbered(job.output, number)).exists())


def _write_to_stdout(result: Result, job: Job) -> None:
    options = job.options.output
    sys.stdout.buffer.write(result.encode(job.format, quality=options.quality, metadata=options.metadata))
    sys.stdout.buffer.flush()


def _save_as(result: Result, job: Job, path: Path) -> Path:
    options = job.options.output
    return result.save(
        path, format=job.format.key, quality=options.quality, metadata=options.metadata, overwrite=job.overwrite
    )
