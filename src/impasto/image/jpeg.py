"""How many scans a JPEG has: a decoder goes over all of its pixels once for each."""

from __future__ import annotations

import re
from typing import BinaryIO

__all__ = ["MAX_SCANS", "has_too_many_scans"]

MAX_SCANS = 100
"""As in libtiff, for the JPEG in a TIFF. Programs write 10 to 20, and one or three where it is not progressive."""

END, SCAN = b"\xd9", b"\xda"
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""What ends a scan or begins a segment: no stuffed byte, no restart, and nothing else that has no length."""

BLOCK_BYTES = 1 << 20


def has_too_many_scans(file: BinaryIO) -> bool:
    """Whether the first picture in an open JPEG file has more than ``MAX_SCANS``, found from marker to marker."""
    scans = start = place = 0  # start: where in the file the block begins
    file.seek(0)
    block = file.read(BLOCK_BYTES)
    while True:
        found = MARKER.search(block, place)
        if found is None or found.end() + 2 > len(block):
            tail = block[found.end() - 2 :] if found else block[-1:] if block.endswith(b"\xff") else b""
            more = file.read(BLOCK_BYTES)
            if not more:
                return False
            start, block, place = start + len(block) - len(tail), tail + more, 0
            continue
        scans += found[1] == SCAN
        if found[1] == END or scans > MAX_SCANS:
            return scans > MAX_SCANS
        place = found.end() + int.from_bytes(block[found.end() : found.end() + 2], "big")
        if place > len(block):
            start, place = file.seek(start + place), 0
            block = file.read(BLOCK_BYTES)
