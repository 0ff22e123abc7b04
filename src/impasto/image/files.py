"""Picture files without their pixels: can this one be read, what is it, how large is it. No torch here."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from PIL import Image, UnidentifiedImageError

from impasto.errors import ImpastoError, InputError, MissingExtraError
from impasto.image.formats import READABLE
from impasto.image.jpeg import MAX_SCANS, has_too_many_scans
from impasto.image.paths import check_path
from impasto.image.png import read_on

__all__ = [
    "ANY_PIXELS",
    "MAX_PIXELS",
    "File",
    "Origin",
    "decoding",
    "name_of",
    "opened",
    "orientation",
    "origin_of",
    "picture_size",
    "upright_size",
]

File: TypeAlias = Path | bytes
"""A picture's file, or the bytes of one that came through a pipe."""

MAX_PIXELS = 178_000_000
"""Pictures above this are refused from their header, before their pixels are decoded, unless --max-pixels says more."""

ANY_PIXELS = 2**40
"""The limit for files whose pixels do not matter, or that are known by their SHA-256 and were read before."""

BOMB_PIXELS = 4096 * 4096
BOMB_RATIO = 150
"""Pixels in all, and for each byte of the file, above which a file is a decompression bomb and not a picture.

Photos of AVIF at its worst have 100 for each byte, and scans of 1 bit a pixel, which count as an eighth, 800. What
deflates to RGB of one color has 340.
"""

LONGEST_REASON = 200
"""Characters that a decoder may say about what it found; some quote the file."""

HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


class _PillowsLimit:
    """Switches Pillow's limit on pixels off, which is one for the whole process, while at least one picture is open.

    The one here comes with a message that says what to do, and can be raised.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._limit: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._users += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                Image.MAX_IMAGE_PIXELS = self._limit


_no_limit_of_pillow = _PillowsLimit()


@dataclass(frozen=True)
class Origin:
    """Which file a picture came from: its name without folders, its length, and the SHA-256 of its bytes."""

    name: str
    bytes: int
    sha256: str


def origin_of(file: File) -> Origin:
    """Describe ``file``; what came through a pipe has the name "-".

    A name that is no Unicode gets question marks where JSON could not hold it: files are found again by their bytes.
    """
    if isinstance(file, bytes):
        return Origin("-", len(file), hashlib.sha256(file).hexdigest())
    with file.open("rb") as opened_file:
        digest = hashlib.file_digest(opened_file, "sha256").hexdigest()
        return Origin(os.fsencode(file.name).decode(errors="replace"), opened_file.tell(), digest)


def name_of(file: File) -> str:
    """What messages call ``file``."""
    return f"'{file}'" if isinstance(file, Path) else "the picture that was given"


def picture_size(file: File, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the (height, width) in pixels of a picture file, upright, from its header.

    Raises InputError, naming the file, if it is missing, no picture, damaged at its start or too large, and
    MissingExtraError if it takes an extra to read it.
    """
    with opened(file, max_pixels=max_pixels) as image:
        return upright_size(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """The (height, width) of a picture that was opened, once it is upright."""
    width, height = image.size
    # Pillow gives TIFF the size that it will have, because it turns the pixels itself when it loads them.
    lies = image.format != "TIFF" and orientation(image) in SIDEWAYS
    return (width, height) if lies else (height, width)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, in which the pixels of ``image`` are; 1, upright, where none can be read."""
    try:
        number = image.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever a damaged block makes of the reader, it is the picture that matters
        return 1
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


@contextmanager
def opened(file: File, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open a picture whose header is in order and whose pixels and scans are not too many; none is decoded yet."""
    if isinstance(file, Path):
        check_path(file)
    name = name_of(file)
    with _no_limit_of_pillow:
        with decoding(name):
            length = file.stat().st_size if isinstance(file, Path) else len(file)
            image = _open(file)
        with image:
            _check_pixels(image, name, length, max_pixels)
            with decoding(name):
                _check_scans(image, file, name)
            read_on(image)
            yield image


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn whatever a decoder makes of a file into an InputError about ``name``; only decoders' calls belong inside."""
    try:
        yield
    except ImpastoError:
        raise
    except UnidentifiedImageError:
        known = "JPEG, PNG, WebP, AVIF, TIFF, GIF or HEIC"
        raise InputError(f"{name} is not a {known} picture: convert it to one of these first.") from None
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: reduce it first.") from None
    except Exception as error:  # hostile files raise everything from struct.error to AttributeError
        reason = " ".join(str(error).split()).rstrip(".")[:LONGEST_REASON] or type(error).__name__
        raise InputError(f"{name} is damaged ({reason}): copy or download it again.") from None


def _open(file: File) -> Image.Image:
    formats = (*READABLE, "HEIF") if _is_heic(file) else READABLE
    return Image.open(file if isinstance(file, Path) else io.BytesIO(file), formats=formats)


def _is_heic(file: File) -> bool:
    """Whether this is a file of a camera's HEIC; then the extra that reads it is made ready."""
    if isinstance(file, Path):
        with file.open("rb") as opened_file:
            start = opened_file.read(64)
    else:
        start = file[:64]
    if start[4:8] != b"ftyp" or b"avif" in start or start[8:12] not in HEIC_BRANDS:
        return False
    try:
        import pillow_heif
    except ImportError:
        raise MissingExtraError(
            f"{name_of(file)} is HEIC, and reading it takes an extra: run\n    pip install 'impasto[heic]'"
        ) from None
    pillow_heif.register_heif_opener()
    return True


def _check_pixels(image: Image.Image, name: str, length: int, max_pixels: int) -> None:
    width, height = image.size
    pixels = width * height
    if pixels > max_pixels:
        raise InputError(
            f"{name} has {width} x {height} pixels, more than the {max_pixels:,} allowed: reduce it first, or raise"
            " --max-pixels."
        )
    if pixels > BOMB_PIXELS and pixels > BOMB_RATIO * length * (8 if image.mode == "1" else 1):
        raise InputError(
            f"{name} claims {width} x {height} pixels in {length:,} bytes, which is a way to fill the memory rather"
            " than a picture: if it is one, reduce it first."
        )


def _check_scans(image: Image.Image, file: File, name: str) -> None:
    if image.format not in ("JPEG", "MPO"):
        return
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened_file:
        if has_too_many_scans(opened_file):
            raise InputError(
                f"{name} is a JPEG of more than {MAX_SCANS} scans, which is a way to take up time rather than a"
                " picture: if it is one, save it as PNG first."
            )
