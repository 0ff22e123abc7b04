"""The table of what comes in and what goes out: run it with -v, and each line is one cell.

What is read is compared with the numbers that went into the file, by arithmetic that has nothing to do with the
readers; what is written is read again and compared with what was there before.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import InputError
from impasto.image.files import picture_size
from impasto.image.formats import FORMATS
from impasto.image.picture import Picture
from impasto.image.profile import srgb_profile
from impasto.image.read import read_picture
from impasto.image.vips import has_pyvips, open_strips
from impasto.image.write import encode, losses
from impasto.stylize import stylize

from .sources import (
    ADOBE,
    ADOBE_GAMMA,
    P3,
    SRGB,
    alpha_ramp,
    colors,
    encode_srgb,
    encoded,
    from_primaries,
    grain,
    gray_profile,
    matrix_profile,
    png,
    tiff,
    to_primaries,
    whole,
)

Array = np.ndarray


@dataclass(frozen=True)
class Source:
    """A file as others write it, and the numbers in it: ``color`` H x W x 3, sRGB, and ``alpha`` H x W, in [0, 1].

    ``tolerance`` is how far a color may be off, in 255ths; where a format has ``loss``, its average is looked at,
    and where colors are stored ``multiplied`` by alpha, how far off they are on black.
    """

    data: bytes
    color: Array
    alpha: Array | None = None
    depth: int = 8
    tolerance: float = 0.0
    remark: str = ""
    loss: bool = False
    multiplied: bool = False


def levels(values: Array) -> Array:
    return values / np.iinfo(values.dtype).max


def as_rgb(values: Array) -> Array:
    """H x W (x 1 or 3) whole numbers as H x W x 3 in [0, 1]."""
    planes = levels(values if values.ndim == 3 else values[..., None])
    return np.broadcast_to(planes, (*planes.shape[:2], 3))


def deepened(values: Array) -> Array:
    """Bytes as 16 bits, with something in the lower ones."""
    return (values.astype(np.uint16) << 8) + (np.arange(values.size) % 256).reshape(values.shape).astype(np.uint16)


def pillow(format: str, mode: str = "RGB", *, loss: bool = False, **options: Any) -> Source:
    """What Pillow writes of soft colors, of soft gray, or of either with a ramp of alpha."""
    values = colors() if mode.startswith("RGB") else colors()[..., 0]
    image, alpha = Image.fromarray(values), None
    if mode.endswith("A"):
        alpha = alpha_ramp()
        image.putalpha(Image.fromarray(alpha))
    remark = "several frames" if options.get("save_all") and format != "MPO" else ""
    seen = None if alpha is None else levels(alpha)
    return Source(encoded(image, format, **options), as_rgb(values), seen, remark=remark, loss=loss)


def frames() -> dict[str, Any]:
    return {"save_all": True, "append_images": [Image.new("RGB", (24, 16), "red"), Image.new("RGB", (24, 16))]}


def one_bit(format: str, **options: Any) -> Source:
    values = np.where(grain(channels=1)[..., 0] > 127, np.uint8(255), np.uint8(0))
    return Source(encoded(Image.fromarray(values).convert("1"), format, **options), as_rgb(values))


def palette(format: str, hidden: bytes | int | None = None, **options: Any) -> Source:
    """16 colors; ``hidden`` is the alpha of the first of them, or the number of one that is not visible."""
    entries, indices = colors()[::4, ::6].reshape(16, 3), np.kron(np.arange(16).reshape(4, 4), np.ones((4, 6), int))
    image = Image.frombytes("P", (24, 16), indices.astype(np.uint8).tobytes())
    image.putpalette(entries.tobytes())
    if hidden is None:
        return Source(encoded(image, format, **options), as_rgb(entries[indices]))
    opacity = np.full(16, 255, np.uint8)
    opacity[: len(hidden) if isinstance(hidden, bytes) else 0] = list(hidden) if isinstance(hidden, bytes) else []
    if isinstance(hidden, int):
        opacity[hidden] = 0
    data = encoded(image, format, transparency=hidden, **options)
    return Source(data, as_rgb(entries[indices]), levels(opacity)[indices])


def one_hidden(values: Array) -> Source:
    """A PNG of gray or RGB in which the color of the first pixel means that nothing is visible (tRNS)."""
    color = b"".join(int(number).to_bytes(2, "big") for number in values[0, 0])
    visible = (values != values[0, 0]).any(axis=2)
    depth = 8 * values.itemsize
    return Source(png(values, tRNS=color), as_rgb(values), visible.astype(float), depth=depth)


def deep_png(channels: int) -> Source:
    """16 bits: gray, gray and alpha, RGB or RGBA."""
    color = deepened(colors() if channels > 2 else colors()[..., :1])
    alpha = alpha_ramp(kind=np.uint16) if channels in (2, 4) else None
    values = color if alpha is None else np.dstack([color, alpha])
    return Source(png(values), as_rgb(color), None if alpha is None else levels(alpha), depth=16)


def cmyk(format: str, *, without_mark: bool = False, **options: Any) -> Source:
    """Without a profile, ink takes its share of light away."""
    inks = np.dstack([255 - colors(), colors()[..., :1] // 4])
    data = encoded(Image.frombytes("CMYK", (24, 16), inks.tobytes()), format, **options)
    if without_mark:
        place = data.index(b"\xff\xee\x00\x0eAdobe")
        data = data[:place] + data[place + 16 :]
    light = (1 - levels(inks[..., :3])) * (1 - levels(inks[..., 3:]))
    return Source(data, light, tolerance=1, loss=format == "JPEG")


def lab(profile: bytes | None = None) -> Source:
    """CIE Lab of 8 bits under D50, by the formulas of CIE 15; a profile does not change what it means."""
    numbers = np.dstack([60 + colors()[..., 0] // 2, 118 + colors()[..., 1] // 10, 138 - colors()[..., 2] // 10])
    lightness, a, b = (numbers.astype(float) - (0, 128, 128)).transpose(2, 0, 1) * np.array(
        [[[100 / 255]], [[1]], [[1]]]
    )
    fy = (lightness + 16) / 116
    f = np.dstack([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * (0.9642, 1.0, 0.8249)
    stored = (numbers - (0, 128, 128)).astype(np.int8).view(np.uint8)
    data = tiff(stored, photometric=8, tags={34675: profile} if profile else None)
    return Source(data, encode_srgb(xyz @ np.linalg.inv(np.transpose(SRGB))), tolerance=1.5)


def plain_tiff(kind: type[np.unsignedinteger[Any]] = np.uint8, channels: int = 3, **layout: Any) -> Source:
    """A TIFF as scanners write it; ``extra`` = 2 makes the last channel alpha, 1 multiplies colors by it."""
    extra = layout.get("extra", ())
    color = colors()[..., : channels - len(extra)]
    color = deepened(color) if kind is np.uint16 else color
    alpha, values = None, color
    if extra:
        other = alpha_ramp(kind=kind)
        alpha = levels(other) if extra[0] else None
        stored = (color * levels(other)[..., None]).round().astype(kind) if extra == (1,) else color
        values = np.dstack([stored, other])
    if layout.get("photometric") == 0:
        values = np.iinfo(kind).max - values
    gray = {} if color.shape[2] == 3 else {"photometric": 1}
    return Source(tiff(values, **{**gray, **layout}), as_rgb(color), alpha, depth=8 * np.dtype(kind).itemsize)


def tiff_12_bits() -> Source:
    values = (colors()[..., :1].astype(np.uint16) << 4) + 5
    return Source(tiff(values, photometric=1, bits=12), as_rgb(colors()[..., :1]), depth=16, tolerance=1)


def vips(suffix: str, depth: int = 8, **options: Any) -> Source:
    """What libvips writes."""
    pyvips = pytest.importorskip("pyvips", reason="the extra 'large' is not installed")
    values = colors() if suffix == ".png" or depth == 8 else deepened(colors())
    data = pyvips.Image.new_from_array(values, interpretation="srgb" if values.itemsize == 1 else "rgb16")
    remark = f"has {options['bitdepth']} bits a channel, and they were reduced to 8." if "bitdepth" in options else ""
    written = bytes(data.write_to_buffer(suffix, **options))
    return Source(written, as_rgb(values), depth=8 if remark else depth, remark=remark, loss=bool(remark))


def heic(mode: str = "RGB", *, deep: bool = False) -> Source:
    heif = pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed")
    source = pillow("PNG", mode)
    with Image.open(io.BytesIO(source.data)) as image:
        written = heif.from_pillow(image)
    if deep:
        written = heif.from_bytes("RGB;16", (24, 16), deepened(colors()).tobytes())
    buffer = io.BytesIO()
    written.save(buffer, quality=98, chroma=444)
    remark = "has 10 bits a channel, and they were reduced to 8." if deep else ""
    return replace(source, data=buffer.getvalue(), remark=remark, loss=True)


SOURCES: dict[str, Callable[[], Source]] = {
    "JPEG": partial(pillow, "JPEG", quality=98, subsampling=0, loss=True),
    "JPEG progressive, 4:2:0": partial(pillow, "JPEG", quality=95, progressive=True, loss=True),
    "JPEG gray": partial(pillow, "JPEG", "L", quality=98, loss=True),
    "JPEG CMYK of Adobe": partial(cmyk, "JPEG", quality=98),
    "JPEG CMYK without Adobe's mark": partial(cmyk, "JPEG", quality=98, without_mark=True),
    "MPO": lambda: pillow("MPO", quality=98, subsampling=0, loss=True, **frames()),
    "PNG 1 bit": partial(one_bit, "PNG"),
    "PNG gray": partial(pillow, "PNG", "L"),
    "PNG gray, one hidden": lambda: one_hidden(colors()[..., :1]),
    "PNG gray alpha": partial(pillow, "PNG", "LA"),
    "PNG palette": partial(palette, "PNG"),
    "PNG palette, one hidden": partial(palette, "PNG", 3),
    "PNG palette with alpha": partial(palette, "PNG", bytes([0, 60, 120, 255, 9])),
    "PNG RGB": partial(pillow, "PNG"),
    "PNG RGB, one hidden": lambda: one_hidden(colors()),
    "PNG RGB interlaced": partial(vips, ".png", interlace=True),
    "PNG RGBA": partial(pillow, "PNG", "RGBA"),
    "PNG gray 16 bits": partial(deep_png, 1),
    "PNG gray 16 bits, one hidden": lambda: one_hidden(deepened(colors()[..., :1])),
    "PNG gray alpha 16 bits": partial(deep_png, 2),
    "PNG RGB 16 bits": partial(deep_png, 3),
    "PNG RGB 16 bits, one hidden": lambda: one_hidden(deepened(colors())),
    "PNG RGBA 16 bits": partial(deep_png, 4),
    "PNG animated": lambda: pillow("PNG", **frames()),
    "WebP": partial(pillow, "WEBP", quality=98, loss=True),
    "WebP RGBA": partial(pillow, "WEBP", "RGBA", quality=98, loss=True),
    "WebP lossless": partial(pillow, "WEBP", lossless=True),
    "WebP lossless RGBA": partial(pillow, "WEBP", "RGBA", lossless=True, exact=True),
    "WebP animated": lambda: pillow("WEBP", lossless=True, **frames()),
    "AVIF": partial(pillow, "AVIF", quality=98, subsampling="4:4:4", loss=True),
    "AVIF RGBA": partial(pillow, "AVIF", "RGBA", quality=98, subsampling="4:4:4", loss=True),
    "AVIF 10 bits": partial(vips, ".avif", 16, compression="av1", bitdepth=10, Q=95),
    "AVIF 12 bits": partial(vips, ".avif", 16, compression="av1", bitdepth=12, Q=95),
    "GIF": partial(palette, "GIF"),
    "GIF, one hidden": partial(palette, "GIF", 3),
    "GIF animated": lambda: replace(palette("GIF", **frames()), remark="several frames"),
    "HEIC": heic,
    "HEIC RGBA": partial(heic, "RGBA"),
    "HEIC 10 bits": partial(heic, deep=True),
    "TIFF 1 bit": partial(one_bit, "TIFF"),
    "TIFF 1 bit, group 4": partial(one_bit, "TIFF", compression="group4"),
    "TIFF gray": partial(plain_tiff, channels=1),
    "TIFF gray, white is zero": partial(plain_tiff, channels=1, photometric=0),
    "TIFF gray alpha": partial(plain_tiff, channels=2, extra=(2,)),
    "TIFF gray 12 bits": tiff_12_bits,
    "TIFF gray 16 bits": partial(plain_tiff, np.uint16, 1),
    "TIFF gray 16 bits, big-endian": partial(plain_tiff, np.uint16, 1, order=">"),
    "TIFF gray 16 bits, white is zero": partial(plain_tiff, np.uint16, 1, photometric=0),
    "TIFF palette": partial(palette, "TIFF"),
    "TIFF RGB": partial(plain_tiff),
    "TIFF RGB big-endian, planar": partial(plain_tiff, order=">", planar=True),
    "TIFF RGB in tiles": partial(plain_tiff, tile=16),
    "TIFF RGB LZW": partial(pillow, "TIFF", compression="tiff_lzw"),
    "TIFF RGB deflate": partial(pillow, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF RGB PackBits": partial(pillow, "TIFF", compression="packbits"),
    "TIFF RGB JPEG": partial(pillow, "TIFF", compression="jpeg", quality=98, loss=True),
    "TIFF RGB, several pages": lambda: pillow("TIFF", **frames()),
    "TIFF RGB, a channel more": partial(plain_tiff, channels=4, extra=(0,)),
    "TIFF RGBA": partial(plain_tiff, channels=4, extra=(2,)),
    "TIFF RGBA multiplied": lambda: replace(plain_tiff(channels=4, extra=(1,)), tolerance=1.5, multiplied=True),
    "TIFF CMYK": partial(cmyk, "TIFF"),
    "TIFF Lab": lab,
    "TIFF Lab with a profile": lambda: lab(matrix_profile(P3)),
    "TIFF RGB 16 bits": partial(plain_tiff, np.uint16),
    "TIFF RGB 16 bits, big-endian": partial(plain_tiff, np.uint16, order=">"),
    "TIFF RGB 16 bits, planar": partial(plain_tiff, np.uint16, planar=True),
    "TIFF RGB 16 bits, in tiles": partial(plain_tiff, np.uint16, tile=16),
    "TIFF RGB, pyramid": partial(vips, ".tif", tile=True, tile_width=16, tile_height=16, pyramid=True),
    "TIFF RGB 16 bits, BigTIFF": partial(vips, ".tif", 16, bigtiff=True, compression="lzw"),
    "TIFF RGB 16 bits, a channel more": partial(plain_tiff, np.uint16, 4, extra=(0,)),
    "TIFF RGBA 16 bits": partial(plain_tiff, np.uint16, 4, extra=(2,)),
    "TIFF RGBA 16 bits multiplied": lambda: replace(
        plain_tiff(np.uint16, 4, extra=(1,)), tolerance=0.01, multiplied=True
    ),
}

OF_16_BITS = [name for name in SOURCES if "16 bits" in name]
APART = "TIFF RGB 16 bits, planar"


@cache
def source(name: str) -> Source:
    return SOURCES[name]()


def array(tensor: torch.Tensor) -> Array:
    """1 x C x H x W as H x W x C."""
    return tensor[0].permute(1, 2, 0).numpy()


LOSS = 4.0
"""How far colors may be off on average, in 255ths, after a compression with loss."""


def far_off(picture: Picture, color: Array, alpha: Array | None = None, *, average: bool = False) -> float:
    """How far the color of a pixel is off at most, in 255ths, where something is visible."""
    distance = np.abs(array(picture.pixels) - color).max(axis=2) * 255
    visible = distance if alpha is None else distance[alpha > 0]
    return float(visible.mean() if average else visible.max())


def assert_read(picture: Picture, expected: Source) -> None:
    height, width, _ = expected.color.shape
    assert (picture.size, picture.depth) == ((height, width), expected.depth)
    color, seen = expected.color, picture
    if expected.multiplied and expected.alpha is not None:
        color, seen = color * expected.alpha[..., None], replace(picture, stored=picture.pixels * picture.alpha)
    off = far_off(seen, color, expected.alpha, average=expected.loss)
    assert off <= (LOSS if expected.loss else expected.tolerance + 1e-3)
    assert (picture.alpha is None) == (expected.alpha is None)
    if picture.alpha is not None:
        limit = 3 / 255 if expected.tolerance or expected.loss else 1e-6
        assert np.abs(array(picture.alpha)[..., 0] - expected.alpha).max() <= limit
    assert len(picture.remarks) == bool(expected.remark)
    assert expected.remark in "".join(picture.remarks)


def require_vips(*, when: bool) -> None:
    """Skip the test if it needs libvips, and there is none."""
    if when and not has_pyvips():
        pytest.skip("the extra 'large' is not installed")


@pytest.mark.parametrize("name", SOURCES)
def test_reads(name: str) -> None:
    require_vips(when=name in OF_16_BITS and "gray 16" not in name)
    expected = source(name)
    assert picture_size(expected.data) == expected.color.shape[:2]
    assert_read(read_picture(expected.data), expected)


@pytest.mark.parametrize("large", [0, 1 << 40])
@pytest.mark.parametrize("name", SOURCES)
def test_in_strips_pictures_are_the_same_numbers(name: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    require_vips(when=large == 0)
    expected = read_picture(source(name).data)
    monkeypatch.setattr("impasto.image.read.LARGE", large)  # pixels from which on libvips takes part
    monkeypatch.setattr("impasto.image.read.STRIP_PIXELS", 100)
    monkeypatch.setattr("impasto.image.vips.STRIP_PIXELS", 100)
    picture = read_picture(source(name).data)
    assert torch.equal(picture.stored, expected.stored)
    assert (picture.alpha is None) == (expected.alpha is None)
    assert picture.alpha is None or expected.alpha is None or torch.equal(picture.alpha, expected.alpha)
    same = {name: getattr(expected, name) for name in ("stored", "alpha", "read_with")}
    assert replace(picture, **same) == expected


@pytest.mark.parametrize("name", [name for name in OF_16_BITS if name != APART])
def test_reads_16_bits_without_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = source(name)
    monkeypatch.setattr("impasto.image.read.has_pyvips", lambda: False)
    picture = read_picture(expected.data)
    if picture.depth == 8:  # Pillow keeps 16 bits of gray
        remark = "has 16 bits a channel, and they were reduced to 8; keeping them takes an extra: pip install"
        expected = replace(expected, depth=8, remark=remark, tolerance=max(1.5, expected.tolerance))
    assert_read(picture, expected)


def test_refuses_what_would_be_noise_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.image.read.has_pyvips", lambda: False)
    with pytest.raises(InputError, match=r"16 bits with each channel apart: .* or install"):
        read_picture(source(APART).data)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", SOURCES)
def test_writes(name: str, format: str) -> None:
    """Exactly where nothing is lost; colors within 4 of 255 on average where something is."""
    require_vips(when=name == APART)
    picture, kind = read_picture(source(name).data), FORMATS[format]
    again = read_picture(encode(picture, kind))
    assert again.size == picture.size
    assert again.depth == (picture.depth if kind.keeps_16_bits and (has_pyvips() or picture.depth == 8) else 8)
    assert again.profile == (srgb_profile() if kind.keeps_profile else None)
    assert (again.alpha is not None) == (picture.alpha is not None and kind.keeps_alpha)
    if picture.alpha is not None and again.alpha is not None:
        off = (again.alpha - (picture.alpha >= 0.5).float() if format == "gif" else again.alpha - picture.alpha).abs()
        assert off.max() <= {"png": 0, "tiff": 0, "gif": 0, "avif": 4 / 255}.get(format, 0.5 / 255) + 1e-6
    seen = picture.pixels if kind.keeps_alpha else picture.on_white()
    visible = torch.ones_like(seen[:, :1]) if again.alpha is None else (again.alpha > 0).float()
    off = ((again.pixels - seen).abs() * visible).sum() / (3 * visible.sum()) * 255
    exact = format in ("png", "tiff")
    assert off <= (1e-3 if exact and again.depth == picture.depth else LOSS)
    assert bool(losses(picture, kind)) == (
        format == "gif"
        or (not kind.keeps_alpha and picture.alpha is not None)
        or (picture.depth == 16 and not kind.keeps_16_bits)
    )


Carrier = Callable[[Array, bytes | None], bytes]
"""Writes H x W x 1 or 3 whole numbers, with a color profile if there is one."""


def by_pillow(format: str, **options: Any) -> Carrier:
    def write(values: Array, profile: bytes | None) -> bytes:
        image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        return encoded(image, format, **options, **({"icc_profile": profile} if profile else {}))

    return write


def in_tiff(values: Array, profile: bytes | None) -> bytes:
    return tiff(values, photometric=2 if values.shape[2] == 3 else 1, tags={34675: profile} if profile else None)


def in_png(values: Array, profile: bytes | None) -> bytes:
    return png(values, **({"iCCP": b"profile\0\0" + zlib.compress(profile)} if profile else {}))


def in_heic(values: Array, profile: bytes | None) -> bytes:
    pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed").register_heif_opener()
    return by_pillow("HEIF", quality=98, chroma=444)(values, profile)


CARRIERS: dict[str, tuple[Carrier, int, float | None]] = {
    "JPEG": (by_pillow("JPEG", quality=98, subsampling=0), 8, None),
    "PNG": (in_png, 8, 1.0),
    "PNG of 16 bits": (in_png, 16, 0.7),
    "WebP": (by_pillow("WEBP", lossless=True), 8, 1.0),
    "AVIF": (by_pillow("AVIF", quality=98, subsampling="4:4:4"), 8, None),
    "TIFF": (in_tiff, 8, 1.0),
    "TIFF of 16 bits": (in_tiff, 16, 0.7),
    "HEIC": (in_heic, 8, None),
}
"""How each is written with a profile, its bits a channel, and how far colors may be off in 255ths; None: see LOSS."""

PROFILES: dict[str, tuple[bytes | None, Any]] = {
    "none": (None, None),
    "sRGB": (matrix_profile(SRGB, name="Any name"), (SRGB, None)),
    "Display P3": (matrix_profile(P3), (P3, None)),
    "Adobe RGB": (matrix_profile(ADOBE, ADOBE_GAMMA), (ADOBE, ADOBE_GAMMA)),
    "linear, with sRGB in its name": (matrix_profile(SRGB, 1.0, name="sRGB linear"), (SRGB, 1.0)),
    "of gray": (gray_profile(2.2), "misfit"),
    "of CMYK": (matrix_profile(P3).replace(b"RGB XYZ ", b"CMYKXYZ ", 1), "misfit"),
    "cut short": (matrix_profile(P3)[:200], "misfit"),
    "garbage": (bytes(range(256)) * 2, "misfit"),
}
"""The bytes of each, and the primaries and gamma in it."""


def in_profile(name: str, bits: int) -> tuple[Array, Array]:
    """Whole numbers that are soft colors in the profile, and what these numbers are in sRGB in [0, 1]."""
    top = 2**bits - 1
    meaning = PROFILES[name][1]
    wanted = levels(colors()) if meaning in (None, "misfit") else to_primaries(levels(colors()), *meaning)
    numbers = (wanted * top).round().astype(np.uint8 if bits == 8 else np.uint16)
    return numbers, levels(numbers) if meaning in (None, "misfit") else from_primaries(levels(numbers), *meaning)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_reads_profile(carrier: str, profile: str, capfd: pytest.CaptureFixture[str]) -> None:
    write, bits, tolerance = CARRIERS[carrier]
    require_vips(when=bits == 16)
    data, meaning = PROFILES[profile]
    numbers, expected = in_profile(profile, bits)
    picture = read_picture(write(numbers, data))
    assert picture.depth == bits
    is_exact = meaning in (None, "misfit", (SRGB, None))
    limit = LOSS if tolerance is None else 1e-3 if is_exact else tolerance
    assert far_off(picture, expected, average=tolerance is None) <= limit
    assert picture.profile == (None if meaning == "misfit" else data)
    assert len(picture.remarks) == (meaning == "misfit")
    assert "does not fit" in "".join(picture.remarks) or meaning != "misfit"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("profile", [name for name, (_, meaning) in PROFILES.items() if meaning != "misfit"])
@pytest.mark.parametrize("carrier", ["PNG", "PNG of 16 bits"])
def test_writes_profile(carrier: str, profile: str, format: str) -> None:
    """The same profile, and in PNG and TIFF the same numbers, to 1 of 255, and of 16 bits to half of that."""
    write, bits, _ = CARRIERS[carrier]
    require_vips(when=bits == 16)
    numbers, _ = in_profile(profile, bits)
    picture, kind = read_picture(write(numbers, PROFILES[profile][0])), FORMATS[format]
    data = encode(picture, kind)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info.get("icc_profile") == (
            (PROFILES[profile][0] or srgb_profile()) if kind.keeps_profile else None
        )
        if format in ("png", "tiff") and bits == 8:
            assert np.abs(np.asarray(image).astype(int) - numbers).max() <= 1
    is_exact = format in ("png", "tiff")
    assert far_off(read_picture(data), array(picture.pixels), average=not is_exact) <= (1.5 if is_exact else 6)
    if format in ("png", "tiff") and bits == 16:
        strips = open_strips(data)
        assert strips is not None
        assert np.abs(whole(strips)[0].astype(int) - numbers).max() <= 128


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_reads_profile_of_gray(format: str, channels: int, depth: int) -> None:
    """Alpha or not, with the extra or not: a picture of gray with a profile of gray becomes RGB in sRGB."""
    require_vips(when=depth == 16)
    values, profile = colors()[..., :1], gray_profile(1.8)
    values = values if depth == 8 else deepened(values)
    expected = encode_srgb(as_rgb(values) ** 1.8)
    if channels == 2:
        values = np.dstack([values, alpha_ramp(kind=values.dtype.type)])
    layout = {"photometric": 1, "extra": (2,) if channels == 2 else ()}
    data = in_png(values, profile) if format == "PNG" else tiff(values, tags={34675: profile}, **layout)
    if (format, channels, depth) == ("TIFF", 2, 16):
        with pytest.raises(InputError, match="convert it"):  # Pillow does not know this one
            read_picture(data)
        return
    picture = read_picture(data)
    assert (picture.depth, picture.profile, picture.remarks) == (depth, None, ())
    assert far_off(picture, expected, alpha_ramp() if channels == 2 else None) <= (2 if depth == 8 else 1)


def test_reads_gray_of_which_one_is_hidden_with_its_profile() -> None:
    values, profile = colors()[..., :1], gray_profile(1.8)
    key = b"\0" + bytes(values[0, 0])
    picture = read_picture(png(values, iCCP=b"profile\0\0" + zlib.compress(profile), tRNS=key))
    assert (picture.remarks, picture.alpha is None) == ((), False)
    assert far_off(picture, encode_srgb(as_rgb(values) ** 1.8), (values != values[0, 0])[..., 0]) <= 2


@pytest.mark.parametrize("depth", [8, 16])
def test_reads_gray_with_a_profile_of_rgb(depth: int) -> None:
    """Programs that make files smaller leave it in place when they find that all colors are gray."""
    require_vips(when=depth == 16)
    values = colors()[..., :1] if depth == 8 else deepened(colors()[..., :1])
    profile = matrix_profile(ADOBE, ADOBE_GAMMA)
    picture = read_picture(in_png(values, profile))
    assert (picture.profile, picture.remarks) == (profile, ())
    assert far_off(picture, encode_srgb(as_rgb(values) ** ADOBE_GAMMA)) <= 1


def test_reads_16_bits_of_gray_with_a_profile_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.image.read.has_pyvips", lambda: False)
    values = deepened(colors()[..., :1])
    picture = read_picture(in_png(values, gray_profile(1.8)))
    assert (picture.depth, len(picture.remarks)) == (8, 1)
    assert far_off(picture, encode_srgb(as_rgb(values) ** 1.8)) <= 2


def test_reads_profile_of_cmyk() -> None:
    """As libvips converts it, which calls Little CMS in its own way."""
    pyvips = pytest.importorskip("pyvips", reason="the extra 'large' is not installed")
    inks = np.dstack([255 - colors(), colors()[..., :1] // 4])
    image = pyvips.Image.new_from_array(inks, interpretation="cmyk")
    how = {"intent": "relative", "black_point_compensation": True}
    expected = image.icc_transform("srgb", input_profile="cmyk", **how).numpy()
    profile = pyvips.Image.new_from_array(colors()).icc_transform("cmyk", input_profile="srgb").get("icc-profile-data")
    cmyk = Image.frombytes("CMYK", (24, 16), inks.tobytes())
    picture = read_picture(encoded(cmyk, "TIFF", icc_profile=bytes(profile)))
    assert (picture.profile, picture.remarks) == (None, ())
    assert far_off(picture, levels(expected)) <= 2


UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: np.rot90(stored, 2),
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


def turned(format: str, orientation: int) -> bytes:
    """Soft colors that lie as ``orientation`` says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if format.startswith("TIFF"):
        return tiff(colors() if format == "TIFF" else deepened(colors()), tags={0x0112: orientation})
    if format == "PNG of 16 bits":
        return png(deepened(colors()), eXIf=exif.tobytes().removeprefix(b"Exif\0\0"))
    if format == "HEIC":
        pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed").register_heif_opener()
        return by_pillow("HEIF", quality=98, chroma=444, exif=exif.tobytes())(colors(), None)
    options = {"WEBP": {"lossless": True}, "PNG": {}}.get(format, {"quality": 98, "subsampling": "4:4:4"})
    return by_pillow(format, exif=exif, **options)(colors(), None)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "PNG of 16 bits", "WEBP", "AVIF", "TIFF", "TIFF of 16 bits", "HEIC"])
def test_reads_orientation(format: str, orientation: int) -> None:
    data, expected = turned(format, orientation), UPRIGHT[orientation](levels(colors()))
    assert picture_size(data) == expected.shape[:2]
    assert far_off(read_picture(data), expected) <= 8


@pytest.mark.parametrize("format", FORMATS)
def test_writes_orientation(format: str) -> None:
    """What was turned upright is not marked as turned."""
    data = encode(read_picture(turned("JPEG", 6)), FORMATS[format])
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.size == (16, 24)
    assert picture_size(data) == (24, 16)


QUICK = {"size": "original", "num_iterations": 2, "coarse_iterations": (), "precision": "fp32", "device": "cpu"}
STYLE = encoded(Image.fromarray(grain(20, 28)))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize(
    "name",
    [
        "PNG palette with alpha",
        "PNG RGB",
        "PNG RGBA",
        "TIFF RGB",
        "TIFF RGBA 16 bits",
        "PNG RGB 16 bits",
        "PNG gray 16 bits",
    ],
)
def test_strength_0(name: str, format: str) -> None:
    """The photo goes through a whole run, and comes out as it was."""
    require_vips(when="16 bits" in name)
    photo = source(name).data
    result = stylize(photo, STYLE, strength=0, **QUICK)
    before, after = read_picture(photo), read_picture(result.encode(FORMATS[format]))
    assert torch.equal(after.pixels, before.pixels)
    assert after.depth == before.depth
    assert (after.alpha is None) == (before.alpha is None)
    assert before.alpha is None or torch.equal(after.alpha, before.alpha)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("profile", ["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("carrier", ["PNG", "TIFF", "PNG of 16 bits"])
def test_strength_0_in_profile(carrier: str, profile: str) -> None:
    """Colors inside sRGB come back as the same numbers in the same profile, to 1 of 255."""
    write, bits, _ = CARRIERS[carrier]
    require_vips(when=bits == 16)
    numbers, _ = in_profile(profile, bits)
    data = stylize(write(numbers, PROFILES[profile][0]), STYLE, strength=0, **QUICK).encode(FORMATS["tiff"])
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == PROFILES[profile][0]
        strips = open_strips(data)
        after = np.asarray(image) if strips is None else whole(strips)[0]
    assert after.dtype == numbers.dtype
    assert np.abs(after.astype(int) - numbers).max() * 255 / (2**bits - 1) <= (1 if bits == 8 else 0.5)


def cut_out(hidden: int, format: str = "PNG", side: int = 40) -> bytes:
    """A disk of noise on nothing, under which random colors lie that ``hidden`` decides."""
    color = grain(side, side)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    alpha = np.clip((side / 2 - np.hypot(x, y)) * 64, 0, 255).astype(np.uint8)
    color[alpha == 0] = np.random.default_rng(hidden).integers(0, 256, (int((alpha == 0).sum()), 3))
    image = Image.fromarray(np.dstack([color, alpha]))
    return encoded(image, format, **({"lossless": True, "exact": True} if format == "WEBP" else {}))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("role", ["content", "style", "both"])
def test_what_lies_under_transparency_does_not_change_a_byte(role: str, format: str) -> None:
    def painted(hidden: int) -> bytes:
        content = cut_out(hidden if role != "style" else 0, format)
        style = cut_out(hidden if role != "content" else 0, format, side=32)
        return stylize(content, style, **QUICK | {"coarse_iterations": (1.0,)}).encode(FORMATS["png"], metadata=False)

    assert cut_out(1, format) != cut_out(2, format)
    assert painted(1) == painted(2)


@pytest.mark.usefixtures("installed")
def test_the_shape_of_a_cut_out_object_is_kept() -> None:
    photo = read_picture(cut_out(0))
    result = stylize(cut_out(0), cut_out(0, side=32), **QUICK)
    again = read_picture(result.encode(FORMATS["png"]))
    assert photo.alpha is not None
    assert again.alpha is not None
    assert torch.equal(again.alpha, photo.alpha)
    assert 0 < float(photo.alpha[(photo.alpha > 0) & (photo.alpha < 1)].mean()) < 1  # half transparent ones as well
    assert not torch.equal(again.pixels, photo.pixels)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("role", ["content", "style"])
def test_what_is_transparent_everywhere_is_refused(role: str) -> None:
    nothing = encoded(Image.new("RGBA", (32, 32), (255, 0, 0, 0)))
    pictures = {"content": cut_out(0), "style": cut_out(0), role: nothing}
    with pytest.raises(InputError, match=f"The {role} is transparent everywhere"):
        stylize(pictures["content"], pictures["style"], **QUICK)
