"""The flags of ``stylize`` and ``demo``, made from the fields of StyleSpec, RunOptions and OutputOptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from impasto.cli.config import read_config
from impasto.errors import OptionError, did_you_mean
from impasto.networks import NETWORKS
from impasto.presets import PRESETS, resolve_spec
from impasto.spec import STARTS, OutputOptions, RunOptions, StyleSpec
from impasto.validation import build, choices_of, expected

__all__ = [
    "PROGRESS",
    "TWO_PICTURES",
    "Folders",
    "Options",
    "Overwrite",
    "ProgressName",
    "Quiet",
    "Show",
    "Verbose",
    "check_choice",
    "flag",
    "resolve",
    "unwrapped",
    "with_flags",
]

Folders = Annotated[
    list[str] | None,
    typer.Option(
        "--inputs",
        metavar="FOLDER",
        help="Another folder to look for the photo and the painting in; may be given again.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--yes", "-y", help="Replace files that exist.")]
Show = Annotated[bool, typer.Option("--show", help="Open the result in the system's viewer at the end.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what is computed where.")]
ProgressName = Annotated[
    str, typer.Option("--progress", metavar="NAME", help="How to show progress: auto, bar, json, none.")
]

ALIASES = {"size": ("--image-size",)}

METAVARS = {
    "weights": "FILE",
    "animate": "FILE",
    "memory": "SIZE",
    "time": "TIME",
    "format": "NAME",
    "checkpoint": "FILE",
    "checkpoint_every": "TIME",
}
"""What stands for a value in the help, where the type does not tell."""

PROPOSED = {
    "network": ("auto", *NETWORKS),
    "coarse_network": ("auto", "none", *NETWORKS),
    "init": STARTS,
    "size": ("original",),
}
"""What the shell proposes where the type does not tell."""

PICTURE, METHOD, RUNNING, OUTPUT = "The picture", "The method", "Running", "Output"
PICTURE_FIELDS = (
    "size",
    "strength",
    "content_weight",
    "style_weight",
    "tv_weight",
    "style_scale",
    "color",
    "init",
    "seed",
)


@dataclass(frozen=True)
class Options:
    """What was asked for, checked."""

    spec: StyleSpec
    run: RunOptions
    output: OutputOptions


def resolve(flags: Mapping[str, Any]) -> Options:
    """Lay default < preset < TOML file < flag over each other; raise OptionError or InputError for what is wrong.

    ``flags`` holds the fields of the models, ``preset`` and ``config``; None stands for a flag that was not given.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    file = read_config(given["config"]) if "config" in given else {}
    preset = given.get("preset", file.get("preset", "standard"))
    return Options(
        resolve_spec(preset, _of(StyleSpec, file), _of(StyleSpec, given)),
        build(RunOptions, _of(RunOptions, file) | _of(RunOptions, given)),
        build(OutputOptions, _of(OutputOptions, file) | _of(OutputOptions, given)),
    )


def _of(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in model.model_fields}


def with_flags(command: Callable[..., None], *, first: tuple[inspect.Parameter, ...]) -> Callable[..., None]:
    """Give ``command(**values)`` a signature that Typer can read: ``first``, then a flag for every option."""

    def run(**values: Any) -> None:
        command(**values)

    library = [*_model_flags(StyleSpec), *_model_flags(RunOptions)]
    parameters = [*first, *_source_flags(), *library, *_output_flags(), *_model_flags(OutputOptions)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = unwrapped(command.__doc__ or "")
    return run


def unwrapped(text: str) -> str:
    """Join the lines of each paragraph, for Typer to wrap them at the terminal's width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def flag(name: str, kind: Any, option: Any, default: Any = None) -> inspect.Parameter:
    """A parameter of a command that is an option or argument of Typer."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=default)


def _picture(name: str, help: str) -> inspect.Parameter:
    return flag(name, str, typer.Argument(help=help, metavar=name.upper(), show_default=False), ...)


TWO_PICTURES = (_picture("content", "The photo."), _picture("style", "The painting, or any other picture."))
"""The arguments of a command that is given a photo and a painting."""


def _option(*names: str, help: str, panel: str, metavar: str = "", choices: Sequence[str] = ()) -> Any:
    """An option of Typer; ``choices`` are what the shell proposes."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return typer.Option(
        *names,
        help=help,
        metavar=metavar,
        rich_help_panel=panel,
        show_default=False,
        autocompletion=complete if choices else None,
    )


def _source_flags() -> list[inspect.Parameter]:
    """Where options come from, besides flags."""
    names = list(PRESETS)
    preset = f"A named set of options: {', '.join(names)} (default: standard)."
    config = "A file with options by name; flags go before it."
    return [
        flag("preset", str | None, _option("--preset", metavar="NAME", help=preset, panel=PICTURE, choices=names)),
        flag("config", str | None, _option("--config", metavar="FILE.toml", help=config, panel=PICTURE)),
    ]


def _output_flags() -> list[inspect.Parameter]:
    """What the command line itself does with the result."""
    output = "The file to write, or - for standard output (default: CONTENT_STYLE.png, or a free name like it)."
    progress = f"How to show progress, on stderr: {', '.join(PROGRESS)} (default: auto)."
    switches = {
        "overwrite": ("--yes", "-y", "Replace files that exist."),
        "show": ("--show", "Open the result in the system's viewer at the end."),
        "quiet": ("--quiet", "-q", "Say nothing but errors."),
        "verbose": ("--verbose", "-v", "Say what is computed where, with which weights."),
    }
    return [
        flag("output", str | None, _option("--output", "-o", metavar="OUT", help=output, panel=OUTPUT)),
        *(
            flag(name, bool, _option(*names, help=help, panel=OUTPUT), False)
            for name, (*names, help) in switches.items()
        ),
        flag(
            "progress",
            str,
            _option("--progress", metavar="NAME", help=progress, panel=OUTPUT, choices=PROGRESS),
            "auto",
        ),
    ]


PROGRESS = ("auto", "bar", "json", "none")


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Raise OptionError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise OptionError(f"{option} is '{value}'.{did_you_mean(value, choices)} Choose from {', '.join(choices)}.")


def _model_flags(model: type[BaseModel]) -> Iterator[inspect.Parameter]:
    for name, field in model.model_fields.items():
        names = (f"--{name.replace('_', '-')}", *ALIASES.get(name, ()))
        panel = _panel(model, name)
        if field.annotation is bool:
            switch = f"{names[0]}/--no-{names[0][2:]}" if field.default else names[0]
            yield flag(name, bool | None, _option(switch, help=str(field.description), panel=panel))
            continue
        proposed = PROPOSED.get(name) or choices_of(field.annotation)
        metavar = METAVARS.get(name) or _metavar(field)
        option = _option(*names, help=_help(field), metavar=metavar, panel=panel, choices=proposed)
        # Values stay text, and None means "not given": spec.build checks them, after preset and file had their say.
        yield flag(name, str | None, option)


def _panel(model: type[BaseModel], name: str) -> str:
    if model is StyleSpec:
        return PICTURE if name in PICTURE_FIELDS else METHOD
    return RUNNING if model is RunOptions else OUTPUT


def _help(field: FieldInfo) -> str:
    """The description, the range and the default of a field."""
    remarks = [expected(field).removeprefix("a ")] if expected(field) else []
    if field.default is not None:
        remarks.append(f"default: {_as_text(field.default)}")
    return f"{field.description} ({'; '.join(remarks)})" if remarks else str(field.description)


def _as_text(value: Any) -> str:
    """A default as one would type it."""
    if isinstance(value, Mapping):
        return ",".join(name if weight == 1 else f"{name}={weight:g}" for name, weight in value.items())
    if isinstance(value, tuple):
        return ",".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _metavar(field: FieldInfo) -> str:
    """What stands for the value in the help."""
    kinds = {int: "N", float: "X", str: "TEXT", dict: "LAYERS", tuple: "X,X,...", Literal: "NAME"}
    found = (get_origin(field.annotation) or field.annotation, *get_args(field.annotation))
    return next((kinds[kind] for kind in found if kind in kinds), "TEXT")
