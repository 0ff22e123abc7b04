"""Whether one --strength looks the same at every size: style errors of results of several sizes at the smallest one.

python -m benchmarks.strength FOLDER OUTPUT CONTENT:STYLE ... [--sizes 512 1024 2048 4096] [--strength 0.5]
    [--network auto]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. Each result is reduced to the first size and compared with the
painting there; the last column is the largest error over the smallest. OUTPUT gets the results, none of which is
painted twice, and sheet.png, on which all have the same size.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import impasto
from benchmarks.networks.sheet import Cell, save_sheet
from benchmarks.speed import files_of
from impasto.features import Extractor
from impasto.image.read import read_image
from impasto.image.resize import resize
from impasto.metrics import style_error
from impasto.networks import VGG19
from impasto.spec import scaled_to_long_side
from impasto.weights import load_weights


def reduced(image: torch.Tensor, long_side: int) -> torch.Tensor:
    """Bring the long side to so many pixels."""
    return resize(image, scaled_to_long_side((image.shape[-2], image.shape[-1]), long_side))


def painted(output: Path, photo: Path, painting: Path, size: int, strength: float, network: str) -> Path:
    """The file of a result, painted if it is not there."""
    file = output / f"{photo.stem}_{painting.stem}_{network}_{size}_{strength:g}.png"
    if not file.is_file():
        start = time.perf_counter()
        impasto.stylize(photo, painting, size=size, strength=strength, network=network).save(file)
        print(f"{file.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return file


def main(arguments: Sequence[str] | None = None) -> None:
    """Paint what is missing, print the errors, draw the sheet."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.strength", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="CONTENT:STYLE")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--network", default="auto")
    parser.add_argument("--cell", type=int, default=512, help="pixels of a cell of the contact sheet")
    parsed = parser.parse_args(arguments)
    parsed.output.mkdir(parents=True, exist_ok=True)
    extractor = Extractor(VGG19, load_weights(VGG19), padding="zeros")
    print(f"{'pair':40}" + "".join(f"{size:>10}" for size in parsed.sizes) + "     ratio")
    rows = []
    for pair in parsed.pairs:
        photo, painting = files_of(parsed.folder, pair)
        target = reduced(read_image(painting), parsed.sizes[0])
        cells, errors = [Cell(photo, ("photo",)), Cell(painting, ("painting",))], []
        for size in parsed.sizes:
            file = painted(parsed.output, photo, painting, size, parsed.strength, parsed.network)
            errors.append(style_error(extractor, reduced(read_image(file), parsed.sizes[0]), target))
            cells.append(Cell(file, (f"{size} px", f"style error {errors[-1]:.3f}")))
        rows.append(cells)
        columns = "".join(f"{error:10.4f}" for error in errors)
        print(f"{pair:40}{columns}{max(errors) / min(errors):10.3f}", flush=True)
    save_sheet(rows, parsed.cell, parsed.output / "sheet.png")


if __name__ == "__main__":
    main()
