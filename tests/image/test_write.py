from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import OutputError
from impasto.image.files import picture_size
from impasto.image.formats import EXTENSIONS, FORMATS
from impasto.image.metadata import Metadata
from impasto.image.picture import Picture
from impasto.image.read import read_image, read_picture
from impasto.image.vips import has_pyvips
from impasto.image.write import encode, losses, to_pil, write_picture

from .sources import P3, matrix_profile


@pytest.fixture
def image() -> Tensor:
    """All 256 values in each channel, in an order of its own."""
    values = np.stack([np.random.default_rng(seed).permutation(256).reshape(16, 16) for seed in range(3)])
    return torch.from_numpy(values / 255)[None].float()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_values_survive_a_png(image: Tensor, tmp_path: Path) -> None:
    write_picture(Picture(image), tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), image)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("turn", [str.lower, str.upper])
def test_the_format_is_that_of_the_extension(extension: str, turn: type[str], image: Tensor, tmp_path: Path) -> None:
    path = tmp_path / f"a{turn(extension)}"
    write_picture(Picture(image), path)
    with Image.open(path) as written:
        assert (written.format, written.size) == (FORMATS[EXTENSIONS[extension]].name, (16, 16))
    assert names(tmp_path) == [path.name]


def test_a_jpeg_keeps_its_colors_at_full_resolution() -> None:
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0, :, ::2] = 1  # red lines one pixel wide: gone if the colors are subsampled
    with Image.open(io.BytesIO(encode(Picture(image), FORMATS["jpeg"]))) as written:
        values = np.asarray(written).astype(int)
    assert np.abs(values - np.asarray(to_pil(image)).astype(int)).mean() < 6


def test_values_are_rounded_to_the_nearest_and_cut_off_outside() -> None:
    values = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.5, 127.4 / 255]).view(1, 1, 1, 6)
    row = np.asarray(to_pil(values.expand(1, 3, 1, 6)))[0, :, 0]
    assert row.tolist() == [0, 0, 1, 255, 255, 127]


def test_encoding_is_reproducible(image: Tensor) -> None:
    for format in FORMATS.values():
        assert encode(Picture(image), format) == encode(Picture(image), format)


def test_an_existing_file_is_replaced_only_when_asked(image: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already: add -y"):
        write_picture(Picture(image), path)
    assert path.read_bytes() == b"precious"
    write_picture(Picture(image), path, overwrite=True)
    assert torch.equal(read_image(path), image)


@pytest.mark.parametrize("format", ["png", "tiff", "gif"])
def test_256_colors_survive_where_nothing_is_lost(format: str) -> None:
    gray = torch.arange(256).view(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    torch.testing.assert_close(read_image(encode(Picture(gray), FORMATS[format])), gray)


def test_the_quality_decides_the_length_of_the_file(image: Tensor) -> None:
    for name, format in FORMATS.items():
        lengths = [len(encode(Picture(image), format, quality=quality)) for quality in (10, 60, 99)]
        assert lengths == sorted(lengths)
        assert (lengths[0] == lengths[2]) == (name in ("png", "tiff", "gif"))


def test_webp_of_quality_100_loses_nothing(image: Tensor) -> None:
    assert torch.equal(read_image(encode(Picture(image), FORMATS["webp"], quality=100)), image)


@pytest.mark.parametrize("name", ["png", "webp", "tiff"])
def test_who_ignores_transparency_sees_the_colors_continue(name: str) -> None:
    """Encoders put black where nothing is visible unless told not to, and it bleeds in when the picture is reduced."""
    picture = Picture(torch.full((1, 3, 8, 8), 0.8), torch.eye(8).view(1, 1, 8, 8))
    with Image.open(io.BytesIO(encode(picture, FORMATS[name], quality=100))) as written:
        assert (np.asarray(written)[..., :3] == 204).all()


def test_the_quality_unless_given_is_that_of_the_format(image: Tensor) -> None:
    for format in FORMATS.values():
        assert encode(Picture(image), format) == encode(Picture(image), format, quality=format.quality)


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_16_bits_are_written_without_any_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.image.write.has_pyvips", lambda: False)
    values = torch.arange(65536).view(1, 1, 256, 256).expand(1, 3, 256, 256) / 65535
    picture = Picture(values, depth=16)
    assert losses(picture, FORMATS[name]) == []
    data = encode(picture, FORMATS[name])
    if has_pyvips():
        again = read_picture(data)
        assert again.depth == 16
        assert torch.equal(again.pixels, values)


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_16_bits_in_a_profile_take_the_extra_and_that_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.image.write.has_pyvips", lambda: False)
    picture = Picture(torch.rand(1, 3, 8, 8), depth=16, profile=matrix_profile(P3))
    assert losses(picture, FORMATS[name]) == [
        "The photo's 16 bits a channel were reduced to 8: pip install 'impasto[large]' keeps them."
    ]
    again = read_picture(encode(picture, FORMATS[name]))
    assert (again.depth, again.profile) == (8, picture.profile)


LOSSES = {
    "png": [],
    "jpeg": ["no transparency, so the picture was laid on white", "has 8 bits a channel, the photo 16"],
    "webp": ["has 8 bits a channel, the photo 16"],
    "avif": ["has 8 bits a channel, the photo 16"],
    "tiff": [],
    "gif": ["256 colors", "has 8 bits a channel, the photo 16"],
}


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_format_cannot_hold_is_said(name: str) -> None:
    found = losses(Picture(torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), depth=16), FORMATS[name])
    assert len(found) == len(LOSSES[name])
    assert all(words in sentence for words, sentence in zip(LOSSES[name], found, strict=True))
    assert losses(Picture(torch.rand(1, 3, 8, 8)), FORMATS[name]) == (found[:1] if name == "gif" else [])


@pytest.mark.parametrize("name", FORMATS)
def test_metadata_that_a_format_has_no_room_for_is_said(name: str) -> None:
    def said(exif: int, xmp: int, **options: bool) -> list[str]:
        picture = Picture(torch.rand(1, 3, 8, 8), metadata=Metadata(bytes(exif), bytes(xmp)))
        return losses(picture, FORMATS[name], **options)[name == "gif" :]

    assert said(0, 0) == []
    assert said(70_000, 70_000, metadata=False) == []
    if name == "gif":
        assert [len(said(*sizes)) for sizes in ((1, 0), (0, 1), (9, 9))] == [1, 1, 1]
        assert said(1, 0)[0].startswith("GIF keeps nothing of what the photo says of itself")
    elif name == "jpeg":
        assert said(65_533, 50_000) == []
        assert ["EXIF" in sentence for sentence in said(65_534, 65_000)] == [True, False]
        assert ["XMP" in sentence for sentence in said(65_533, 65_000)] == [True]
    else:
        assert said(70_000, 70_000) == []


def test_gif_shows_what_is_half_visible_or_more() -> None:
    alpha = torch.linspace(0, 1, 5).view(1, 1, 1, 5)
    again = read_picture(encode(Picture(torch.full((1, 3, 1, 5), 0.5), alpha), FORMATS["gif"]))
    assert again.alpha is not None
    assert again.alpha.flatten().tolist() == [0, 0, 1, 1, 1]


def test_transparency_is_laid_on_white_in_jpeg() -> None:
    picture = Picture(torch.zeros(1, 3, 16, 16), torch.full((1, 1, 16, 16), 0.25))
    again = read_picture(encode(picture, FORMATS["jpeg"]))
    assert again.alpha is None
    torch.testing.assert_close(again.pixels, torch.full((1, 3, 16, 16), 0.75), atol=0.01, rtol=0)


def test_sides_that_a_format_does_not_have_are_refused() -> None:
    with pytest.raises(OutputError, match=r"WEBP holds 16,383 pixels a side at most, and the picture has 16384 x 1"):
        encode(Picture(torch.zeros(1, 3, 1, 16_384)), FORMATS["webp"])


@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if format.longest_side < 2**31 - 1])
def test_the_longest_side_can_be_read_again(name: str) -> None:
    side = FORMATS[name].longest_side
    assert picture_size(encode(Picture(torch.zeros(1, 3, 16, side)), FORMATS[name])) == (16, side)
