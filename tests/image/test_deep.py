from __future__ import annotations

import builtins
import io
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

import impasto.image.deep
from impasto.errors import InputError
from impasto.image.deep import encode_deep, file_depth, has_pyvips, read_deep
from impasto.image.files import decoding
from impasto.image.metadata import Metadata, read_metadata, read_settings, save_arguments
from impasto.image.read import read_picture

from .sources import P3, matrix_profile, whole

Array = np.ndarray

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SETTINGS = '{"network": "vgg19", "inputs": ["Grüße.tif"]}'
PNG_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}

needs_pyvips = pytest.mark.skipif(not has_pyvips(), reason="the extra 'large' is not installed")


def noise(height: int = 5, width: int = 7, channels: int = 3, kind: Any = np.uint16) -> Array:
    return np.random.default_rng(channels).integers(0, np.iinfo(kind).max + 1, (height, width, channels), dtype=kind)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: Array, extra: bytes = b"") -> bytes:
    """A PNG of 16 bits without any filter."""
    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_KINDS[channels], 0, 0, 0)
    rows = values.astype(">u2").view(np.uint8).reshape(height, -1)
    data = zlib.compress(np.insert(rows, 0, 0, axis=1).tobytes())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(values: Array, photometric: int = 2, *, order: str = "<", planar: int = 1, **tags: Any) -> bytes:
    """A TIFF with one strip a plane; ``tags`` are extra, compression, format and bits."""
    height, width, channels = values.shape
    typed = values.astype(values.dtype.newbyteorder(order))
    planes = [typed] if planar == 1 else [np.ascontiguousarray(typed[..., channel]) for channel in range(channels)]
    strips = [zlib.compress(plane.tobytes()) if tags.get("compression") == 8 else plane.tobytes() for plane in planes]
    starts = [8 + sum(len(strip) + len(strip) % 2 for strip in strips[:index]) for index in range(len(strips) + 1)]
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("H", [width]),
        257: ("H", [height]),
        258: ("H", [tags.get("bits", 8 * values.itemsize)] * channels),
        259: ("H", [tags.get("compression", 1)]),
        262: ("H", [photometric]),
        273: ("I", starts[:-1]),
        277: ("H", [channels]),
        278: ("H", [height]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [planar]),
        339: ("H", [tags.get("format", 1)] * channels),
    }
    if "extra" in tags:
        entries[338] = ("H", list(np.atleast_1d(tags["extra"])))
    table, behind = b"", b""
    for tag, (code, numbers) in sorted(entries.items()):
        value = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        place = value.ljust(4, b"\0")
        if len(value) > 4:
            place = struct.pack(order + "I", starts[-1] + 6 + 12 * len(entries) + len(behind))
            behind += value
        table += struct.pack(order + "HHI", tag, 3 if code == "H" else 4, len(numbers)) + place
    body = b"".join(strip + b"\0" * (len(strip) % 2) for strip in strips)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, starts[-1])
    return head + body + struct.pack(order + "H", len(entries)) + table + bytes(4) + behind


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def read(data: Path | bytes) -> tuple[Array, Array | None]:
    found = read_deep(data)
    assert found is not None
    return whole(found)


def write(color: Array, format: str, alpha: Array | None = None, **options: Any) -> bytes:
    arguments: dict[str, Any] = {"profile": None, "metadata": Metadata(), "settings": None, **options}
    return encode_deep(color, alpha, format, **arguments)


def described() -> Metadata:
    exif = Image.Exif()
    exif[0x010F] = "Kamera AG"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:04 03:02:01"
    exif.get_ifd(0x8825)[1] = "N"
    image = Image.new("RGB", (1, 1))
    image.info = {"exif": exif.tobytes(), "Title": "Boats", "comment": b"At noon"}
    return read_metadata(image)


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
        pytest.param(tiff(noise(kind=np.uint8)), id="8 bits"),
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
    assert read_deep(data) is None


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
    monkeypatch.setattr(impasto.image.deep, "STRIP_PIXELS", 7 * 30)
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
            found = read_deep(data[:length])
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
    seen, transparency = read(write(color, format, alpha))
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
