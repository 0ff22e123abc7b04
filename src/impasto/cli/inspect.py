"""``impasto inspect``: the settings that a picture carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from impasto.cli.preflight import file_of
from impasto.cli.printable import printable

__all__ = ["EXAMPLES", "inspect"]

EXAMPLES = """Examples:

impasto inspect painted.png

impasto inspect painted.png --json
"""


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A picture that impasto made.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON, for programs.")] = False,
) -> None:
    """Print the settings with which a picture was made: inputs, options, sizes, versions."""
    from impasto.record import read_record

    record = read_record(file_of(file))
    if as_json:
        typer.echo(json.dumps(record.model_dump(mode="json", exclude_none=True), indent=2))
        return
    for line in _lines(record.model_dump(mode="json", exclude_none=True)):
        typer.echo(printable(line))


def _lines(content: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """One line a value, with what belongs together under a common name."""
    for name, value in content.items():
        if isinstance(value, Mapping) and name not in ("content_layers", "style_layers"):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "    ")
        elif name == "levels":
            yield f"{indent}{name}:"
            yield from (f"{indent}    {_level(level)}" for level in value)
        else:
            yield f"{indent}{name + ':':<20}{_as_text(value)}"


def _level(level: Mapping[str, Any]) -> str:
    network = f" of {level['network']}" if level.get("network") else ""
    sizes = f"{_as_text(level['size'])}, painting {_as_text(level['style_size'])}"
    return f"{sizes}: {level['iterations']} evaluations{network}"


def _as_text(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={weight:g}" for name, weight in value.items())
    if isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) for side in value):
        return f"{value[0]} x {value[1]}"
    if isinstance(value, list):
        return ",".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
