"""The directive ``impasto-options``: tables of options and presets, made of ``impasto.spec`` at each build."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from impasto.presets import PRESETS
from impasto.spec import OutputOptions, RunOptions, StyleSpec
from impasto.validation import expected

__all__ = ["setup"]


class OptionsTable(SphinxDirective):
    """``{impasto-options} StyleSpec`` becomes a table of that record's fields; ``PRESETS`` is one of presets."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = StringList(list(TABLES[self.arguments[0]]()), source="impasto.spec")
        container = nodes.container()
        self.state.nested_parse(rows, self.content_offset, container)
        return list(container.children)


def _of_model(model: type[BaseModel]) -> Iterator[str]:
    """The lines of a table in Markdown, one field a row."""
    yield "| option | values | default | |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        help_text = str(field.description).replace("|", "\\|")
        yield f"| {_flag(name, field)} | {expected(field)} | {_default(field)} | {help_text} |"


def _flag(name: str, field: FieldInfo) -> str:
    dashed = name.replace("_", "-")
    return f"`--{dashed}`, `--no-{dashed}`" if field.default is True else f"`--{dashed}`"


def _default(field: FieldInfo) -> str:
    return "" if field.default is None or isinstance(field.default, bool) else f"`{_typed(field.default)}`"


def _of_presets() -> Iterator[str]:
    yield "| preset | options |"
    yield "|---|---|"
    for name, options in PRESETS.items():
        flags = " ".join(f"`--{key.replace('_', '-')} {_typed(value) or 0}`" for key, value in options.items())
        yield f"| `{name}` | {flags or 'the defaults'} |"


def _typed(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, Mapping):
        return ",".join(name if weight == 1 else f"{name}={weight:g}" for name, weight in value.items())
    if isinstance(value, tuple):
        return ",".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "StyleSpec": lambda: _of_model(StyleSpec),
    "RunOptions": lambda: _of_model(RunOptions),
    "OutputOptions": lambda: _of_model(OutputOptions),
    "PRESETS": _of_presets,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known to Sphinx."""
    app.add_directive("impasto-options", OptionsTable)
    return {"parallel_read_safe": True}
