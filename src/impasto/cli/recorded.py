"""What the settings in a picture say of a run, for those who make another one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.job import STDOUT, Inputs
from impasto.cli.options import Options
from impasto.errors import InputError
from impasto.image.files import ANY_PIXELS, File, name_of
from impasto.image.formats import format_of, named_format
from impasto.image.paths import expanded
from impasto.pyramid import coarse_network
from impasto.spec import STARTS, OutputOptions, RunOptions, StyleSpec
from impasto.validation import build

if TYPE_CHECKING:
    from impasto.record import Record

__all__ = ["Request", "find_input", "find_inputs", "folders_of", "recorded_options"]


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    file: File
    folders: tuple[Path, ...]
    changes: Mapping[str, str]
    output: str | None
    overwrite: bool


def folders_of(texts: Sequence[str] | None) -> tuple[Path, ...]:
    """The folders of --inputs; raise InputError for one that is none."""
    return tuple(_folder(text) for text in texts or ())


def _folder(text: str) -> Path:
    folder = expanded(text)
    if not folder.is_dir():
        raise InputError(f"--inputs is '{folder}', and there is no such folder: check the path.")
    return folder


def recorded_options(record: Record, request: Request) -> Options:
    """The options of the record with the changes; each choice is as it was resolved.

    More threads than there are cores would take many times as long; that the picture may differ is said.
    """
    from impasto.device import usable_cores

    recorded: dict[type[Any], dict[str, Any]] = {
        StyleSpec: record.style.model_dump(),
        RunOptions: {
            **record.run.model_dump(),
            "threads": min(record.run.threads, usable_cores()),
            "max_pixels": ANY_PIXELS,
        },
        OutputOptions: _written(record, request),
    }
    if request.changes.keys() & {"network", "content_layers", "style_layers"} and _left_to_us(record.style):
        recorded[StyleSpec] |= {"coarse_network": "auto"}  # what was right for others may not be for these
    style, run, output = (
        build(model, values | {name: value for name, value in request.changes.items() if name in model.model_fields})
        for model, values in recorded.items()
    )
    return Options(style, run, output)


def _left_to_us(spec: StyleSpec) -> bool:
    """Whether the ``coarse_network`` of ``spec``, as it was resolved, is what ``auto`` comes to."""
    return spec.coarse_network == (coarse_network(spec.model_copy(update={"coarse_network": "auto"})) or "none")


def _written(record: Record, request: Request) -> dict[str, Any]:
    """How the picture was written, unless it is to be of another format, which the extension of -o says as well; raise
    OutputError if that says none."""
    written = record.written.model_dump()
    if "format" in request.changes:
        other = named_format(request.changes["format"]).key
    elif request.output is None or request.output == str(STDOUT):
        other = written["format"]
    else:
        other = format_of(expanded(request.output), remedy="").key
    return written if other == written["format"] else {"format": other}


def find_inputs(record: Record, request: Request, spec: StyleSpec) -> Inputs:
    """The files that went in, by their contents; raise InputError for one that is not there."""
    content, style = (find_input(role, record, request) for role in ("content", "style"))
    start: File | None = None
    if "init" in request.changes:
        start = None if spec.init in STARTS else expanded(spec.init)
    elif "init" in record.inputs:
        start = find_input("init", record, request)
    return Inputs(content, style, start)


def find_input(role: str, record: Record, request: Request) -> Path:
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
