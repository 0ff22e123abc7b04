"""Draw the demo pictures: one photograph-like content image and three paintings to take the style from.

Run `python scripts/draw_demo [FOLDER] [--only NAME ...]` from anywhere; the pictures are the same every time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import landscape
import mosaic
import swirls
import woodcut
from PIL import Image

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "src" / "impasto" / "demo"

# The JPEG quality of each keeps the four of them together small enough to ship inside the package.
PICTURES: dict[str, tuple[Callable[[], Image.Image], int]] = {
    "landscape": (landscape.draw, 88),
    "swirls": (swirls.draw, 80),
    "mosaic": (mosaic.draw, 78),
    "woodcut": (woodcut.draw, 78),
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="draw_demo", description="Draw the demo pictures.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER, help="where to write them")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES), help="draw just these")
    return parser.parse_args()


def main() -> None:
    """Draw the pictures asked for and say where they went."""
    arguments = parse_arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        draw, quality = PICTURES[name]
        path = arguments.folder / f"{name}.jpg"
        draw().save(path, quality=quality, optimize=True, progressive=True)
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
