"""Pictures that libvips (extra ``large``) decodes a strip at a time: of 16 bits a channel, and the largest of 8."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from impasto.image.exif import read_numbers
from impasto.image.files import decoding, name_of
from impasto.image.png import SIGNATURE

__all__ = ["Strips", "has_pyvips", "open_strips"]

JPEG = b"\xff\xd8\xff"
STRIP_PIXELS = 1 << 18
PNG_CHANNELS = {0: 1, 4: 1, 2: 3, 6: 3}
"""Channels of color by color type: gray, gray with alpha, RGB, RGB with alpha."""

TIFF_CHANNELS = {0: 1, 1: 1, 2: 3}
"""Channels of color by photometric interpretation: white is zero, black is zero, RGB."""

LOSSLESS = (1, 5, 8, 32773, 32946)
"""Compressions of TIFF: none, LZW, deflate, PackBits, deflate by its old number."""


KINDS = {8: "uchar", 16: "ushort"}
"""What libvips calls numbers of so many bits."""


class _Layout(NamedTuple):
    """What the header of a file says; ``has_alpha`` is None where only the decoder knows."""

    format: str
    width: int
    height: int
    depth: int
    channels: int
    has_alpha: bool | None


def has_pyvips() -> bool:
    """Whether libvips can be used: its binding may be installed without it."""
    try:
        import pyvips  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


@dataclass(frozen=True)
class Strips:
    """A picture that is about to be read: (height, width) in pixels, its channels of color, 3 or 1, uint8 or uint16.

    From the top, it gives rows, their color, rows x W x channels, and alpha, rows x W or None; raises OSError where the
    pixels are damaged.
    """

    size: tuple[int, int]
    dtype: np.dtype[Any]
    channels: int
    has_alpha: bool
    image: Any

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
        import pyvips

        height, width = self.size
        region, rows = pyvips.Region.new(self.image), max(1, STRIP_PIXELS // width)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            try:
                values = np.frombuffer(region.fetch(0, top, width, count), dtype=self.dtype)
            except pyvips.Error as error:
                raise OSError(_reason(error)) from None
            strip = values.reshape(count, width, self.image.bands)
            alpha = strip[..., self.channels] if self.has_alpha else None
            yield slice(top, top + count), strip[..., : self.channels], alpha


def open_strips(data: Path | bytes) -> Strips | None:
    """Open the first picture of a PNG or TIFF of 8 or 16 bits, or of a JPEG, whose pixels come strip by strip.

    Colors are as stored, neither converted by the profile nor turned upright, and not multiplied by alpha. Returns
    None for what should be read in some other way: files of other formats and depths, palettes, CMYK, several extra
    channels, TIFF compressed with loss. Raises InputError if the file is damaged. Needs the extra ``large``.
    """
    with decoding(name_of(data)):
        with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
            layout = _png_layout(file) or _jpeg_layout(file) or _tiff_layout(file)
        image = None if layout is None else _opened(data, layout)
    if layout is None or image is None:
        return None
    has_alpha = image.bands > layout.channels if layout.has_alpha is None else layout.has_alpha
    dtype = np.dtype(f"uint{layout.depth}")
    return Strips((image.height, image.width), dtype, layout.channels, has_alpha, image)


def _png_layout(file: BinaryIO) -> _Layout | None:
    file.seek(0)
    head = file.read(26)
    if len(head) < 26 or not head.startswith(SIGNATURE) or head[12:16] != b"IHDR":
        return None
    width, height, depth, kind = struct.unpack_from(">IIBB", head, 16)
    if depth not in KINDS or kind not in PNG_CHANNELS:
        return None
    return _Layout("PNG", width, height, depth, PNG_CHANNELS[kind], None)


def _jpeg_layout(file: BinaryIO) -> _Layout | None:
    file.seek(0)
    if file.read(len(JPEG)) != JPEG:
        return None
    file.seek(0)
    with Image.open(file, formats=("JPEG",)) as image:
        channels = {"RGB": 3, "L": 1}.get(image.mode)
        return None if channels is None else _Layout("JPEG", *image.size, 8, channels, False)


def _tiff_layout(file: BinaryIO) -> _Layout | None:
    tags = read_numbers(file, {256, 257, 258, 259, 262, 277, 284, 322, 338, 339})
    channels = TIFF_CHANNELS.get(tags.get(262, (-1,))[0])
    extra = tags.get(338, ())
    unusual = {256, 257} - tags.keys() or tags.get(259, (1,))[0] not in LOSSLESS or set(tags.get(339, (1,))) != {1}
    depth = tags.get(258, (0,))[0]
    if channels is None or unusual or depth not in KINDS or set(tags[258]) != {depth}:
        return None
    if tags.get(277, (1,))[0] != channels + len(extra) or len(extra) > 1:
        return None
    if tags.get(284, (1,))[0] == 2 and (322 in tags or (channels, len(extra)) == (1, 1)):
        return None  # planes apart: libvips 8.18 refuses tiles, and mixes up gray with alpha
    if depth == 8 and 1 in extra:
        return None  # multiplied by alpha, which the two divide out with other rounding errors
    # An extra channel of no stated meaning, 0, is often a selection saved in Photoshop.
    return _Layout("TIFF", tags[256][0], tags[257][0], depth, channels, extra in ((1,), (2,)))


def _opened(data: Path | bytes, layout: _Layout) -> Any:
    """The image of libvips; only these three loaders are ever called, and alpha is divided out by them."""
    import pyvips

    loader = f"{layout.format.lower()}load"
    how = {"access": "sequential", "fail_on": "error"}
    pyvips.vips_lib.vips_error_clear()  # of what was said about other files, and was no error
    try:
        if isinstance(data, bytes):
            image = getattr(pyvips.Image, f"{loader}_buffer")(data, **how)
        else:
            image = getattr(pyvips.Image, loader)(os.fsencode(data), **how)
    except pyvips.Error as error:
        raise OSError(_reason(error)) from None
    is_expected = (image.format, image.width, image.height) == (KINDS[layout.depth], layout.width, layout.height)
    return image if is_expected else None


def _reason(error: Any) -> str:
    """What libvips says, on one line."""
    return " ".join(str(error.detail or error.message).split())
