"""``--config FILE.toml``: options by their names, flat or under [style], [run] and [output]."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from impasto.errors import InputError, OptionError, did_you_mean
from impasto.image.paths import expanded
from impasto.presets import get_preset
from impasto.spec import OutputOptions, RunOptions, StyleSpec
from impasto.validation import build

__all__ = ["read_config"]

LARGEST_FILE = 1_000_000

TABLES: dict[str, type[BaseModel]] = {"style": StyleSpec, "run": RunOptions, "output": OutputOptions}


def read_config(path: str) -> dict[str, Any]:
    """Return the options in a TOML file, flat, by field name, each checked; ``preset`` may be among them.

    Raises InputError if the file is missing or no TOML, OptionError for names and values that cannot be.
    """
    content = _parse(expanded(path))
    try:
        options = dict(_flatten(content))
        for model in TABLES.values():
            build(model, {name: value for name, value in options.items() if name in model.model_fields})
        if "preset" in options:
            options["preset"] = str(options["preset"])
            get_preset(options["preset"])
    except OptionError as error:
        raise OptionError(f"In '{path}': {error}") from None
    return options


def _parse(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise InputError(f"--config is '{path}', which is no regular file: give a TOML file.")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"--config is '{path}', which is too large for a file of options.")
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"There is no file '{path}' for --config: check the path.") from None
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error}): check --config.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"'{path}' is not valid TOML: {error}.") from None
    except UnicodeDecodeError:
        raise InputError(f"'{path}' is not text in UTF-8: save it as such, or check --config.") from None
    except (RecursionError, ValueError):  # nested too deep, or numbers of thousands of digits
        raise InputError(f"'{path}' has values that cannot be options: check --config.") from None


def _flatten(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (field name, value) of a file's content; raise OptionError for what is no option."""
    every = [name for model in TABLES.values() for name in model.model_fields]
    for key, value in content.items():
        if key in TABLES and isinstance(value, Mapping):
            names = list(TABLES[key].model_fields)
            yield from ((_known(inner, names, f" in [{key}]"), setting) for inner, setting in value.items())
        else:
            yield _known(key, [*every, "preset"]), value


def _known(key: str, names: list[str], where: str = "") -> str:
    name = key.replace("-", "_")
    if name not in names:
        raise OptionError(f"There is no option '{key}'{where}.{did_you_mean(name, names)}")
    return name
