"""Everything that can be wrong with inputs and outputs is found out here, before torch is imported."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from os.path import realpath
from pathlib import Path

from impasto.cli.job import STDOUT, Inputs, Job, default_name, numbered
from impasto.cli.options import Options
from impasto.errors import InputError, OptionError, OutputError, did_you_mean
from impasto.image.destination import check_destination, new_file_beside
from impasto.image.files import File, picture_size
from impasto.image.formats import EXTENSIONS, check_sides, named_format
from impasto.image.paths import expanded
from impasto.networks import NETWORKS, get_network
from impasto.pyramid import Level, own_network, plan_pyramid
from impasto.spec import STARTS, StyleSpec, output_size

__all__ = ["check_inputs", "check_job", "check_network", "file_of", "ready"]

BYTES_PER_PIXEL = 4
"""What a pixel of a PNG of noise takes, and a little for the headers; twice as much where there may be 16 bits."""

LARGEST_STREAM = 2_000_000_000
"""Bytes of a picture from standard input."""


def check_job(content: str, style: str, output: str | None, overwrite: bool, options: Options, name: str = "") -> Job:
    """Find out that a run can start; the default output is ``name``.png or made of the names of the inputs.

    Raises InputError, OptionError or OutputError for the first thing that is in the way.
    """
    check_network(options.spec)
    photo, painting = (file_of(argument) for argument in _not_both_streams(content, style))
    inputs = Inputs(photo, painting, _start(options))
    levels = check_inputs(inputs, options)
    default = f"{name or default_name(photo, painting)}{_extension(options)}"
    target = Path(default) if output is None else expanded(output)
    return ready(Job(inputs, target, overwrite, options, default_named=output is None), levels)


def _not_both_streams(content: str, style: str) -> tuple[str, str]:
    if content == style == "-":
        raise InputError("Only one picture can come from standard input: give a file for the other.")
    return content, style


def file_of(argument: str) -> File:
    """The file that an argument names, - being standard input."""
    if argument != "-":
        return expanded(argument)
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("- stands for a picture that another program sends, and nothing sends one: give a file.")
    data = sys.stdin.buffer.read(LARGEST_STREAM + 1)
    if not data:
        raise InputError("Nothing came from standard input: check the program before the |.")
    if len(data) > LARGEST_STREAM:
        raise InputError(f"More than {LARGEST_STREAM / 1e9:.0f} GB came from standard input: give a file.")
    return data


def _start(options: Options) -> File | None:
    return None if options.spec.init in STARTS else expanded(options.spec.init)


def check_inputs(inputs: Inputs, options: Options) -> list[Level]:
    """Plan the run from the headers of the pictures; raise for what cannot be read, or is too large or too narrow."""
    limit = options.run.max_pixels
    photo, painting = (picture_size(file, max_pixels=limit) for file in (inputs.content, inputs.style))
    spec = _with_likely_network(options)
    levels = plan_pyramid(output_size(spec, photo), painting, spec)
    if inputs.start is not None:
        _check_start(inputs.start, options.spec.init, limit)
    return levels


def _with_likely_network(options: Options) -> StyleSpec:
    """The options with the network that ``auto`` takes unless another one is downloaded."""
    from impasto.weights import best_present

    spec = options.spec
    best = best_present() if spec.network == "auto" and not options.run.weights else None
    return spec.model_copy(update={"network": best.name}) if best else spec


def check_network(spec: StyleSpec) -> None:
    """Raise OptionError for a network that there is not, or a layer that it does not have."""
    for flag, name, choices in (
        ("--network", spec.network, ["auto", *NETWORKS]),
        ("--coarse-network", spec.coarse_network, ["auto", "none", *NETWORKS]),
    ):
        if name not in choices:
            hint = did_you_mean(name, choices)
            raise OptionError(f"{flag} is '{name}'.{hint} Choose from {', '.join(choices)}.")
    guide = () if spec.coarse_network in ("auto", "none") else (get_network(spec.coarse_network),)
    for network in (get_network(own_network(spec)), *guide):
        for layer in (*spec.content_layers, *spec.style_layers):
            network.check_layer(layer)


def _check_start(start: File, init: str, limit: int) -> None:
    try:
        picture_size(start, max_pixels=limit)
    except InputError as error:
        hint = did_you_mean(init, STARTS)
        raise OptionError(
            f"--init is '{init}'.{hint} Choose from {', '.join(STARTS)}, or give a picture. {error}"
        ) from None


def _extension(options: Options) -> str:
    return named_format(options.output.format).extensions[0] if options.output.format else ".png"


def ready(job: Job, levels: Sequence[Level]) -> Job:
    """``job`` with a free name, unless someone asked for its name.

    Raises OptionError or OutputError unless all that the run is to write can be written.
    """
    job = _with_free_name(job, levels)
    _check_outputs(job, levels)
    return job


def _with_free_name(job: Job, levels: Sequence[Level]) -> Job:
    """Number the output, if nobody asked for its name, so that no file that the run would write exists."""
    if not job.default_named or job.output == STDOUT or job.may_replace(job.output):
        return job
    named = (replace(job, output=numbered(job.output, number)) for number in count(1))
    return next(job for job in named if not _existing(job.files(levels)))


def _existing(files: Sequence[Path]) -> list[Path]:
    """Those of ``files``, all in one folder, that are there already."""
    folder = files[-1].parent
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    return [path for path in files if path.name in there]


def _check_outputs(job: Job, levels: Sequence[Level]) -> None:
    _check_animation(job)
    pixels = math.prod(levels[-1].size)
    _check_giant(job, pixels)
    check_sides(job.format, levels[-1].size)
    _check_checkpoint(job, levels)
    if job.output == STDOUT:
        _check_stream(job)
        return
    _check_format(job)
    files = job.files(levels)
    needed = pixels * BYTES_PER_PIXEL * (2 if job.format.keeps_16_bits else 1) * len(files)
    try:
        existing = _existing(files)
        for path in existing:
            _check_is_no_input(path, job)
        for path in [job.output, *existing]:
            check_destination(path, overwrite=job.may_replace(path), needed=needed)
        _try_to_write(files[0])  # a snapshot's name is the longer one
    except OSError as error:
        raise OutputError(f"'{job.output}' cannot be written ({error.strerror or error}): choose another -o.") from None


def _check_checkpoint(job: Job, levels: Sequence[Level]) -> None:
    """Refuse a checkpoint in the place of something else: when the run has arrived, it is removed."""
    path = job.checkpoint
    if path is None:
        return
    if job.options.output.no_checkpoint and not job.resumed:
        raise OptionError("--checkpoint and --no-checkpoint contradict each other: leave one of them out.")
    others = [*job.inputs.paths(), *job.files(levels), *([job.animation] if job.animation else [])]
    if _place(path) in {_place(other) for other in others if other != STDOUT}:
        raise OptionError(f"--checkpoint is '{path}', which the run reads or writes itself: choose another name.")
    if not job.resumed:
        check_destination(path, overwrite=job.overwrite, option="--checkpoint")
        _check_is_checkpoint(path)
        _check_beside(path, job.overwrite)


def _place(path: Path) -> Path:
    """What ``path`` leads to; unlike ``Path.resolve``, also for links in a circle."""
    return Path(realpath(path))


def _check_is_checkpoint(path: Path) -> None:
    """Refuse the place of another file, whoever wants it replaced: when the run has arrived, nothing would be there."""
    from impasto.cli.checkpoints import is_checkpoint

    if path.exists() and not is_checkpoint(path):
        raise OptionError(f"--checkpoint is '{path}', which is another file and would be lost: choose another name.")


def _check_beside(path: Path, overwrite: bool) -> None:
    """Refuse files of someone else where those of a checkpoint go: they would be removed with it."""
    from impasto.cli.checkpoints import beside, is_foreign, lock_of

    lock = Path(lock_of(path).lock_file)
    others = [other for other in beside(path) if other.exists() and not overwrite]
    if is_foreign(lock):
        raise OptionError(f"--checkpoint is '{path}', and '{lock}' is there already: choose another name.")
    if others:
        raise OptionError(
            f"--checkpoint is '{path}', and '{others[0]}' is there already: choose another name,"
            " or add -y if nobody needs that."
        )


def _check_giant(job: Job, pixels: int) -> None:
    from impasto.image.giant import LARGEST_CLASSIC, check_giants

    if job.format.name == "TIFF" and (job.options.output.pyramid or 4 * pixels > LARGEST_CLASSIC):
        check_giants()


def _check_format(job: Job) -> None:
    """Refuse a name that says another format than --format: other programs go by the name."""
    meant = EXTENSIONS.get(job.output.suffix.lower(), job.format.key)
    if meant != job.format.key:
        raise OptionError(f"-o is '{job.output}', and --format is '{job.format.key}': leave one of them out.")


def _check_animation(job: Job) -> None:
    if job.animation is None:
        return
    from impasto.animation import check_animation

    check_animation(job.animation, overwrite=job.may_replace(job.animation))
    if job.animation.exists():
        _check_is_no_input(job.animation, job)
    if _place(job.animation) == _place(job.output):
        raise OutputError(f"'{job.animation}' is the result as well: give --animate another name.")


def _check_stream(job: Job) -> None:
    if sys.__stdout__ is None:
        raise OutputError("-o - sends the picture to standard output, which is closed: open it, or give a file.")
    if sys.stdout.isatty():
        raise OutputError(
            "-o - sends the picture to another program, and none reads it: add | and that, or give a file."
        )
    if job.options.output.save_every:
        raise OptionError("--save-every writes files beside the result, and -o - makes no file: give -o a name.")


def _check_is_no_input(path: Path, job: Job) -> None:
    if any(path.samefile(picture) for picture in job.inputs.paths()):
        raise OutputError(f"'{path}' is one of the inputs, and would be lost: choose another -o.")


def _try_to_write(path: Path) -> None:
    """Make and remove a file in the way in which the result will be made: permissions do not tell all."""
    new_file_beside(path).unlink()
