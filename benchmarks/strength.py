"""Whether one --strength looks the same at every size: style errors of 256, 512 and 1024 px results at 256 px.

python benchmarks/strength.py FOLDER CONTENT:STYLE ... [--sizes 256 512 1024] [--strength 0.5]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. Each result is reduced to the first size and compared with the
painting there; the last column is the largest error over the smallest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import impasto
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--strength", type=float, default=0.5)
    arguments = parser.parse_args()
    extractor = Extractor(VGG19, load_weights(VGG19), padding="zeros")
    print(f"{'pair':40}" + "".join(f"{size:>10}" for size in arguments.sizes) + "     ratio")
    for pair in arguments.pairs:
        content, _, style = pair.partition(":")
        photo, painting = (
            arguments.folder / kind / f"{name}.jpg" for kind, name in (("content", content), ("style", style))
        )
        target = reduced(read_image(painting), arguments.sizes[0])
        errors = []
        for size in arguments.sizes:
            picture = impasto.stylize(photo, painting, size=size, strength=arguments.strength).tensor
            errors.append(style_error(extractor, reduced(picture, arguments.sizes[0]), target))
        columns = "".join(f"{error:10.4f}" for error in errors)
        print(f"{pair:40}{columns}{max(errors) / min(errors):10.3f}", flush=True)


if __name__ == "__main__":
    main()
