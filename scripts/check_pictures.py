"""Paint real pairs from the command line and check the saved files by the figures of impasto.metrics.

python scripts/check_pictures.py FOLDER CONTENT:STYLE ... [--size 256]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. Exits 1 if a picture does not hold what is promised.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from impasto.color import match_color
from impasto.features import Extractor
from impasto.image.read import read_image
from impasto.image.resize import resize
from impasto.metrics import Figures, measure, speck_share
from impasto.networks import VGG19
from impasto.spec import scaled_to_long_side
from impasto.weights import load_weights

STYLE_SHARE = 0.55
"""The style error is at most this share of the photo's own."""

CONTENT_LIMIT = 0.8

BORDER_FACTOR = 1.5
"""The border is at most so many times as busy as the photo's own, or as the inside."""

SPECK_FACTOR = 2.0
SPECK_FLOOR = 0.005
"""Isolated saturated pixels: at most so many times the share in photo or painting, beyond a share of all pixels."""


@dataclass(frozen=True)
class Check:
    """One promise: the value found has to be under the limit."""

    name: str
    found: float
    limit: float

    @property
    def holds(self) -> bool:
        return self.found < self.limit


def checks(ours: Figures, photo: Figures, recolored: Figures, painting_specks: float) -> list[Check]:
    """What a finished picture has to hold against the photo itself and a plain transfer of color moments."""
    specks = SPECK_FACTOR * max(photo.speck_share, painting_specks) + SPECK_FLOOR
    return [
        Check("style error, against the photo's", ours.style_error, STYLE_SHARE * photo.style_error),
        Check("style error, against a color transfer's", ours.style_error, recolored.style_error),
        Check("content error", ours.content_error, CONTENT_LIMIT),
        Check("border energy", ours.border_energy, BORDER_FACTOR * max(1.0, photo.border_energy)),
        Check("specks", ours.speck_share, specks),
    ]


def check_pair(extractor: Extractor, folder: Path, pair: str, size: int) -> bool:
    """Paint one pair with `impasto stylize`, print the figures of the file, and say whether all promises hold."""
    content, _, style = pair.partition(":")
    photo_path, painting_path = folder / "content" / f"{content}.jpg", folder / "style" / f"{style}.jpg"
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "painted.png"
        command = ["stylize", str(photo_path), str(painting_path), "-o", str(output), "--size", str(size)]
        subprocess.run([sys.executable, "-m", "impasto", *command], check=True)
        painted = read_image(output)
    photo, painting = read_image(photo_path), read_image(painting_path)
    photo = resize(photo, (painted.shape[-2], painted.shape[-1]))
    figures = [
        measure(extractor, picture, photo, painting) for picture in (painted, photo, match_color(photo, painting))
    ]
    size = scaled_to_long_side((painting.shape[-2], painting.shape[-1]), max(painted.shape[-2:]))
    results = checks(*figures, speck_share(resize(painting, size)))
    for check in results:
        print(f"{pair:40} {check.name:42} {check.found:.4f} < {check.limit:.4f} {'ok' if check.holds else 'FAILED'}")
    return all(check.holds for check in results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    extractor = Extractor(VGG19, load_weights(VGG19), padding="zeros")
    held = [check_pair(extractor, arguments.folder, pair, arguments.size) for pair in arguments.pairs]
    print(f"{sum(held)} passed, {len(held) - sum(held)} failed")
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
