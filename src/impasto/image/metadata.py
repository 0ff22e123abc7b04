"""What a photo says of itself besides its pixels, carried over to the result, and the settings that made the result.

The settings, a JSON text, stand where each format has room: a text of PNG, a property of XMP in JPEG, WebP, AVIF and
TIFF, the comment of GIF. With them goes IPTC's digital source type, which says that a network had a hand in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from impasto.image.captions import iptc_properties, text_properties
from impasto.image.exif import MAX_BYTES, read_exif, read_field, write_exif
from impasto.image.png import read_on
from impasto.image.xmp import NO_CHARACTERS, cleaned, read_property

__all__ = ["Metadata", "metadata_losses", "read_metadata", "read_settings", "save_arguments", "xmp_packet"]

SETTINGS, SOURCE_TYPE = "impasto:Settings", "Iptc4xmpExt:DigitalSourceType"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

PNG_SETTINGS, PNG_XMP = "impasto", "XML:com.adobe.xmp"
IPTC_IN_TIFF, IPTC_IN_PHOTOSHOP = 33723, 0x0404

JPEG_EXIF, JPEG_XMP = 65_533, 65_502
"""Bytes that fit into a marker of JPEG, "Exif" and two zeros included (XMP part 3, 1.1.3)."""

ROOM_FOR_SETTINGS = 8_000
"""Bytes that the settings of most runs stay below, for saying what will not fit before they are known."""

NOT_ASCII = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True)
class Metadata:
    """An EXIF block, which begins with "Exif" and two zeros, and an XMP packet, both cleaned; b"" for none."""

    exif: bytes = b""
    xmp: bytes = b""


def read_metadata(image: Image.Image) -> Metadata:
    """Return what remains true of a picture made from ``image``, as it was opened and before its pixels are changed.

    Left out are orientation, size, color space, thumbnails, maker notes, software and its settings (see ``exif`` and
    ``xmp``). IPTC-IIM, texts of PNG and comments become properties of XMP that the photo's XMP does not have. Blocks
    that are damaged, hostile or above 1 MB are left out; no error is raised. A PNG or TIFF still has to have its file
    open.
    """
    read_on(image)
    with _tiff_file(image) as file:
        exif = write_exif(*read_exif(file or _exif_block(image)))
        iptc = read_field(file, IPTC_IN_TIFF) if file else _iptc_in_jpeg(image)
    texts = {key: text for key, text in image.info.items() if key != "comment" or not _is_settings(text)}
    xmp = cleaned(_bytes(image.info.get("xmp")), text_properties(texts) | iptc_properties(iptc))
    return Metadata(exif if len(exif) <= MAX_BYTES else b"", xmp if len(xmp) <= MAX_BYTES else b"")


def read_settings(image: Image.Image) -> str | None:
    """Return the JSON text that ``save_arguments`` put into a picture of any format; None if there is none.

    It is that of an object, at most 1 MB long; in GIF it comes back in ASCII.
    """
    read_on(image)
    return next((str(text) for text in _places(image) if _is_settings(text)), None)


def save_arguments(format: str, metadata: Metadata, settings: str | None) -> dict[str, Any]:
    """Return the arguments of ``PIL.Image.Image.save`` that put ``metadata`` and ``settings`` into a file.

    ``format`` is "PNG", "JPEG", "WEBP", "AVIF" or "GIF", which holds the settings alone; ``encode_deep`` writes TIFF,
    since Pillow cannot compress one that has EXIF. The photo's own XMP gives way to the settings, its largest
    properties first, where both do not fit, and in JPEG, EXIF and settings above 64 kB are left out. Without
    ``settings`` there is no digital source type either. Equal arguments give equal bytes. Raises ValueError for
    another format.
    """
    if format == "GIF":
        return {"comment": _escaped(settings, NOT_ASCII).encode()} if settings else {}
    if format == "PNG":
        return {"exif": metadata.exif, "pnginfo": _png_texts(metadata, settings)}
    if format == "JPEG":
        exif = metadata.exif if len(metadata.exif) <= JPEG_EXIF else b""
        return {"exif": exif, "xmp": xmp_packet(metadata, settings, limit=JPEG_XMP)}
    if format in ("WEBP", "AVIF"):
        return {"exif": metadata.exif, "xmp": xmp_packet(metadata, settings)}
    raise ValueError(f"Pillow cannot write the metadata of {format}.")


def metadata_losses(format: str, metadata: Metadata) -> list[str]:
    """What of the photo's ``metadata`` a file of ``format`` has no room for, a sentence each."""
    if format == "GIF":
        kept = "GIF keeps nothing of what the photo says of itself, such as date, camera and author: other formats do."
        return [kept] if metadata.exif or metadata.xmp else []
    if format != "JPEG":
        return []
    found, elsewhere = [], "PNG, WebP, AVIF and TIFF have room for it."
    if len(metadata.exif) > JPEG_EXIF:
        found.append(f"The photo's EXIF is above the 64 kB that JPEG holds, and is left out: {elsewhere}")
    if len(metadata.xmp) + ROOM_FOR_SETTINGS > JPEG_XMP:
        found.append(
            "The photo's XMP and the settings may be above the 64 kB that JPEG holds, and then its largest properties"
            f" are left out: {elsewhere}"
        )
    return found


def xmp_packet(metadata: Metadata, settings: str | None, *, limit: int = MAX_BYTES, with_text: bool = True) -> bytes:
    """Return the photo's XMP with the source type and ``settings``, of ``limit`` bytes at most; b"" if there is none.

    What does not fit is given up: the photo's largest properties first, then the settings. ``with_text=False`` leaves
    the text of the settings out, for a format that has another place for it.
    """
    source = {SOURCE_TYPE: [COMPOSITE]} if settings else {}
    text = {SETTINGS: [_escaped(settings, NO_CHARACTERS)]} if settings and with_text else {}
    choices = ((metadata.xmp, source | text), (b"", source | text), (metadata.xmp, source), (b"", source))
    packets = (cleaned(xmp, more, limit=limit) for xmp, more in choices)
    return next(packet for packet in packets if len(packet) <= limit)


def _png_texts(metadata: Metadata, settings: str | None) -> PngInfo:
    texts = PngInfo()
    if settings:
        texts.add_itxt(PNG_SETTINGS, _escaped(settings, NO_CHARACTERS))
    if packet := xmp_packet(metadata, settings, with_text=False):
        texts.add_itxt(PNG_XMP, packet)
    return texts


def _escaped(settings: str, characters: re.Pattern[str]) -> str:
    """Write ``characters`` as JSON does where a format cannot hold them: names of files may have any."""
    return characters.sub(lambda found: json.dumps(found[0])[1:-1], settings)


def _is_settings(text: object) -> bool:
    if not isinstance(text, str | bytes) or len(text) > MAX_BYTES:
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _places(image: Image.Image) -> Iterator[str | None]:
    """Where settings may be, those first that are theirs alone."""
    if image.format == "PNG":
        yield image.info.get(PNG_SETTINGS)
    yield read_property(_bytes(image.info.get("xmp")), SETTINGS)
    if image.format == "GIF":
        yield _bytes(image.info.get("comment")).decode("ascii", "replace")


@contextmanager
def _tiff_file(image: Image.Image) -> Iterator[BinaryIO | None]:
    """The open file of a TIFF, which is an EXIF block itself; None for others."""
    file = getattr(image, "fp", None)
    if image.format != "TIFF" or file is None or file.closed:
        yield None
        return
    place = file.tell()
    try:
        yield file
    finally:
        file.seek(place)


def _exif_block(image: Image.Image) -> bytes:
    """The EXIF that Pillow found, or that ImageMagick wrote into PNG as text in hexadecimal before there was eXIf."""
    words = str(image.info.get("Raw profile type exif", ""))[: 3 * MAX_BYTES].split()
    try:
        return _bytes(image.info.get("exif")) or bytes.fromhex("".join(words[2:]))
    except ValueError:
        return b""


def _iptc_in_jpeg(image: Image.Image) -> bytes:
    resources = image.info.get("photoshop")
    return _bytes(resources.get(IPTC_IN_PHOTOSHOP)) if isinstance(resources, dict) else b""


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
