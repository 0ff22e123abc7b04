from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from impasto.errors import InputError
from impasto.image.modes import flattened, upright

from .sources import alpha_ramp, grain

Array = np.ndarray
KINDS = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "CMYK": "CMYK", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB"}


@pytest.mark.parametrize("mode", KINDS)
def test_opaque_pictures_keep_what_a_profile_can_explain(mode: str) -> None:
    flat, alpha = flattened(Image.new(mode, (7, 5)), "it")
    assert (flat.mode, alpha) == (KINDS[mode], None)


@pytest.mark.parametrize(("mode", "kind"), [("LA", "L"), ("La", "L"), ("RGBA", "RGB"), ("RGBa", "RGB"), ("PA", "RGB")])
def test_color_and_alpha_come_apart(mode: str, kind: str) -> None:
    image = Image.fromarray(grain(channels=3 if kind == "RGB" else 1).squeeze())
    image.putalpha(Image.fromarray(alpha_ramp()))
    flat, alpha = flattened(image.convert(mode), "it")
    assert flat.mode == kind
    assert alpha is not None
    assert np.array_equal(alpha, alpha_ramp())


def test_colors_are_not_multiplied_by_alpha() -> None:
    flat, _ = flattened(Image.new("RGBA", (1, 1), (200, 100, 50, 1)), "it")
    assert flat.getpixel((0, 0)) == (200, 100, 50)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_one_color_may_be_hidden(mode: str) -> None:
    image = Image.new("L", (2, 1))
    image.putpixel((1, 0), 255)
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint16)) if mode == "I;16" else image.convert(mode)
    hidden = image.getpixel((1, 0))
    image.info["transparency"] = hidden
    _, alpha = flattened(image, "it")
    assert alpha is not None
    assert alpha.tolist() == [[255, 0]]


def test_numbers_of_32_bits_are_refused_by_name() -> None:
    for mode in ("I", "F"):
        with pytest.raises(InputError, match=r"^'a\.tif' has 32 bits a channel"):
            flattened(Image.new(mode, (2, 2)), "'a.tif'")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_turning_is_that_of_pillow(orientation: int, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(values)
    image.getexif()[0x0112] = orientation
    assert np.array_equal(upright(values, orientation), np.asarray(ImageOps.exif_transpose(image)))


BACK: dict[int, int] = {6: 8, 8: 6}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_there_and_back_is_nothing(orientation: int) -> None:
    turn: Callable[[Array, int], Array] = upright
    values = grain()
    assert np.array_equal(turn(turn(values, orientation), BACK.get(orientation, orientation)), values)
