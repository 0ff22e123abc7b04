"""TIFF for giants: what other programs read of it is what was written."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from impasto.errors import MissingExtraError
from impasto.image import giant
from impasto.image.formats import FORMATS
from impasto.image.metadata import Metadata, read_settings
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.write import encode, losses

pyvips = pytest.importorskip("pyvips", reason="giants need the extra large")


def picture(height: int, width: int, *, depth: int = 8, alpha: bool = False) -> Picture:
    pixels = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    transparency = torch.linspace(0.1, 1, width).expand(1, 1, height, width) if alpha else None
    return Picture(pixels, transparency, depth=depth)


@pytest.mark.parametrize("pyramid", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_the_pixels_come_back(depth: int, alpha: bool, pyramid: bool, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(giant, "LARGEST_CLASSIC", 1000)
    source, path = picture(300, 531, depth=depth, alpha=alpha), tmp_path / "giant.tif"
    path.write_bytes(encode(source, FORMATS["tiff"], settings='{"a": 1}', pyramid=pyramid))
    back = read_picture(path)
    assert back.depth == depth
    assert (back.pixels - source.pixels).abs().max() <= 0.51 / (2**depth - 1)
    assert (back.alpha is None) == (not alpha)
    assert path.read_bytes()[2] == 43  # BigTIFF


def test_a_pyramid_holds_ever_smaller_copies(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    path.write_bytes(encode(picture(600, 1100), FORMATS["tiff"], pyramid=True))
    pages = pyvips.Image.new_from_file(str(path)).get("n-pages")
    sizes = [pyvips.Image.new_from_file(str(path), page=page) for page in range(pages)]
    assert [(page.width, page.height) for page in sizes] == [(1100, 600), (550, 300), (275, 150), (137, 75)][:pages]
    assert pages >= 3
    assert path.read_bytes()[2] == 42  # small ones are of the classic kind


@pytest.mark.parametrize("pyramid", [False, True])
def test_settings_and_profile_are_kept(pyramid: bool, monkeypatch) -> None:
    monkeypatch.setattr(giant, "LARGEST_CLASSIC", 1000)
    data = encode(picture(64, 64), FORMATS["tiff"], settings='{"a": 1}', pyramid=pyramid)
    with Image.open(io.BytesIO(data)) as image:
        assert read_settings(image) == '{"a": 1}'
        assert image.info["icc_profile"]


def test_what_is_small_and_no_pyramid_is_written_as_before() -> None:
    source = picture(64, 64)
    assert encode(source, FORMATS["tiff"]) == encode(source, FORMATS["tiff"], pyramid=False)
    assert not giant.needs_giant(4_000_000_000)


def test_without_libvips_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(giant, "has_pyvips", lambda: False)
    with pytest.raises(MissingExtraError, match=r"impasto\[large\]"):
        encode(picture(64, 64), FORMATS["tiff"], pyramid=True)


def test_what_a_pyramid_cannot_hold_is_said() -> None:
    exif = Picture(torch.zeros(1, 3, 4, 4), metadata=Metadata(exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"))
    assert any("EXIF" in loss for loss in losses(exif, FORMATS["tiff"], pyramid=True))
    assert losses(exif, FORMATS["tiff"]) == []
