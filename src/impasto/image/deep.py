"""16 bits a channel, which Pillow reduces to 8 without a word: read with libvips (extra ``large``), written here."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from impasto.image.exif import read_numbers
from impasto.image.files import decoding, name_of
from impasto.image.metadata import Metadata, save_arguments, xmp_packet
from impasto.image.tiff import encode_tiff

__all__ = ["Deep", "encode_deep", "file_depth", "has_pyvips", "read_deep"]

PNG = b"\x89PNG\r\n\x1a\n"
BLOCK_BYTES = 1 << 22
STRIP_PIXELS = 1 << 22
PNG_CHANNELS = {0: 1, 4: 1, 2: 3, 6: 3}
"""Channels of color by color type: gray, gray with alpha, RGB, RGB with alpha."""

TIFF_CHANNELS = {0: 1, 1: 1, 2: 3}
"""Channels of color by photometric interpretation: white is zero, black is zero, RGB."""

LOSSLESS = (1, 5, 8, 32773, 32946)
"""Compressions of TIFF: none, LZW, deflate, PackBits, deflate by its old number."""


class _Layout(NamedTuple):
    """What the header of a file says; ``has_alpha`` is None where only the decoder knows."""

    format: str
    width: int
    height: int
    channels: int
    has_alpha: bool | None


def has_pyvips() -> bool:
    """Whether libvips can be used: its binding may be installed without it."""
    try:
        import pyvips  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


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


@dataclass(frozen=True)
class Deep:
    """A picture of 16 bits that is about to be read: (height, width) in pixels, its channels of color, 3 or 1."""

    size: tuple[int, int]
    channels: int
    has_alpha: bool
    image: Any

    def strips(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
        """From the top: rows, their color, rows x W x channels, and alpha, rows x W or None; all uint16.

        Raises OSError where the pixels are damaged.
        """
        import pyvips

        height, width = self.size
        region, rows = pyvips.Region.new(self.image), max(1, STRIP_PIXELS // width)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            try:
                values = np.frombuffer(region.fetch(0, top, width, count), dtype=np.uint16)
            except pyvips.Error as error:
                raise OSError(_reason(error)) from None
            strip = values.reshape(count, width, self.image.bands)
            alpha = strip[..., self.channels] if self.has_alpha else None
            yield slice(top, top + count), strip[..., : self.channels], alpha


def read_deep(data: Path | bytes) -> Deep | None:
    """Open the first picture of a PNG or TIFF of 16 bits, whose pixels come strip by strip.

    Colors are as stored, neither converted by the profile nor turned upright, and not multiplied by alpha. Returns
    None for what should be read in some other way: files of other formats and depths, CMYK, several extra channels,
    compression with loss. Raises InputError if the file is damaged. Needs the extra ``large``.
    """
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        layout = _png_layout(file) or _tiff_layout(file)
    if layout is None:
        return None
    with decoding(name_of(data)):
        image = _opened(data, layout)
    if image is None:
        return None
    has_alpha = image.bands > layout.channels if layout.has_alpha is None else layout.has_alpha
    return Deep((image.height, image.width), layout.channels, has_alpha, image)


def _png_layout(file: BinaryIO) -> _Layout | None:
    file.seek(0)
    head = file.read(26)
    if len(head) < 26 or not head.startswith(PNG) or head[12:16] != b"IHDR":
        return None
    width, height, depth, kind = struct.unpack_from(">IIBB", head, 16)
    return _Layout("PNG", width, height, PNG_CHANNELS[kind], None) if depth == 16 and kind in PNG_CHANNELS else None


def _tiff_layout(file: BinaryIO) -> _Layout | None:
    tags = read_numbers(file, {256, 257, 258, 259, 262, 277, 284, 322, 338, 339})
    channels = TIFF_CHANNELS.get(tags.get(262, (-1,))[0])
    extra = tags.get(338, ())
    unusual = {256, 257} - tags.keys() or tags.get(259, (1,))[0] not in LOSSLESS or set(tags.get(339, (1,))) != {1}
    if channels is None or unusual or set(tags.get(258, ())) != {16}:
        return None
    if tags.get(277, (1,))[0] != channels + len(extra) or len(extra) > 1:
        return None
    if tags.get(284, (1,))[0] == 2 and (322 in tags or (channels, len(extra)) == (1, 1)):
        return None  # planes apart: libvips 8.18 refuses tiles, and mixes up gray with alpha
    # An extra channel of no stated meaning, 0, is often a selection saved in Photoshop.
    return _Layout("TIFF", tags[256][0], tags[257][0], channels, extra in ((1,), (2,)))


def _opened(data: Path | bytes, layout: _Layout) -> Any:
    """The image of libvips; only these two loaders are ever called, and alpha is divided out by them."""
    import pyvips

    how = {"access": "sequential", "fail_on": "error"}
    try:
        if isinstance(data, bytes):
            load = pyvips.Image.pngload_buffer if layout.format == "PNG" else pyvips.Image.tiffload_buffer
            image = load(data, **how)
        else:
            load = pyvips.Image.pngload if layout.format == "PNG" else pyvips.Image.tiffload
            image = load(os.fsencode(data), **how)
    except pyvips.Error as error:
        raise OSError(_reason(error)) from None
    is_expected = (image.format, image.width, image.height) == ("ushort", layout.width, layout.height)
    return image if is_expected else None


def _reason(error: Any) -> str:
    """What libvips says, on one line."""
    return " ".join(str(error.detail or error.message).split())


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
    body = b"".join(_chunk(b"IDAT", block) for block in _deflated(pixels))
    return PNG + _chunk(b"IHDR", header) + _described(profile, metadata, settings) + body + _chunk(b"IEND", b"")


def _described(profile: bytes | None, metadata: Metadata, settings: str | None) -> bytes:
    """The chunks between IHDR and IDAT, from a picture of one pixel written by Pillow."""
    buffer = io.BytesIO()
    options = {"icc_profile": profile} if profile else {}
    Image.new("RGB", (1, 1)).save(buffer, "PNG", **save_arguments("PNG", metadata, settings), **options)
    written = buffer.getvalue()
    start = place = len(PNG) + 25
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


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
