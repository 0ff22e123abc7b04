"""Draw the pictures of docs/options.md: the demo's landscape in the hand of the demo's paintings, an option at a time;
and three_hands, the one that README begins with.

    .venv/bin/python scripts/draw_docs.py [-y] [NAME ...]

Needs the weights of VGG-19 (impasto weights get vgg19), and some 20 minutes of two cores. Pictures that are there are
kept unless -y is given; NAME draws only these.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

import impasto

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "src" / "impasto" / "demo"
FOLDER = ROOT / "docs" / "images" / "options"
SIDE = 240
QUALITY = 80

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Drawing:
    """A picture in the hand of ``style`` with ``options`` other than the defaults, or the part of it in ``box``.

    The sides of ``box`` are shares of the picture's width and height, and what is in it is brought to ``SIDE``.
    """

    options: dict[str, Any] = field(default_factory=dict)
    style: str = "swirls"
    box: Box | None = None

    def draw(self) -> Image.Image:
        """Run impasto."""
        options = {"size": SIDE, **self.options}
        picture = impasto.stylize(DEMO / "landscape.jpg", DEMO / f"{self.style}.jpg", **options).image
        if self.box is None:
            return picture
        width, height = picture.size
        part = tuple(round(share * side) for share, side in zip(self.box, (width, height) * 2, strict=True))
        return _at_size(picture.crop(part), Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Input:
    """A picture of the demo as it is."""

    name: str

    def draw(self) -> Image.Image:
        """Reduce it."""
        with Image.open(DEMO / f"{self.name}.jpg") as picture:
            return _at_size(picture, Image.Resampling.LANCZOS)


def _at_size(picture: Image.Image, filter: Image.Resampling) -> Image.Image:
    factor = SIDE / max(picture.size)
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), filter)


@dataclass(frozen=True)
class Hands:
    """The landscape, and what the three paintings make of it, each with the painting in its corner."""

    size: int = 512
    gap: int = 8
    inset: int = 120
    frame: int = 6

    def draw(self) -> Image.Image:
        """Run impasto three times."""
        painted = [self._painted(style) for style in ("swirls", "mosaic", "woodcut")]
        width, height = painted[0].size
        with Image.open(DEMO / "landscape.jpg") as photo:
            pictures = [photo.resize((width, height), Image.Resampling.LANCZOS), *painted]
        sheet = Image.new("RGB", (2 * width + self.gap, 2 * height + self.gap), "white")
        for number, picture in enumerate(pictures):
            sheet.paste(picture, ((number % 2) * (width + self.gap), (number // 2) * (height + self.gap)))
        return sheet

    def _painted(self, style: str) -> Image.Image:
        picture = impasto.stylize(DEMO / "landscape.jpg", DEMO / f"{style}.jpg", size=self.size).image
        with Image.open(DEMO / f"{style}.jpg") as painting:
            small = painting.copy()
        small.thumbnail((self.inset, self.inset), Image.Resampling.LANCZOS)
        framed = Image.new("RGB", (small.width + self.frame, small.height + self.frame), "white")
        framed.paste(small, (self.frame, self.frame))
        picture.paste(framed, (picture.width - framed.width, picture.height - framed.height))
        return picture


PEAK: Box = (0.4, 0.05, 0.9, 0.55)

PICTURES: dict[str, Drawing | Input | Hands] = {
    "three_hands": Hands(),
    "photo": Input("landscape"),
    "painting": Input("swirls"),
    "mosaic": Input("mosaic"),
    "default": Drawing(),
    "strength_025": Drawing({"strength": 0.25}),
    "strength_075": Drawing({"strength": 0.75}),
    "strength_1": Drawing({"strength": 1.0}),
    "size_240_detail": Drawing(box=PEAK),
    "size_480_detail": Drawing({"size": 480}, box=PEAK),
    "size_240x120": Drawing({"size": "240x120"}),
    "style_scale_05": Drawing({"style_scale": 0.5}, "mosaic"),
    "style_scale_1": Drawing({}, "mosaic"),
    "style_scale_2": Drawing({"style_scale": 2.0}, "mosaic"),
    "color_content": Drawing({"color": "content"}),
    "color_match": Drawing({"color": "match"}),
    "content_weight_5": Drawing({"content_weight": 5.0}),
    "style_weight_10": Drawing({"style_weight": 10.0}),
    "tv_weight_0": Drawing({"tv_weight": 0.0}),
    "tv_weight_50": Drawing({"tv_weight": 50.0}),
    "content_layers_relu2_2": Drawing({"content_layers": "relu2_2"}),
    "style_layers_shallow": Drawing({"style_layers": "relu1_1,relu2_1"}),
    "style_layers_deep": Drawing({"style_layers": "relu4_1,relu5_1"}),
    "init_noise": Drawing({"init": "noise"}),
    "init_style": Drawing({"init": "style"}),
    "seed_0": Drawing({"init": "noise", "strength": 1.0}),
    "seed_1": Drawing({"init": "noise", "strength": 1.0, "seed": 1}),
    "preset_draft": Drawing({"preset": "draft"}),
    "preset_fine": Drawing({"preset": "fine"}),
    "preset_classic": Drawing({"preset": "classic"}),
    "coarse_iterations_0": Drawing({"coarse_iterations": (0,)}),
    "octaves_1": Drawing({"octaves": 1}),
    "padding_zeros": Drawing({"padding": "zeros"}),
    "pooling_average": Drawing({"pooling": "average"}),
    "normalization_classic": Drawing({"normalization": "classic"}),
    "optimizer_adam": Drawing({"optimizer": "adam"}),
}


def main() -> None:
    """Draw the pictures asked for and say where they are."""
    parser = argparse.ArgumentParser(prog="draw_docs", description="Draw the pictures of docs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones; all unless given: {', '.join(PICTURES)}")
    parser.add_argument("-y", "--yes", action="store_true", help="draw anew those that are there already")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - PICTURES.keys())
    if unknown:
        parser.error(f"there is no picture {', '.join(unknown)}: choose from {', '.join(PICTURES)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or PICTURES:
        path = (FOLDER.parent if name == "three_hands" else FOLDER) / f"{name}.jpg"
        if arguments.yes or not path.exists():
            PICTURES[name].draw().save(path, quality=QUALITY, optimize=True, progressive=True)
            print(f"{path}  {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
