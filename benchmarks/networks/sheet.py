"""Contact sheets: a row a pair, with the photo, the painting and what each way makes of them, and figures below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from impasto.image.destination import write_bytes

TEXT = 13
SPACING = 3
MARGIN = 4


@dataclass(frozen=True)
class Cell:
    """A picture, None where there is none yet, and the lines below it."""

    picture: Path | None
    lines: tuple[str, ...]


def lay_out(rows: Sequence[Sequence[Cell]], side: int) -> Image.Image:
    """Draw ``rows`` of cells, each picture brought to a long side of ``side`` pixels."""
    drawn = [[_draw(cell, side) for cell in row] for row in rows]
    heights = [max(cell.height for cell in row) for row in drawn]
    sheet = Image.new("RGB", ((side + MARGIN) * max(map(len, rows)), sum(heights)), "white")
    for number, row in enumerate(drawn):
        for column, cell in enumerate(row):
            sheet.paste(cell, (column * (side + MARGIN), sum(heights[:number])))
    return sheet


def _draw(cell: Cell, side: int) -> Image.Image:
    """A picture with its lines below, ``side`` pixels wide."""
    shown = Image.new("RGB", (side, side // 4), "lightgray")
    if cell.picture is not None:
        with Image.open(cell.picture) as picture:
            shown = ImageOps.contain(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
    text_height = len(cell.lines) * (TEXT + SPACING) + 3 * MARGIN
    drawn = Image.new("RGB", (side, shown.height + text_height), "white")
    drawn.paste(shown)
    at, font = (MARGIN, shown.height + MARGIN), ImageFont.load_default(TEXT)
    ImageDraw.Draw(drawn).multiline_text(at, "\n".join(cell.lines), "black", font, spacing=SPACING)
    return drawn


def save_sheet(rows: Sequence[Sequence[Cell]], side: int, path: Path) -> None:
    """Write a sheet of ``rows`` as PNG."""
    buffer = io.BytesIO()
    lay_out(rows, side).save(buffer, "png")
    write_bytes(buffer.getvalue(), path, overwrite=True)
