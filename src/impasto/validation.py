"""Options made of what users wrote, and what to tell them when it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from impasto.errors import OptionError, did_you_mean

__all__ = ["build", "choices_of", "expected"]

Options = TypeVar("Options", bound=BaseModel)


def build(model: type[Options], values: Mapping[str, Any]) -> Options:
    """Make ``model`` out of ``values``; raise OptionError that names the option, the value and the choices."""
    unknown = [key for key in values if key not in model.model_fields]
    if unknown:
        raise OptionError(
            f"There is no option '{unknown[0]}'.{did_you_mean(unknown[0], model.model_fields)}"
            f" Options are {', '.join(model.model_fields)}."
        )
    try:
        return model(**values)
    except ValidationError as error:
        raise OptionError(_explain(error, model)) from None


def expected(field: FieldInfo) -> str:
    """Say which values ``field`` takes, such as "a number from 0 to 1"; "" where its parser says it better."""
    if choices := choices_of(field.annotation):
        return f"{', '.join(choices[:-1])} or {choices[-1]}"
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    kind = next((kinds[kind] for kind in (field.annotation, *get_args(field.annotation)) if kind in kinds), "")
    bounds = {name: getattr(item, name) for item in field.metadata for name in BOUNDS if hasattr(item, name)}
    return kind and kind + _range(bounds)


BOUNDS = ("ge", "gt", "le")


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The values of a Literal, also of one that may be missing; none for other types."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((choices for part in get_args(annotation) if (choices := choices_of(part))), ())


def _range(bounds: Mapping[str, float]) -> str:
    """ " from 0 to 1", ", 1 or more", " above 0, up to 1" or "": what the bounds of a field allow."""
    low, above, high = (_plain(bounds[name]) if name in bounds else "" for name in BOUNDS)
    if low:
        return f" from {low} to {high}" if high else f", {low} or more"
    lower, upper = f" above {above}" if above else "", f" up to {high}" if high else ""
    return f"{lower},{upper}" if lower and upper else lower + upper


def _plain(bound: float) -> str:
    if bound == 2**63 - 1:
        return "2^63 - 1"
    return f"{int(bound) if bound == int(bound) else bound:,}"


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence for the first thing wrong."""
    first = error.errors()[0]
    name, *inside = first["loc"]
    field = model.model_fields[str(name)]
    found = f"--{str(name).replace('_', '-')} is '{_short(first['input'])}'"
    if choices := choices_of(field.annotation):
        return f"{found}.{did_you_mean(str(first['input']), choices)} Choose from {', '.join(choices)}."
    if first["type"] == "value_error":  # from one of the parsers above
        return f"{found}: {first['ctx']['error']}."
    if inside:
        where = f"--{str(name).replace('_', '-')} has '{_short(first['input'])}'"
        at = f" for {inside[0]}" if isinstance(inside[0], str) else ""
        return f"{where}{at}: expected a number{_range(first.get('ctx', {}))}."
    kind = expected(field)
    return f"{found}: expected {kind}." if kind else f"{found}. {field.description}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
