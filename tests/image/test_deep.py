from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from impasto.image.deep import file_depth
from impasto.image.metadata import Metadata, read_metadata, read_settings, save_arguments
from impasto.image.vips import has_pyvips, open_strips

from .bare import noise, png, tiff, write
from .sources import whole

Array = np.ndarray

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SETTINGS = '{"network": "vgg19", "inputs": ["Grüße.tif"]}'

needs_pyvips = pytest.mark.skipif(not has_pyvips(), reason="the extra 'large' is not installed")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def described() -> Metadata:
    exif = Image.Exif()
    exif[0x010F] = "Kamera AG"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:04 03:02:01"
    exif.get_ifd(0x8825)[1] = "N"
    image = Image.new("RGB", (1, 1))
    image.info = {"exif": exif.tobytes(), "Title": "Boats", "comment": b"At noon"}
    return read_metadata(image)


def heic(depth: int) -> bytes:
    heif = pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed")
    heif.register_heif_opener()
    buffer = io.BytesIO()
    mode, values = ("RGB;16", noise(64, 64)) if depth > 8 else ("RGB", noise(64, 64, kind=np.uint8))
    heif.from_bytes(mode=mode, size=(64, 64), data=values.tobytes()).save(buffer)
    return buffer.getvalue()


def avif(depth: int) -> bytes:
    vips = pytest.importorskip("pyvips", reason="the extra 'large' is not installed")
    image = vips.Image.new_from_array(noise(64, 64)).copy(interpretation="rgb16")
    data: bytes = image.heifsave_buffer(compression="av1", bitdepth=depth, effort=0)
    return data


def plain(mode: str, format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "depth"),
    [
        pytest.param(lambda: png(noise()), 16, id="PNG"),
        pytest.param(lambda: plain("I;16", "PNG"), 16, id="gray PNG"),
        pytest.param(lambda: plain("RGB", "PNG"), 8, id="PNG of 8"),
        pytest.param(lambda: plain("1", "PNG"), 8, id="PNG of 1"),
        pytest.param(lambda: tiff(noise()), 16, id="TIFF"),
        pytest.param(lambda: tiff(noise(), order=">"), 16, id="TIFF of Motorola"),
        pytest.param(lambda: plain("RGB", "TIFF"), 8, id="TIFF of 8"),
        pytest.param(lambda: plain("1", "TIFF"), 8, id="TIFF of 1"),
        pytest.param(lambda: plain("F", "TIFF"), 32, id="TIFF of 32"),
        pytest.param(lambda: avif(8), 8, id="AVIF of 8"),
        pytest.param(lambda: avif(10), 10, id="AVIF of 10"),
        pytest.param(lambda: avif(12), 12, id="AVIF of 12"),
        pytest.param(lambda: plain("RGB", "AVIF"), 8, id="AVIF of Pillow"),
        pytest.param(lambda: heic(8), 8, id="HEIC of 8"),
        pytest.param(lambda: heic(10), 10, id="HEIC of 10"),
        *(pytest.param(lambda format=format: plain("RGB", format), 8, id=format) for format in ("JPEG", "WEBP", "GIF")),
    ],
)
def test_the_depth_is_that_of_the_file_not_of_pillow(make: Any, depth: int) -> None:
    image = opened(make())
    place = image.fp.tell() if image.fp else None
    assert file_depth(image) == depth
    assert (image.fp.tell() if image.fp else None) == place
    image.load()


def test_the_depth_of_what_has_no_file_is_8() -> None:
    assert file_depth(Image.new("RGB", (2, 2))) == 8
    image = opened(png(noise()))
    image.close()
    assert file_depth(image) == 8
    for damaged in (b"", b"av1C"):
        image = Image.new("RGB", (2, 2))
        image.format, image.fp = "AVIF", io.BytesIO(damaged)  # type: ignore[attr-defined]
        assert file_depth(image) == 8


@needs_pyvips
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("with_alpha", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (700, 600)])
def test_what_is_written_is_read_again(format: str, with_alpha: bool, size: tuple[int, int]) -> None:
    color, alpha = noise(*size), noise(*size, channels=1)[..., 0] if with_alpha else None
    strips = open_strips(write(color, format, alpha))
    assert strips is not None
    seen, transparency = whole(strips)
    assert np.array_equal(seen, color)
    assert transparency is None if alpha is None else np.array_equal(transparency, alpha)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
@given(data=st.data())
def test_pillow_sees_the_upper_8_bits(format: str, kind: Any, channels: int, data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), channels)
    values = data.draw(arrays(kind, shape))
    alpha = values[..., 3] if channels == 4 else None
    image = opened(write(values[..., :3], format, alpha))
    assert image.mode == ("RGBA" if channels == 4 else "RGB")
    assert np.array_equal(np.asarray(image), values >> (8 * (values.itemsize - 1)))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_profile_metadata_and_settings_are_in_the_file(format: str) -> None:
    metadata = described()
    image = opened(write(noise(), format, profile=PROFILE, metadata=metadata, settings=SETTINGS))
    assert image.info["icc_profile"] == PROFILE
    assert read_settings(image) == SETTINGS
    again = read_metadata(image)
    assert again.exif == metadata.exif
    assert b"Boats" in again.xmp
    assert b"At noon" in again.xmp


@pytest.mark.parametrize("width", range(1, 9))
def test_the_directory_of_a_tiff_begins_at_an_even_place(width: int) -> None:
    assert struct.unpack_from("<I", write(noise(3, width), "TIFF"), 4)[0] % 2 == 0


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_a_tiff_takes_over_the_byte_order_of_exif(order: bytes) -> None:
    block = described().exif
    endian = "<" if order == b"II" else ">"
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "Kamera AG"
    metadata = Metadata(exif.tobytes())
    data = write(noise(), "TIFF", metadata=metadata)
    assert data[:2] == order
    assert read_metadata(opened(data)) == metadata
    assert block != metadata.exif
    assert np.array_equal(np.asarray(opened(data)), noise() >> 8)


@needs_pyvips
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_another_reader_finds_profile_and_xmp(format: str) -> None:
    import pyvips

    data = write(noise(), format, profile=PROFILE, metadata=described(), settings=SETTINGS)
    image = pyvips.Image.new_from_buffer(data, "")
    assert image.get("icc-profile-data") == PROFILE
    assert image.get("xmp-data") == opened(data).info["xmp"]
    assert image.get("bits-per-sample") == 16


def test_a_deep_png_is_described_as_one_of_8_bits_is() -> None:
    buffer = io.BytesIO()
    arguments = save_arguments("PNG", described(), SETTINGS)
    Image.fromarray(noise(kind=np.uint8)).save(buffer, "PNG", icc_profile=PROFILE, **arguments)
    flat = buffer.getvalue()
    deep = write(noise(), "PNG", profile=PROFILE, metadata=described(), settings=SETTINGS)
    assert deep[33 : deep.index(b"IDAT") - 4] == flat[33 : flat.index(b"IDAT") - 4]
    assert b"iCCP" not in write(noise(), "PNG")
    assert b"sRGB" not in write(noise(), "PNG")


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_writing_is_reproducible(format: str) -> None:
    options = {"profile": PROFILE, "metadata": described(), "settings": SETTINGS}
    assert write(noise(), format, **options) == write(noise(), format, **options)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_smooth_colors_are_compressed(format: str) -> None:
    ramp = np.broadcast_to(np.linspace(0, 65535, 600).astype(np.uint16)[None, :, None], (400, 600, 3))
    assert len(write(ramp, format)) < ramp.size * 2 / 50


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="JPEG"):
        write(noise(), "JPEG")
