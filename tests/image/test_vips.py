from __future__ import annotations

import builtins
import io
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import impasto.image.vips
from impasto.errors import InputError
from impasto.image.files import decoding
from impasto.image.metadata import Metadata
from impasto.image.read import read_picture
from impasto.image.vips import has_pyvips, open_strips

from .bare import chunk, noise, png, tiff, write
from .sources import P3, matrix_profile, whole

Array = np.ndarray

needs_pyvips = pytest.mark.skipif(not has_pyvips(), reason="the extra 'large' is not installed")


def read(data: Path | bytes) -> tuple[Array, Array | None]:
    found = open_strips(data)
    assert found is not None
    return whole(found)


@needs_pyvips
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("as_path", [True, False])
def test_all_16_bits_of_a_png_are_read(channels: int, as_path: bool, tmp_path: Path) -> None:
    values = noise(channels=channels)
    (tmp_path / "a[page=1].png").write_bytes(png(values))
    color, alpha = read(tmp_path / "a[page=1].png" if as_path else png(values))
    colors = 1 if channels < 3 else 3
    assert color.dtype == np.uint16
    assert np.array_equal(color, values[..., :colors])
    assert alpha is None if channels in (1, 3) else np.array_equal(alpha, values[..., colors])


@needs_pyvips
@pytest.mark.parametrize("channels", [1, 3])
def test_the_one_transparent_color_of_a_png_becomes_alpha(channels: int) -> None:
    values = noise(channels=channels)
    color, alpha = read(png(values, chunk(b"tRNS", values[1, 2].astype(">u2").tobytes())))
    expected = np.full(values.shape[:2], 65535)
    expected[1, 2] = 0
    assert np.array_equal(color, values)
    assert alpha is not None
    assert np.array_equal(alpha, expected)


@needs_pyvips
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize(("channels", "planar"), [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (4, 1), (4, 2)])
def test_all_16_bits_of_a_tiff_are_read(order: str, planar: int, compression: int, channels: int) -> None:
    values = noise(channels=channels)
    colors = 1 if channels < 3 else 3
    extra = {"extra": 2} if channels in (2, 4) else {}
    photometric = 1 if channels < 3 else 2
    data = tiff(values, photometric, order=order, planar=planar, compression=compression, **extra)
    color, alpha = read(data)
    assert color.dtype == np.uint16
    assert np.array_equal(color, values[..., :colors])
    assert alpha is None if channels in (1, 3) else np.array_equal(alpha, values[..., colors])


@needs_pyvips
@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
def test_what_pillow_writes_with_16_bits_is_read(compression: str) -> None:
    values = noise(channels=1)
    buffer = io.BytesIO()
    Image.fromarray(values[..., 0]).save(buffer, "TIFF", compression=compression)
    assert np.array_equal(read(buffer.getvalue())[0], values)


@needs_pyvips
def test_white_may_be_zero() -> None:
    values = noise(channels=1)
    assert np.array_equal(read(tiff(values, 0))[0], 65535 - values)


@needs_pyvips
def test_colors_that_alpha_was_multiplied_into_are_divided_by_it() -> None:
    values = noise(channels=4)
    values[..., 3] = 40_000
    values[0, 0, 3] = 0
    stored = values.copy()
    stored[..., :3] = np.round(values[..., :3] * (values[..., 3:] / 65535))
    color, alpha = read(tiff(stored, extra=1))
    assert alpha is not None
    assert np.array_equal(alpha, values[..., 3])
    assert np.abs(color.astype(int) - values[..., :3])[alpha > 0].max() <= 2


@needs_pyvips
def test_an_extra_channel_without_meaning_is_no_alpha() -> None:
    values = noise(channels=4)
    color, alpha = read(tiff(values, extra=0))
    assert np.array_equal(color, values[..., :3])
    assert alpha is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(tiff(noise(channels=4), 5), id="CMYK"),
        pytest.param(tiff(noise(), 8), id="Lab"),
        pytest.param(tiff(noise(), 6), id="YCbCr"),
        pytest.param(tiff(noise(channels=5), 2, extra=2), id="five channels"),
        pytest.param(tiff(noise(channels=5), 2, extra=(2, 0)), id="alpha and a selection"),
        pytest.param(tiff(noise(channels=4)), id="undeclared channel"),
        pytest.param(tiff(noise(), format=2), id="signed"),
        pytest.param(tiff(noise(channels=2), 1, planar=2, extra=2), id="gray and alpha in planes"),
        pytest.param(tiff(noise(channels=4, kind=np.uint8), extra=1), id="8 bits, multiplied by alpha"),
        pytest.param(tiff(noise(kind=np.uint32)), id="32 bits"),
        pytest.param(tiff(noise(), bits=12), id="12 bits"),
        pytest.param(tiff(noise(), compression=7), id="JPEG in TIFF"),
        pytest.param(png(noise())[:25], id="PNG cut in its header"),
        pytest.param(b"II*\0\x08\0\0\0", id="TIFF without directory"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", id="SVG"),
        pytest.param(b"push graphic-context\nimage over 0,0 0,0 'x'\n", id="MVG"),
        pytest.param(b"%PDF-1.4\n", id="PDF"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_left_to_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)  # importing it fails: libvips is not even asked
    assert open_strips(data) is None


@needs_pyvips
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_file_whose_pixels_are_damaged_is_refused(format: str, tmp_path: Path) -> None:
    data = write(noise(60, 60), format)
    half = len(data) // 2
    broken = data[:half] + bytes(200) + data[half + 200 :]
    (tmp_path / "photo.png").write_bytes(broken)
    with pytest.raises(InputError, match=r"photo\.png' is damaged \(.+\): copy or download it again\.$"):
        read_picture(tmp_path / "photo.png")
    with pytest.raises(InputError, match="is damaged"):
        read_picture(broken)


@needs_pyvips
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("profile", [None, matrix_profile(P3)])
def test_strips_make_the_same_picture_as_the_whole(
    profile: bytes | None, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    alpha = noise(50, 30)[..., 0]
    data = write(noise(50, 30), "TIFF", alpha, profile=profile, metadata=Metadata(exif.tobytes()))
    expected = read_picture(data)
    monkeypatch.setattr(impasto.image.vips, "STRIP_PIXELS", 7 * 30)
    in_strips = read_picture(data)
    assert expected.alpha is not None
    assert in_strips.alpha is not None
    assert torch.equal(in_strips.stored, expected.stored)
    assert torch.equal(in_strips.alpha, expected.alpha)


@needs_pyvips
def test_a_png_cut_short_anywhere_is_refused_or_left_to_pillow() -> None:
    data = write(noise(24, 24), "PNG")
    for length in range(0, len(data) - 40, 41):
        with suppress(InputError), decoding("the picture"):
            found = open_strips(data[:length])
            if found is not None:
                whole(found)
                pytest.fail(f"{length} bytes were taken for all")


@needs_pyvips
def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    for channels in (3, 4):
        path.write_bytes(png(noise(channels=channels)))
        assert np.array_equal(read(path)[0], noise(channels=channels)[..., :3])


@pytest.mark.parametrize("reason", [ImportError, OSError])
def test_without_libvips_there_is_no_extra(reason: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def fail(name: str, *arguments: Any) -> Any:
        if name == "pyvips":
            raise reason("no libvips")
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", fail)
    assert not has_pyvips()
