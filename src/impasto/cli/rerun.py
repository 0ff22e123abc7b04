"""``impasto rerun``: a picture made again from the settings that it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.job import Inputs, Job, stem_of
from impasto.cli.options import Options
from impasto.cli.preflight import check_inputs, check_outputs, file_of, with_free_name
from impasto.cli.running import run_job
from impasto.errors import InputError, OptionError, did_you_mean
from impasto.image.files import File, name_of
from impasto.image.formats import EXTENSIONS, named_format
from impasto.image.paths import expanded
from impasto.pyramid import Level
from impasto.spec import STARTS, OutputOptions, RunOptions, StyleSpec
from impasto.validation import build

if TYPE_CHECKING:
    from impasto.record import Record

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


MOST_PIXELS = 2**40
"""The limit for inputs that are known by their SHA-256, and were read before."""


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    file: File
    folders: tuple[Path, ...]
    changes: Mapping[str, str]
    output: str | None
    overwrite: bool


def rerun(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A picture that impasto made.", show_default=False)],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the photo and the painting are, besides the folder of FILE; may be given again.",
            show_default=False,
        ),
    ] = None,
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
    overwrite: Annotated[bool, typer.Option("--yes", "-y", help="Replace files that exist.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Open the result in the system's viewer at the end.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is computed where.")] = False,
    progress: Annotated[
        str, typer.Option(metavar="NAME", help="How to show progress: auto, bar, json, none.")
    ] = "auto",
) -> None:
    """Make a picture again, from the settings in it and the same photo and painting.

    These are found by their contents, whatever their names are. With the same versions on the same type of processor,
    the file comes out the same byte for byte; what differs is said.
    """
    folders = tuple(_folder(folder) for folder in inputs or ())
    request = Request(file_of(file), folders, _changes(settings or ()), output, overwrite)
    values = {"progress": progress, "quiet": quiet, "verbose": verbose, "show": show}
    run_job(lambda: _job(request), values)


def _folder(text: str) -> Path:
    folder = expanded(text)
    if not folder.is_dir():
        raise InputError(f"--inputs is '{folder}', and there is no such folder: check the path.")
    return folder


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
    options = _options(record, request)
    inputs = _found(record, request, options.spec)
    planned = check_inputs(inputs, options)
    schedule = None
    was_photo, is_photo = record.style.strength == 0, options.spec.strength == 0  # for which nothing is computed
    if was_photo == is_photo and not PLANNING & request.changes.keys():
        schedule = Schedule(record.size[::-1], record.plan())
    levels: Sequence[Level] = schedule.levels if schedule else planned
    target = expanded(request.output) if request.output else _default_output(request.file, options)
    job = Job(inputs, target, request.overwrite, options, request.output is None, schedule, record)
    job = with_free_name(job, levels)
    check_outputs(job, levels)
    return job


def _options(record: Record, request: Request) -> Options:
    """The options of the record with the changes; each choice is as it was resolved.

    More threads than there are cores would take many times as long; that the picture may differ is said.
    """
    from impasto.device import usable_cores

    recorded: dict[type[Any], dict[str, Any]] = {
        StyleSpec: record.style.model_dump(),
        RunOptions: {
            **record.run.model_dump(),
            "threads": min(record.run.threads, usable_cores()),
            "max_pixels": MOST_PIXELS,
        },
        OutputOptions: _written(record, request),
    }
    if request.changes.keys() & {"network", "content_layers", "style_layers"}:
        recorded[StyleSpec] |= {"coarse_network": "auto"}  # what was right for others may not be for these
    style, run, output = (
        build(model, values | {name: value for name, value in request.changes.items() if name in model.model_fields})
        for model, values in recorded.items()
    )
    return Options(style, run, output)


def _written(record: Record, request: Request) -> dict[str, Any]:
    """How the picture was written, unless -o has the extension of another format."""
    written = record.written.model_dump()
    extension = Path(request.output).suffix.lower() if request.output else ""
    other = EXTENSIONS.get(extension, written["format"])
    return written if other == written["format"] else {"format": other}


def _found(record: Record, request: Request, spec: StyleSpec) -> Inputs:
    content, style = (_find(role, record, request) for role in ("content", "style"))
    start: File | None = None
    if "init" in request.changes:
        start = None if spec.init in STARTS else expanded(spec.init)
    elif "init" in record.inputs:
        start = _find("init", record, request)
    return Inputs(content, style, start)


def _find(role: str, record: Record, request: Request) -> Path:
    """The file that was the ``role`` of the run."""
    wanted = record.inputs.get(role)
    if wanted is None:
        raise InputError(
            f"The {role} of {name_of(request.file)} was no file but given by a program, which has to do it again."
        )
    folders = (_place(request.file), *request.folders)
    path = wanted.find(folders)
    if path is None:
        names = ", ".join(f"'{folder}'" for folder in folders)
        raise InputError(
            f"The {role} '{wanted.name}' (SHA-256 {wanted.sha256[:12]}...) is not in {names}: name its folder with"
            " --inputs."
        )
    return path


def _place(file: File) -> Path:
    """The folder in which the inputs are looked for first."""
    return file.parent if isinstance(file, Path) else Path()


def _default_output(file: File, options: Options) -> Path:
    extension = named_format(options.output.format or "png").extensions[0]
    return Path(f"{stem_of(file)}_rerun{extension}")
