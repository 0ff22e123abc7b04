"""What a photo says in forms older than XMP, as properties of XMP: IPTC-IIM, and the texts of PNG, JPEG and GIF."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["iptc_properties", "text_properties"]

IPTC = {
    5: "dc:title",
    25: "dc:subject",
    40: "photoshop:Instructions",
    80: "dc:creator",
    85: "photoshop:AuthorsPosition",
    90: "photoshop:City",
    92: "Iptc4xmpCore:Location",
    95: "photoshop:State",
    100: "Iptc4xmpCore:CountryCode",
    101: "photoshop:Country",
    103: "photoshop:TransmissionReference",
    105: "photoshop:Headline",
    110: "photoshop:Credit",
    115: "photoshop:Source",
    116: "dc:rights",
    120: "dc:description",
    122: "photoshop:CaptionWriter",
}
"""The data sets of record 2, and what the IPTC Photo Metadata Standard calls them."""

TEXTS = {
    "Title": "dc:title",
    "Author": "dc:creator",
    "Description": "dc:description",
    "Copyright": "dc:rights",
    "Comment": "dc:description",
    "comment": "dc:description",
}
"""Keywords of PNG (third edition, 11.3.3.1), and Pillow's name for the comment of JPEG and GIF."""

LONGEST = 32_000
"""Characters; a caption of IPTC has 2000, and all of them have to go into 64 kB of JPEG."""

SIGNATURES = ("CREATOR: gd-jpeg", "Created with ", "File written by ", "LEAD Technologies", "Lavc")
"""How comments begin that programs sign with."""


def iptc_properties(block: bytes) -> dict[str, list[str]]:
    """Return the properties in a block of IPTC-IIM 4.2 as far as it is in order; none if it is not IPTC at all."""
    properties: dict[str, list[str]] = {}
    place = 0
    while block[place : place + 1] == b"\x1c" and place + 5 <= len(block):
        record, kind, size = struct.unpack_from(">BBH", block, place + 1)
        text = _text(block[place + 5 : place + 5 + size])
        if record == 2 and kind in IPTC and text:
            properties.setdefault(IPTC[kind], []).append(text)
        place += 5 + size  # sizes above 32767 announce a longer count, which no text needs
    return properties


def text_properties(texts: Mapping[Any, Any]) -> dict[str, list[str]]:
    """Return the properties in the ``info`` of a picture opened with Pillow, the first of each."""
    properties: dict[str, list[str]] = {}
    for keyword, name in TEXTS.items():
        value = texts.get(keyword)
        text = _text(value) if isinstance(value, bytes) else value.strip() if isinstance(value, str) else ""
        if 0 < len(text) <= LONGEST and not text.startswith(SIGNATURES):
            properties.setdefault(name, [text])
    return properties


def _text(data: bytes) -> str:
    """Decode text whose encoding is seldom declared: UTF-8 if it can be, else that of western Windows."""
    data = data[:LONGEST].strip(b"\0 \t\r\n")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
