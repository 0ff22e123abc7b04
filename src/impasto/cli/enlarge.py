"""``impasto enlarge``: a finished picture gone on with, larger or longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.job import Inputs, Job, stem_of
from impasto.cli.options import Folders, Options, Overwrite, ProgressName, Quiet, Show, Verbose
from impasto.cli.preflight import check_inputs, file_of, ready
from impasto.cli.recorded import Request, find_input, folders_of, recorded_options
from impasto.cli.running import run_job
from impasto.errors import InputError, OptionError
from impasto.image.files import ANY_PIXELS, File, picture_size
from impasto.image.formats import named_format
from impasto.image.paths import expanded
from impasto.pyramid import Level
from impasto.spec import RunOptions, StyleSpec, scaled_to_long_side
from impasto.validation import build

__all__ = ["EXAMPLES", "enlarge"]

EXAMPLES = """Examples:

impasto enlarge painted.png --size 2048

impasto enlarge painted.png --size 4096 --memory 4G --inputs ~/Pictures -o poster.png

impasto enlarge painted.png --num-iterations 100
"""


def enlarge(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A picture that impasto made.", show_default=False)],
    size: Annotated[
        str | None,
        typer.Option(metavar="N", help="Long side of the new picture in pixels; as it is unless given."),
    ] = None,
    num_iterations: Annotated[
        str | None, typer.Option(metavar="N", help="Evaluations at the full size; as many as before unless given.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How much may be used, such as 800M or 4G.")
    ] = None,
    inputs: Folders = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="The file to write (default: FILE_SIZE, or a free name like it)."
        ),
    ] = None,
    overwrite: Overwrite = False,
    show: Show = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: ProgressName = "auto",
) -> None:
    """Go on with a finished picture, at a larger size or for longer.

    It starts from the picture itself, with the photo, the painting and the options that its settings name; these are
    found by their contents, whatever their names are.
    """
    wanted = {"size": size, "num_iterations": num_iterations, "memory": memory}
    changes = {name: value for name, value in wanted.items() if value is not None}
    request = Request(file_of(file), folders_of(inputs), changes, output, overwrite)
    values = {"progress": progress, "quiet": quiet, "verbose": verbose, "show": show}
    run_job(lambda: _job(request), values)


def _job(request: Request) -> Job:
    from impasto.prepare import Schedule
    from impasto.record import read_record

    record = read_record(request.file)
    options = recorded_options(record, request)
    # It is no repetition: computed where and how it is best here.
    chosen = {name: request.changes[name] for name in ("memory",) if name in request.changes}
    run = build(RunOptions, {"max_pixels": ANY_PIXELS, **chosen})
    before = record.size[::-1]
    _check_is_whole(request.file, before)
    size = _new_size(before, options.spec, request)
    # These proportions to the pixel, whatever the photo's are.
    spec = options.spec.model_copy(update={"size": f"{size[1]}x{size[0]}", "init": "content"})
    options = Options(spec, run, options.output)
    content, style = (find_input(role, record, request) for role in ("content", "style"))
    inputs = Inputs(content, style, request.file)
    levels = _left(check_inputs(inputs, options), before, spec)
    target = expanded(request.output) if request.output is not None else _default_output(request, options, size)
    schedule = Schedule(size, levels, is_fitted=False)
    return ready(Job(inputs, target, request.overwrite, options, request.output is None, schedule), levels)


def _check_is_whole(file: File, recorded: tuple[int, int]) -> None:
    """Raise InputError for a picture that another program has turned, cut or brought to another size."""
    height, width = picture_size(file, max_pixels=ANY_PIXELS)
    if (height, width) != recorded:
        raise InputError(
            f"The picture has {width} x {height} pixels, and impasto painted {recorded[1]} x {recorded[0]}: another"
            " program has changed it. Give it as it was, or use it as the --init of a run of its own."
        )


def _new_size(before: tuple[int, int], spec: StyleSpec, request: Request) -> tuple[int, int]:
    """(height, width) of the new picture; raise OptionError if that would be smaller."""
    if "size" not in request.changes:
        return before
    if not spec.size.isdecimal():
        raise OptionError(f"--size is '{spec.size}': give the long side in pixels; the proportions stay as they are.")
    if int(spec.size) < max(before):
        raise OptionError(
            f"--size is {spec.size}, and the picture has {before[1]} x {before[0]} pixels: give {max(before)} or more."
        )
    return scaled_to_long_side(before, int(spec.size))


def _left(levels: Sequence[Level], before: tuple[int, int], spec: StyleSpec) -> list[Level]:
    """What is left of ``levels`` for a picture of (height, width) ``before``: the larger ones, or more of the last."""
    larger = [level for level in levels if max(level.size) > max(before)]
    if spec.strength == 0:  # the photo, whatever its size
        return list(levels)
    return larger or [replace(levels[-1], iterations=spec.num_iterations)]


def _default_output(request: Request, options: Options, size: tuple[int, int]) -> Path:
    extension = named_format(options.output.format or "png").extensions[0]
    return Path(f"{stem_of(request.file)}_{max(size)}{extension}")
