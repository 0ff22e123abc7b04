"""``impasto rerun``: a picture made again from the settings that it carries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.job import Job, stem_of
from impasto.cli.options import Folders, Options, Overwrite, ProgressName, Quiet, Show, Verbose
from impasto.cli.preflight import check_inputs, file_of, ready
from impasto.cli.recorded import Request, find_inputs, folders_of, recorded_options
from impasto.cli.running import run_job
from impasto.errors import OptionError, did_you_mean
from impasto.image.files import File
from impasto.image.formats import named_format
from impasto.image.paths import expanded
from impasto.pyramid import Level
from impasto.spec import OutputOptions, RunOptions, StyleSpec

__all__ = ["EXAMPLES", "rerun"]

EXAMPLES = """Examples:

impasto rerun painted.png

impasto rerun painted.png --inputs ~/Pictures --inputs ~/Paintings -o again.png

impasto rerun painted.png --set strength=0.7 --set size=1024
"""

PLANNING = {
    "size",
    "style_scale",
    "num_iterations",
    "coarse_iterations",
    "early_iterations",
    "final_iterations",
    "network",
    "coarse_network",
    "content_layers",
    "style_layers",
    "time",
}
"""The options that decide sizes and evaluations: when one is changed, these are planned anew."""


def rerun(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A picture that impasto made.", show_default=False)],
    inputs: Folders = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="The file to write (default: FILE_rerun, or a free name like it)."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change an option of stylize; may be given again."),
    ] = None,
    overwrite: Overwrite = False,
    show: Show = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: ProgressName = "auto",
) -> None:
    """Make a picture again, from the settings in it and the same photo and painting.

    These are found by their contents, whatever their names are. With the same versions on the same type of processor,
    the file comes out the same byte for byte; what differs is said.
    """
    request = Request(file_of(file), folders_of(inputs), _changes(settings or ()), output, overwrite)
    values = {"progress": progress, "quiet": quiet, "verbose": verbose, "show": show}
    run_job(lambda: _job(request), values)


def _changes(settings: Sequence[str]) -> dict[str, str]:
    changes = {}
    names = [name for model in (StyleSpec, RunOptions, OutputOptions) for name in model.model_fields]
    for setting in settings:
        key, separator, value = setting.partition("=")
        name = key.strip().replace("-", "_")
        if not separator:
            raise OptionError(f"--set is '{setting}': expected NAME=VALUE, such as strength=0.7.")
        if name not in names:
            raise OptionError(f"--set is '{setting}': there is no option '{key}'.{did_you_mean(name, names)}")
        changes[name] = value.strip()
    return changes


def _job(request: Request) -> Job:
    from impasto.prepare import Schedule
    from impasto.record import read_record

    record = read_record(request.file)
    options = recorded_options(record, request)
    inputs = find_inputs(record, request, options.spec)
    planned = check_inputs(inputs, options)
    schedule = None
    was_photo, is_photo = record.style.strength == 0, options.spec.strength == 0  # for which nothing is computed
    if was_photo == is_photo and not PLANNING & request.changes.keys():
        schedule = Schedule(record.size[::-1], record.plan())
    levels: Sequence[Level] = schedule.levels if schedule else planned
    target = expanded(request.output) if request.output is not None else _default_output(request.file, options)
    return ready(Job(inputs, target, request.overwrite, options, request.output is None, schedule, record), levels)


def _default_output(file: File, options: Options) -> Path:
    extension = named_format(options.output.format or "png").extensions[0]
    return Path(f"{stem_of(file)}_rerun{extension}")
