"""Writing TIFF (revision 6.0): deflated strips of 8 or 16 bits a channel, with EXIF, XMP and an ICC profile.

Pillow writes RGB of 8 bits only, and no EXIF where it compresses; libvips writes no EXIF at all.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from impasto.image.exif import ByteOrder, Directory, Field, read_exif, write_directory

__all__ = ["encode_tiff"]

STRIP_BYTES = 1 << 18
BYTE, SHORT, LONG, UNDEFINED = 1, 3, 4, 7


def encode_tiff(pixels: np.ndarray, *, profile: bytes | None, exif: bytes, xmp: bytes) -> bytes:
    """Return the bytes of a file for H x W x 3, or 4 with alpha that colors are not multiplied by, uint8 or uint16.

    ``exif`` is a block as JPEG has it, whose byte order the file takes over; ``profile`` is an ICC profile.
    """
    order, fields = read_exif(exif)
    height, width, channels = pixels.shape
    rows = max(1, STRIP_BYTES // (width * channels * pixels.itemsize))
    strips = list(_strips(pixels.astype(pixels.dtype.newbyteorder(order), copy=False), rows))
    ends = np.cumsum([8] + [len(strip) for strip in strips]).tolist()
    tags: Directory = {
        256: _numbers(order, LONG, width),
        257: _numbers(order, LONG, height),
        258: _numbers(order, SHORT, *[8 * pixels.itemsize] * channels),
        259: _numbers(order, SHORT, 8),  # deflate
        262: _numbers(order, SHORT, 2),  # RGB
        273: _numbers(order, LONG, *ends[:-1]),
        277: _numbers(order, SHORT, channels),
        278: _numbers(order, LONG, rows),
        279: _numbers(order, LONG, *[len(strip) for strip in strips]),
        284: _numbers(order, SHORT, 1),  # channels side by side
        317: _numbers(order, SHORT, 2),  # differences along the row
    }
    if channels == 4:
        tags[338] = _numbers(order, SHORT, 2)  # the fourth is alpha, and colors are not multiplied by it
    if xmp:
        tags[700] = (BYTE, xmp)
    if profile:
        tags[34675] = (UNDEFINED, profile)
    start = ends[-1] + ends[-1] % 2
    header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    padding = bytes(start - ends[-1])
    return b"".join([header, *strips, padding, write_directory(order, {**fields, **tags}, start)])


def _numbers(order: ByteOrder, kind: int, *values: int) -> Field:
    return kind, struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)


def _strips(pixels: np.ndarray, rows: int) -> Iterator[bytes]:
    """Deflate ``rows`` at a time, each value less its neighbor on the left (predictor 2, TIFF 6.0 section 14)."""
    for top in range(0, len(pixels), rows):
        strip = pixels[top : top + rows].copy()
        strip[:, 1:] -= pixels[top : top + rows, :-1]
        yield zlib.compress(strip.tobytes())
