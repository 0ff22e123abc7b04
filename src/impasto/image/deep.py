"""16 bits a channel, which Pillow reduces to 8 without a word: which files have them, and how they are written."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from impasto.image.exif import read_numbers
from impasto.image.metadata import Metadata, save_arguments, xmp_packet
from impasto.image.png import SIGNATURE, chunk
from impasto.image.tiff import encode_tiff

__all__ = ["encode_deep", "file_depth"]

BLOCK_BYTES = 1 << 22


def file_depth(image: Image.Image) -> int:
    """Return the bits a channel of the file that ``image`` was opened from, at least 8.

    Taken from the IHDR of PNG, BitsPerSample of TIFF, the av1C box of AVIF (AV1-ISOBMFF 2.3.3), and what pillow_heif
    says of HEIC; 8 for other formats, for damaged files, and once the file is closed. It is left at its position.
    """
    if image.format == "HEIF":
        return max(8, int(image.info.get("bit_depth", 8)))
    file = getattr(image, "fp", None)
    if file is None or file.closed:
        return 8
    place = file.tell()
    try:
        return max(8, _stored_depth(image.format, file))
    except (OSError, ValueError, IndexError):  # the pixels say in better words what is wrong with the file
        return 8
    finally:
        file.seek(place)


def _stored_depth(format: str | None, file: BinaryIO) -> int:
    if format == "TIFF":
        return max(read_numbers(file, {258}).get(258, (8,)))
    file.seek(0)
    if format == "PNG":
        return file.read(25)[24]
    return _av1_depth(file) if format == "AVIF" else 8


def _av1_depth(file: BinaryIO) -> int:
    """The third byte behind the name of the first av1C box: a bit for more than 8, and one for 12."""
    start = file.read(1 << 16)
    flags = start[start.index(b"av1C") + 6]
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def encode_deep(
    color: np.ndarray,
    alpha: np.ndarray | None,
    format: str,
    *,
    profile: bytes | None,
    metadata: Metadata,
    settings: str | None,
) -> bytes:
    """Return the bytes of a PNG or TIFF at the depth of ``color``: H x W x 3, and ``alpha`` H x W, uint8 or uint16.

    ``profile`` is an ICC profile or None, ``metadata`` and ``settings`` are put where ``save_arguments`` puts them.
    Equal arguments give equal bytes. Takes no extra.
    """
    pixels = color if alpha is None else np.concatenate([color, alpha[..., None]], axis=2)
    if format == "TIFF":
        return encode_tiff(pixels, profile=profile, exif=metadata.exif, xmp=xmp_packet(metadata, settings))
    if format != "PNG":
        raise ValueError(f"{format} is not PNG or TIFF.")
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, {3: 2, 4: 6}[channels], 0, 0, 0)
    body = b"".join(chunk(b"IDAT", block) for block in _deflated(pixels))
    return SIGNATURE + chunk(b"IHDR", header) + _described(profile, metadata, settings) + body + chunk(b"IEND", b"")


def _described(profile: bytes | None, metadata: Metadata, settings: str | None) -> bytes:
    """The chunks between IHDR and IDAT, from a picture of one pixel written by Pillow."""
    buffer = io.BytesIO()
    options = {"icc_profile": profile} if profile else {}
    Image.new("RGB", (1, 1)).save(buffer, "PNG", **save_arguments("PNG", metadata, settings), **options)
    written = buffer.getvalue()
    start = place = len(SIGNATURE) + 25
    while written[place + 4 : place + 8] != b"IDAT":
        place += 12 + struct.unpack_from(">I", written, place)[0]
    return written[start:place]


def _deflated(pixels: np.ndarray) -> Iterator[bytes]:
    """The stream of PNG (third edition, 9.2 and 10.1), each byte less that of the pixel on the left (filter 1)."""
    height, width, channels = pixels.shape
    step = channels * pixels.itemsize
    rows = max(1, BLOCK_BYTES // (width * step))
    stream = zlib.compressobj()
    for top in range(0, height, rows):
        values = np.ascontiguousarray(pixels[top : top + rows], dtype=pixels.dtype.newbyteorder(">"))
        plain = values.view(np.uint8).reshape(len(values), -1)
        filtered = np.empty((len(plain), 1 + plain.shape[1]), dtype=np.uint8)
        filtered[:, 0] = 1
        filtered[:, 1 : 1 + step] = plain[:, :step]
        filtered[:, 1 + step :] = plain[:, step:] - plain[:, :-step]
        yield stream.compress(filtered.tobytes())
    yield stream.flush()
