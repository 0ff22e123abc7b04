from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from impasto.image.files import opened, orientation, picture_size
from impasto.image.png import chunk, read_on
from impasto.image.read import read_picture

from .bare import noise


def encoded(*behind: bytes, before: bytes = b"") -> bytes:
    """A PNG with chunks around its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(noise(4, 6, kind=np.uint8)).save(buffer, "PNG")
    plain = buffer.getvalue()
    return plain[:33] + before + plain[33:-12] + b"".join(behind) + plain[-12:]


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return chunk(b"eXIf", exif.tobytes()[6:])


def test_what_stands_behind_the_pixels_is_known_before_any_is_decoded() -> None:
    with opened(encoded(chunk(b"tEXt", b"Title\0Boats"), turned())) as image:
        assert image.info["Title"] == "Boats"
        assert orientation(image) == 6
        assert image.tile  # which are those still to be decoded
        assert np.array_equal(np.asarray(image), noise(4, 6, kind=np.uint8))


@pytest.mark.parametrize("data", [encoded(turned()), encoded(before=turned())])
def test_a_png_is_turned_wherever_that_is_said(data: bytes) -> None:
    assert picture_size(data) == (6, 4)
    assert read_picture(data).size == (6, 4)


def test_what_is_said_before_the_pixels_counts_more() -> None:
    data = encoded(chunk(b"tEXt", b"Title\0Behind"), before=chunk(b"tEXt", b"Title\0Before"))
    with opened(data) as image:
        assert image.info["Title"] == "Before"


@pytest.mark.parametrize(
    "damaged",
    [
        chunk(b"eXIf", b"nonsense"),
        chunk(b"iTXt", b"Title"),
        b"\x7f\xff\xff\xfftEXtTitle",
        chunk(b"tEXt", b"Title\0Boats")[:-1] + b"?",
    ],
    ids=["EXIF", "text", "length", "checksum"],
)
def test_damage_behind_the_pixels_does_not_matter(damaged: bytes) -> None:
    picture = read_picture(encoded(damaged))
    assert picture.stored[0].permute(1, 2, 0).tolist() == noise(4, 6, kind=np.uint8).tolist()


def test_what_is_damaged_does_not_hide_what_stands_before_it() -> None:
    inflated = chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(2_000_000)))  # more than Pillow takes
    assert read_picture(encoded(turned(), inflated)).size == (6, 4)


def test_what_says_how_pixels_are_shown_counts_only_before_them() -> None:
    with opened(encoded(chunk(b"tRNS", bytes((0, 1, 0, 2, 0, 3))))) as image:
        assert "transparency" not in image.info


def test_other_pictures_are_left_alone() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "JPEG")
    for image in (Image.new("RGB", (2, 2)), Image.open(buffer)):
        before = dict(image.info)
        read_on(image)
        assert image.info == before
