"""What a run leaves behind: the picture, and on the way to it snapshots and the animation."""

from __future__ import annotations

import os
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

__all__ = ["finishing_seconds", "new_recorder", "save", "save_animation", "save_snapshot"]

STARTING = 0.4
"""Seconds from the start of Python to the first line of a command, and a little."""

ENCODING, COLORING = 0.4e-6, 0.8e-6
"""Seconds a pixel to write PNG or AVIF, the slowest, and to give a picture the photo's colors, as measured."""

ANIMATION, FRAME_PIXELS = 10e-6, 480 * 480
"""Seconds a pixel of a frame to encode an animation, and how many pixels a frame has at most."""


def save_snapshot(step: Step, transfer: Transfer, job: Job, number: int, progress: Progress) -> None:
    """Write the picture of a step at the size of the result; a failure is told, but does not end the run."""
    from impasto.image.picture import Picture
    from impasto.image.write import write_picture

    if job.resumed and job.snapshot(number).exists() and not job.overwrite:
        return  # written before the run was broken off
    picture = Picture(step.image_at(transfer.size).cpu(), transfer.photo.alpha_at(transfer.size))
    try:
        write_picture(picture, job.snapshot(number), overwrite=job.overwrite)
    except OutputError as error:
        progress.say(f"impasto: {error}")


def new_recorder(job: Job, transfer: Transfer) -> Recorder | None:
    """What keeps the pictures for --animate; the first one is what the run starts from."""
    if job.animation is None:
        return None
    from impasto.animation import Recorder
    from impasto.image.resize import resize

    recorder = Recorder(transfer.size)
    recorder.add(transfer.finished(resize(transfer.init, recorder.size)), transfer.photo.alpha_at(transfer.size))
    return recorder


def save_animation(recorder: Recorder, result: Result, path: Path, overwrite: bool, progress: Progress) -> bool:
    """Write the animation of a picture that is saved already; a failure, or Ctrl-C, is told, and costs no more.
    Return success."""
    try:
        recorder.add(result.picture.pixels, result.picture.alpha)
        recorder.save(path, overwrite=overwrite)
        progress.say(f"The picture coming into being is in '{path}'.")
        return True
    except ImpastoError as error:
        progress.say(f"impasto: {error}")
    except (Exception, KeyboardInterrupt) as error:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        progress.say(f"impasto: The animation was left out ({reason}); the picture is complete.")
    return False


def finishing_seconds(job: Job, transfer: Transfer) -> float:
    """How long it takes, roughly, from the last evaluation to the end of the command, and to start Python before."""
    pixels = transfer.size[0] * transfer.size[1]
    coloring = COLORING if transfer.spec.color == "content" else 0.0
    animation = ANIMATION * min(pixels, FRAME_PIXELS) if job.animation else 0.0
    return STARTING + pixels * (ENCODING + coloring) + animation


def save(result: Result, job: Job) -> Path:
    """Write the result, and if that fails now, somewhere else before saying so: hours may be in it. Return its path."""
    try:
        return _write_to_stdout(result, job) if job.output == STDOUT else _save(result, job)
    except OutputError as error:
        name = f"stdout{job.format.extensions[0]}" if job.output == STDOUT else job.output.name
        for folder in (Path(tempfile.gettempdir()), Path.home()):
            with suppress(OutputError, OSError):
                refuge = Path(tempfile.mkdtemp(prefix="impasto-", dir=folder)) / name
                raise ImpastoError(f"{error}\nThe picture is in '{_save_as(result, job, refuge)}' instead.") from None
        raise ImpastoError(str(error)) from None


def _save(result: Result, job: Job) -> Path:
    """Under the name of the output, or the next free one if another run took it meanwhile and nobody asked for it."""
    while True:
        path = _free(job)
        try:
            return _save_as(result, job, path)
        except OutputError:
            if path == _free(job):  # it was not taken while the file was being written
                raise


def _free(job: Job) -> Path:
    if not job.default_named or job.may_replace(job.output):
        return job.output
    return next(path for number in count(1) if not os.path.lexists(path := numbered(job.output, number)))


def _write_to_stdout(result: Result, job: Job) -> Path:
    options = job.options.output
    data = result.encode(job.format, quality=options.quality, metadata=options.metadata, pyramid=options.pyramid)
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        raise OutputError(f"Standard output cannot be written ({error.strerror}).") from None
    return STDOUT


def _save_as(result: Result, job: Job, path: Path) -> Path:
    options = job.options.output
    return result.save(
        path,
        format=job.format.key,
        quality=options.quality,
        metadata=options.metadata,
        pyramid=options.pyramid,
        overwrite=job.may_replace(path),
    )
