"""Paint every photo of a folder in the hand of every painting of another, and lay the results out on one sheet.

python scripts/contact_sheet.py PHOTOS PAINTINGS OUT [--size 256] [--strength 0.5] [--preset standard]
    [--few | --pairs PHOTO:PAINTING ...]

OUT is a folder: one PNG a pair, figures.tsv with the figures of impasto.metrics, and sheet.jpg. Pairs that are there
already are not painted again, so a sheet that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from pathlib import Path

from PIL import Image

import impasto
from impasto.features import Extractor
from impasto.image.read import read_image
from impasto.metrics import measure
from impasto.networks import VGG19
from impasto.weights import load_weights

Pair = tuple[Path, Path]


def find_pairs(photos: Path, paintings: Path, wanted: list[str], few: bool) -> list[Pair]:
    """All pairs, those named as photo:painting by the stems of the files, or two paintings a photo, in turn."""
    contents = {path.stem: path for path in sorted(photos.glob("*.jpg"))}
    styles = {path.stem: path for path in sorted(paintings.glob("*.jpg"))}
    if wanted:
        names = [pair.split(":") for pair in wanted]
        return [(contents[content], styles[style]) for content, style in names]
    if few:
        turns = itertools.cycle(styles.values())
        return [(content, next(turns)) for content in contents.values() for _ in range(2)]
    return [(content, style) for content in contents.values() for style in styles.values()]


def paint(pair: Pair, out: Path, extractor: Extractor, options: dict[str, object]) -> None:
    """Paint one pair and append its figures."""
    content, style = pair
    target = out / f"{content.stem}_{style.stem}.png"
    if target.exists():
        return
    impasto.stylize(content, style, **options).save(target)
    figures = measure(extractor, read_image(target), read_image(content), read_image(style)).as_dict()
    table = out / "figures.tsv"
    is_new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        if is_new:
            writer.writerow(["content", "style", *figures])
        writer.writerow([content.stem, style.stem, *(f"{value:.4f}" for value in figures.values())])


def lay_out(pairs: list[Pair], out: Path, cell: int) -> Image.Image:
    """A row for each photo and a column for each painting, or rows of photo, painting and result for chosen pairs."""
    contents = list(dict.fromkeys(content for content, _ in pairs))
    styles = list(dict.fromkeys(style for _, style in pairs))
    if len(contents) * len(styles) == len(pairs):
        rows: list[list[Path | None]] = [[None, *styles]]
        rows += [[content, *(out / f"{content.stem}_{style.stem}.png" for style in styles)] for content in contents]
    else:
        triples = [[content, style, out / f"{content.stem}_{style.stem}.png"] for content, style in pairs]
        rows = [
            [path for triple in triples[start : start + 2] for path in triple] for start in range(0, len(triples), 2)
        ]
    sheet = Image.new("RGB", (cell * max(map(len, rows)), cell * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, path in enumerate(row):
            if path is not None:
                with Image.open(path) as picture:
                    picture.thumbnail((cell - 4, cell - 4), Image.Resampling.LANCZOS)
                    sheet.paste(picture.convert("RGB"), (x * cell, y * cell))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="256")
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--pairs", nargs="*", default=[])
    parser.add_argument("--few", action="store_true", help="two paintings a photo, in turn, instead of all")
    parser.add_argument("--cell", type=int, default=200, help="pixels of a cell of the sheet")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    pairs = find_pairs(arguments.photos, arguments.paintings, arguments.pairs, arguments.few)
    extractor = Extractor(VGG19, load_weights(VGG19), padding="zeros")
    options: dict[str, object] = {
        "size": arguments.size,
        "strength": arguments.strength,
        "preset": arguments.preset,
    }
    for number, pair in enumerate(pairs, start=1):
        print(f"{number} of {len(pairs)}: {pair[0].stem} x {pair[1].stem}", flush=True)
        paint(pair, arguments.out, extractor, options)
    lay_out(pairs, arguments.out, arguments.cell).save(arguments.out / "sheet.jpg", quality=90)
    print(arguments.out / "sheet.jpg")


if __name__ == "__main__":
    main()
