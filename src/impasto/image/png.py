"""What stands behind the pixels of a PNG, which Pillow would decode all of them for."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from PIL import Image

__all__ = ["SIGNATURE", "chunk", "read_on"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
WORDS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
"""The chunks that matter; what says how pixels are to be shown stands before them."""

MOST_CHUNKS, MOST_BYTES = 1 << 20, 1 << 26
"""What is looked through, and what is read of it: a file with more than that has other ends."""


def read_on(image: Image.Image) -> None:
    """Add to ``image.info`` of a PNG that was opened what is said behind its pixels; none of them is decoded.

    Pillow is handed these chunks in a PNG of one pixel. What is damaged does not matter here, and is left out: damaged
    pixels are found when they are asked for. Once they were, or where it is no PNG, there is nothing to do.
    """
    file = getattr(image, "fp", None)
    if image.format != "PNG" or file is None or file.closed:
        return
    place = file.tell()
    try:
        with suppress(Exception), Image.open(io.BytesIO(_of_one_pixel(_behind(file))), formats=("PNG",)) as found:
            with suppress(Exception):
                found.load()
            image.info = {**found.info, **image.info}
    finally:
        file.seek(place)
    if "Raw profile type exif" not in image.info:
        image.info.setdefault("exif", b"")  # or Pillow decodes all in search of it


def _behind(file: BinaryIO) -> Iterator[bytes]:
    """The chunks of ``WORDS`` behind the first of the pixels."""
    file.seek(len(SIGNATURE))
    is_behind, left = False, MOST_BYTES
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        is_behind = is_behind or kind == b"IDAT"
        if not is_behind or kind not in WORDS or length > left:
            file.seek(length + 4, io.SEEK_CUR)
            continue
        left -= length
        yield head + file.read(length + 4)


def _of_one_pixel(chunks: Iterator[bytes]) -> bytes:
    """A PNG with ``chunks`` behind its only pixel, which is black."""
    header, pixel = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0\0")
    behind = b"".join(chunks)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + behind + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG (third edition, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
