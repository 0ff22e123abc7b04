"""Colors that a file names by the code points of ITU-T H.273, instead of a profile, and that are not followed."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

__all__ = ["has_other_code_points"]

WIDE, HDR = (9, 11, 12), (16, 18)
"""Primaries of BT.2020 and P3, with the white of cinemas and of screens; transfer functions PQ and HLG."""

START_BYTES = 1 << 16
"""How far into an AVIF or HEIC the boxes are looked for."""


def has_other_code_points(image: Image.Image) -> bool:
    """Whether ``image``, as it was opened, is a PNG, AVIF or HEIC with code points of wide color or HDR.

    False for other formats, for damaged files, and once the file is closed. It is left at its position.
    """
    file = getattr(image, "fp", None)
    if image.format not in ("PNG", "AVIF", "HEIF") or file is None or file.closed:
        return False
    place = file.tell()
    try:
        file.seek(0)
        primaries, transfer = _in_png(file) if image.format == "PNG" else _in_boxes(file)
    except (OSError, ValueError, struct.error):
        return False
    finally:
        file.seek(place)
    return primaries in WIDE or transfer in HDR


def _in_png(file: BinaryIO) -> tuple[int, int]:
    """The first two bytes of the cICP chunk (PNG, third edition, 11.3.2.6)."""
    file.seek(8)
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"cICP":
            primaries, transfer = file.read(2)
            return primaries, transfer
        if kind == b"IDAT":
            return 2, 2  # unspecified
        file.seek(length + 4, 1)


def _in_boxes(file: BinaryIO) -> tuple[int, int]:
    """The first two numbers of the first colr box that has code points (ISO 14496-12, 12.1.5)."""
    start = file.read(START_BYTES)
    primaries, transfer = struct.unpack_from(">HH", start, start.index(b"colrnclx") + 8)
    return primaries, transfer
