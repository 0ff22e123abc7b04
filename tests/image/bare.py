"""PNG and TIFF byte by byte, as no program writes them, and the pictures in them."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from impasto.image.deep import encode_deep
from impasto.image.metadata import Metadata

Array = np.ndarray

PNG_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}


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


def write(color: Array, format: str, alpha: Array | None = None, **options: Any) -> bytes:
    arguments: dict[str, Any] = {"profile": None, "metadata": Metadata(), "settings": None, **options}
    return encode_deep(color, alpha, format, **arguments)
