"""Picture files without their pixels: can this one be read, how large is it, can that one be written. No torch here."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from impasto.errors import InputError, OutputError, did_you_mean

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "check_output",
    "check_path",
    "expanded",
    "format_of",
    "new_file_beside",
    "opened",
    "picture_size",
]

MAX_PIXELS = 178_000_000
"""Pictures above this are refused from their header, before their pixels are decoded; a little below Pillow's limit."""

FORMATS = ("JPEG", "PNG")

EXTENSIONS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

LONGEST_NAME = 240
"""Bytes of a file's name; file systems take 255, and snapshots are named after the result."""

ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


def expanded(text: str) -> Path:
    """The path that ``text`` names, ~ being someone's home; raise InputError if there is no such person."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"'{text}' names a home folder that is not there: check the path.") from None


def check_path(path: Path) -> None:
    """Raise InputError unless ``path`` is a file with something in it that can be read."""
    try:
        if not path.exists():
            raise InputError(f"There is no file '{path}'{_nearby(path)}")
    except OSError as error:
        raise InputError(f"'{path}' cannot be looked at ({error.strerror}): check the path.") from None
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; give a picture in it.")
    if not path.is_file():
        raise InputError(f"'{path}' is not a regular file; give a JPEG or PNG file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"'{path}' may not be read: ask for permission to read it.")
    if path.stat().st_size == 0:
        raise InputError(f"'{path}' is empty: copy or download it again.")


def _nearby(path: Path) -> str:
    """The rest of the sentence: what is there instead."""
    if not path.parent.is_dir():
        return f", nor a folder '{path.parent}': check the path."
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        names = []
    return f".{did_you_mean(path.name, names) or ' Check the path.'}"


def picture_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) in pixels of a picture file, upright, from its header.

    Raises InputError, naming the path, if it is missing, not a JPEG or PNG, damaged at its start or too large.
    """
    check_path(path)
    with opened(path, f"'{path}'") as image:
        width, height = image.size
        sideways = image.getexif().get(ORIENTATION) in SIDEWAYS
    return (width, height) if sideways else (height, width)


@contextmanager
def opened(file: Path | io.BytesIO, name: str) -> Iterator[Image.Image]:
    """Open a picture whose header is in order; errors inside, while decoding, turn into InputError about ``name``."""
    try:
        with _open(file) as image:
            _check_pixels(image.size, name)
            yield image
    except UnidentifiedImageError:
        raise InputError(f"{name} is not a JPEG or PNG picture: convert it to one of these first.") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name} has more than {MAX_PIXELS:,} pixels: reduce it first.") from None
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: reduce it first.") from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is damaged ({error}): copy or download it again.") from None


def _open(file: Path | io.BytesIO) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is a higher one
        return Image.open(file, formats=FORMATS)


def _check_pixels(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS:,} allowed: reduce it first."
        )


def check_output(path: Path, *, overwrite: bool = False, needed: int = 0) -> None:
    """Raise OutputError unless ``needed`` bytes can be written to ``path``, which may exist only to be replaced."""
    if "\0" in str(path):
        raise OutputError("The name of the result holds a character of value 0: choose another -o.")
    format_of(path)
    try:
        _check_place(path, overwrite, needed)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written ({error.strerror or error}): choose another -o.") from None


def _check_place(path: Path, overwrite: bool, needed: int) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"There is no folder '{folder}' for the result: create it, or choose another -o.")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder: give -o the name of a file.")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise OutputError(f"The name '{path.name[:40]}...' is too long: choose a shorter -o.")
    if path.exists() and not overwrite:
        raise OutputError(f"'{path}' exists already: add -y to replace it, or choose another -o.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"Nothing may be written to the folder '{folder}': choose another -o.")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"'{path}' is protected against writing: choose another -o.")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"The disk of '{folder}' has {free / 1e6:.1f} MB left, and the result may take {needed / 1e6:.1f} MB:"
            " make room, or choose another -o."
        )


def format_of(path: Path) -> str:
    """Return "PNG" or "JPEG" by the extension; raise OutputError naming the extensions that can be written."""
    extension = path.suffix.lower()
    if extension in EXTENSIONS:
        return EXTENSIONS[extension]
    found = f"the extension '{path.suffix}'" if path.suffix else "no extension"
    raise OutputError(f"'{path}' has {found}.{did_you_mean(extension, EXTENSIONS)} Use one of {', '.join(EXTENSIONS)}.")


def new_file_beside(path: Path) -> Path:
    """Make an empty file in the folder of ``path``, to be written and renamed to it, with the usual permissions."""
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary
