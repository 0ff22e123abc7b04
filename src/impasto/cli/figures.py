"""The figures of finished pictures as people, or programs, read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from impasto.cli.printable import printable

if TYPE_CHECKING:
    from impasto.metrics import Figures

__all__ = ["LABELS", "print_figures"]

LABELS = {
    "content_error": "content error",
    "ssim": "SSIM",
    "style_error": "style error",
    "style_error_half": "style error 1/2",
    "style_error_quarter": "style error 1/4",
    "sliced_wasserstein": "Wasserstein",
    "sliced_wasserstein_half": "Wasserstein 1/2",
    "sliced_wasserstein_quarter": "Wasserstein 1/4",
    "color_cast": "color cast",
    "color_grain": "color grain",
    "border_energy": "border energy",
    "speck_share": "specks",
}
"""What people call the figures."""

MOST_COLUMNS = 4
"""More pictures than these have a row each, and not a column."""


def print_figures(names: Sequence[str], found: Sequence[Figures], network: str, *, as_json: bool) -> None:
    """Print what ``network`` measured of the pictures ``names``: a table, or a JSON list."""
    if as_json:
        named = zip(names, found, strict=True)
        typer.echo(json.dumps([{"output": name, **figures.as_dict()} for name, figures in named], indent=2))
        return
    typer.echo(f"Figures of {network}: lower is nearer or cleaner; of SSIM, higher is nearer.\n")
    for line in _table([printable(name) for name in names], found):
        typer.echo(line)


def _table(names: Sequence[str], found: Sequence[Figures]) -> Iterator[str]:
    """A line for each figure, or for each picture if they are many."""
    columns = [figures.as_dict() for figures in found]
    rows = [["", *names], *([label, *(f"{each[key]:.4f}" for each in columns)] for key, label in LABELS.items())]
    if len(names) > MOST_COLUMNS:
        rows = [list(row) for row in zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells))
