"""EXIF blocks (CIPA DC-008-2019, EXIF 2.32): the fields that are still true of another picture, byte for byte.

Read and written here and not by Pillow, whose round trip changes field types, turns UTF-8 names into question marks,
and follows whatever offsets it finds. What is kept is listed; all else goes:

- what describes the old pixels: orientation, size, layout, color space (and with it the interoperability directory,
  where "R03" means Adobe RGB), places in the picture, the thumbnail;
- software and its settings;
- the maker note: its offsets point anywhere in the old file, and it often holds a second preview.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from io import BytesIO
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

__all__ = [
    "MAX_BYTES",
    "Directory",
    "Field",
    "read_exif",
    "read_field",
    "read_numbers",
    "write_directory",
    "write_exif",
]

ByteOrder: TypeAlias = Literal["<", ">"]
"""As struct and numpy call it: "II" and "MM" in a file."""

Field: TypeAlias = tuple[int, bytes]
"""The type (TIFF 6.0, section 2) and the values as they stand in the file, in its byte order."""

Directory: TypeAlias = "dict[int, Field | Directory]"
"""Tag -> field; the EXIF and GPS directories are values of their pointers' tags."""

MAX_BYTES = 1_000_000
"""Metadata above this is left out: no camera writes as much, and attackers do."""

EXIF, GPS = 0x8769, 0x8825

DESCRIPTION = frozenset(
    {0x010E, 0x010F, 0x0110, 0x0132, 0x013B, 0x8298}  # description, make, model, date, artist, copyright
    | {0x011A, 0x011B, 0x0128}  # resolution
    | {0x4746, 0x4749, *range(0x9C9B, 0x9CA0)}  # rating, and title to subject as Windows writes them
    | {0xC614, 0xC62F, 0xC630}  # camera, its number, its lens in DNG
)
CAPTURE = frozenset(
    {0x829A, 0x829D, 0x8822, 0x8824, 0x8827, 0x8828, *range(0x8830, 0x8836)}
    | {*range(0x9000, 0x9406), *range(0xA000, 0xA463)}
) - frozenset(
    {0x9101, 0x9102, 0xA001, 0xA002, 0xA003, 0xA005, 0xA500}  # components, color space, size, interoperability
    | {0x9214, 0xA214, 0x927C, 0xA004}  # subject's area and place, maker note, sound file
    | {0xA43A, 0xA43B, 0xA43C}  # software, since EXIF 3.0
)
POSITION = frozenset(range(0x20))

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 18: 8, 129: 1}
"""Bytes of a value by type; 16 and 18 are of BigTIFF, 129 is UTF-8 text since EXIF 3.0."""

NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


def read_exif(data: bytes | BinaryIO) -> tuple[ByteOrder, Directory]:
    """Return the byte order and the fields worth keeping of an EXIF block or an open TIFF file.

    What does not lie inside the data is left out, and all is if there is more than ``MAX_BYTES`` of it or the header
    is none. Directories in circles do no harm: two levels are read. No error is raised.
    """
    try:
        file = BytesIO(_body(data)) if isinstance(data, bytes) else data
        layout, start = _header(file)
        kept: Directory = {**_fields(file, layout, start, DESCRIPTION)}
        for tag, tags in {EXIF: CAPTURE, GPS: POSITION}.items():
            for offset in _numbers(file, layout, start, {tag}).get(tag, ())[:1]:
                kept[tag] = {**_fields(file, layout, offset, tags)}
    except (ValueError, OSError, OverflowError, struct.error):
        return "<", {}
    return layout.order, {tag: field for tag, field in kept.items() if field}


def read_field(file: BinaryIO, tag: int) -> bytes:
    """Return the values of one field of the first directory of an open TIFF file, as they stand there; b"" if none."""
    try:
        return _fields(file, *_header(file), {tag}).get(tag, (0, b""))[1]
    except (ValueError, OSError, OverflowError, struct.error):
        return b""


def read_numbers(file: BinaryIO, tags: Container[int]) -> dict[int, tuple[int, ...]]:
    """Return the fields with these tags that hold whole numbers, of the first directory of an open TIFF file.

    There are none if it is no TIFF.
    """
    try:
        return _numbers(file, *_header(file), tags)
    except (ValueError, OSError, OverflowError, struct.error):
        return {}


class _Layout(NamedTuple):
    """The byte order, and how struct calls the number of entries, an entry, and an offset."""

    order: ByteOrder
    counter: str
    entry: str
    offset: str


def _body(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError("too large")
    while data.startswith(b"Exif\0\0"):  # the mark of JPEG; some writers put it elsewhere, or twice
        data = data[6:]
    return data


def _header(file: BinaryIO) -> tuple[_Layout, int]:
    """How directories are laid out, and where the first one is."""
    file.seek(0)
    head = file.read(16)
    order: ByteOrder = ">" if head.startswith(b"MM") else "<"
    if head[:4] in (b"II*\0", b"MM\0*"):
        layout, place = _Layout(order, order + "H", order + "HHI4s", order + "I"), 4
    elif head[:4] in (b"II+\0", b"MM\0+"):  # BigTIFF
        layout, place = _Layout(order, order + "Q", order + "HHQ8s", order + "Q"), 8
    else:
        raise ValueError("no header of TIFF")
    return layout, struct.unpack_from(layout.offset, head, place)[0]


def _fields(file: BinaryIO, layout: _Layout, offset: int, tags: Container[int]) -> dict[int, Field]:
    """The fields of one directory that have one of ``tags``, the first of each."""
    file.seek(offset)
    head, width = struct.calcsize(layout.counter), struct.calcsize(layout.entry)
    (count,) = struct.unpack(layout.counter, file.read(head).ljust(head, b"\0"))
    table = file.read(min(count, 65_535) * width)
    fields: dict[int, Field] = {}
    left = MAX_BYTES
    for tag, kind, number, place in struct.iter_unpack(layout.entry, table[: len(table) // width * width]):
        size = number * SIZES.get(kind, 0)
        if tag not in tags or tag in fields or not 0 < size <= left:
            continue
        value = place[:size]
        if size > len(place):
            file.seek(*struct.unpack(layout.offset, place))
            value = file.read(size)
        if len(value) == size:
            fields[tag] = (kind, value)
            left -= size
    return fields


def _numbers(file: BinaryIO, layout: _Layout, offset: int, tags: Container[int]) -> dict[int, tuple[int, ...]]:
    fields = _fields(file, layout, offset, tags)
    return {
        tag: struct.unpack(f"{layout.order}{len(value) // SIZES[kind]}{NUMBERS[kind]}", value)
        for tag, (kind, value) in fields.items()
        if kind in NUMBERS
    }


def write_exif(order: ByteOrder, directory: Directory) -> bytes:
    """Return the block that JPEG, PNG, WebP and AVIF hold, beginning with "Exif\\0\\0"; b"" for an empty directory."""
    if not directory:
        return b""
    mark = b"II" if order == "<" else b"MM"
    return b"Exif\0\0" + mark + struct.pack(order + "HI", 42, 8) + write_directory(order, directory, 8)


def write_directory(order: ByteOrder, directory: Directory, offset: int) -> bytes:
    """Return ``directory`` as it stands at ``offset`` of a TIFF file, its values and inner directories behind it."""
    entries, behind = b"", b""
    end = offset + 2 + 12 * len(directory) + 4
    for tag, field in sorted(directory.items(), key=lambda item: item[0]):
        here = end + len(behind)
        if isinstance(field, dict):
            kind, number, value = 4, 1, write_directory(order, field, here)
        else:
            kind, value = field
            number = len(value) // SIZES[kind]
        inside = len(value) <= 4 and not isinstance(field, dict)
        place = value.ljust(4, b"\0") if inside else struct.pack(order + "I", here)
        entries += struct.pack(order + "HHI", tag, kind, number) + place
        behind += b"" if inside else value + b"\0" * (len(value) % 2)
    return struct.pack(order + "H", len(directory)) + entries + bytes(4) + behind
