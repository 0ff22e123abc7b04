from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from impasto.image.codepoints import has_other_code_points
from impasto.image.read import read_picture

from .sources import P3, colors, encoded, grain, matrix_profile, png, png_chunk

SRGB, DISPLAY_P3, BT2020, PQ, HLG = (1, 13), (12, 13), (9, 1), (9, 16), (9, 18)
FOLLOWED = {SRGB: True, DISPLAY_P3: False, BT2020: False, PQ: False, HLG: False, (1, 16): False, (2, 2): True}
REMARK = " is HDR or wide color by code points, and was read as sRGB: colors may be off."


def avif(primaries: int, transfer: int) -> bytes:
    data = bytearray(encoded(Image.fromarray(colors()), "AVIF"))
    place = data.index(b"colrnclx") + 8
    data[place : place + 4] = bytes((0, primaries, 0, transfer))
    return bytes(data)


@pytest.mark.parametrize("points", FOLLOWED)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_code_points_of_a_png_that_are_not_followed_are_said(points: tuple[int, int], kind: type) -> None:
    remarks = read_picture(png(grain(kind=kind), cICP=bytes((*points, 0, 1)))).remarks
    assert any(remark.endswith(REMARK) for remark in remarks) == (not FOLLOWED[points])


@pytest.mark.parametrize("points", FOLLOWED)
def test_code_points_of_an_avif_that_are_not_followed_are_said(points: tuple[int, int]) -> None:
    assert [f"the picture that was given{REMARK}"] * (not FOLLOWED[points]) == list(read_picture(avif(*points)).remarks)


@pytest.mark.parametrize("points", [SRGB, PQ])
def test_code_points_of_a_heic_that_are_not_followed_are_said(points: tuple[int, int]) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed")
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(colors(64, 64))).save(buffer)
    data = bytearray(buffer.getvalue())
    place = data.index(b"colrnclx") + 8
    data[place : place + 4] = bytes((0, points[0], 0, points[1]))
    assert any(remark.endswith(REMARK) for remark in read_picture(bytes(data)).remarks) == (points == PQ)


def test_beside_a_profile_that_was_followed_nothing_is_said() -> None:
    data = encoded(Image.fromarray(colors()), "PNG", icc_profile=matrix_profile(P3))
    data = data[:33] + png_chunk(b"cICP", bytes((*PQ, 0, 1))) + data[33:]
    with Image.open(io.BytesIO(data)) as image:
        assert has_other_code_points(image)
    assert read_picture(data).remarks == ()


@pytest.mark.parametrize("format", ["PNG", "AVIF", "JPEG", "WEBP", "TIFF", "GIF"])
def test_an_ordinary_file_has_no_others_and_is_left_where_it_is(format: str) -> None:
    with Image.open(io.BytesIO(encoded(Image.fromarray(colors()), format))) as image:
        place = image.fp.tell() if image.fp else 0
        assert not has_other_code_points(image)
        assert (image.fp.tell() if image.fp else 0) == place
        image.load()
    assert not has_other_code_points(image)


def test_a_png_that_ends_before_its_pixels_has_none() -> None:
    data = png(grain(), cICP=bytes((9, 16, 0, 1)))
    with Image.open(io.BytesIO(data)) as image:
        for end in (33, 37, 41, 42):
            image.fp = io.BytesIO(data[:end])
            assert not has_other_code_points(image)
