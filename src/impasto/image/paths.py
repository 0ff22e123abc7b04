"""Paths as people give them: which file is meant, and is there something to read in it. No torch here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from impasto.errors import InputError, did_you_mean

__all__ = ["check_path", "expanded"]


def expanded(text: str) -> Path:
    """The path that ``text`` names, ~ being someone's home.

    Raises InputError if there is no such person, if ``text`` is the address of something on the network, or empty.
    """
    if not text:
        raise InputError("A file name is empty: check what stands for it, perhaps a variable of the shell.")
    if re.match(r"[a-z][a-z0-9+.-]+://|data:\w+/", text, re.IGNORECASE):  # the drives of Windows have one letter
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise InputError(
            f"'{shown}' is an address on the network, and only files are read and written: download what is there, or"
            " give a path."
        )
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        if path.exists():
            return path
        raise InputError(f"'{text}' names a home folder that is not there: check the path.") from None


def check_path(path: Path) -> None:
    """Raise InputError unless ``path`` is a file with something in it that can be read."""
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:  # ValueError: a character of value 0
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"'{path}' cannot be looked at ({reason}): check the path.") from None
    if not exists:
        raise InputError(f"There is no file '{path}'{_nearby(path)}")
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; give a picture in it.")
    if not path.is_file():
        raise InputError(f"'{path}' is not a regular file; give a picture, or - for standard input.")
    if not os.access(path, os.R_OK):
        raise InputError(f"'{path}' may not be read: ask for permission to read it.")
    if path.stat().st_size == 0:
        raise InputError(f"'{path}' is empty: copy or download it again.")


def _nearby(path: Path) -> str:
    """The rest of the sentence: what is there instead."""
    if not path.parent.is_dir():
        return f", nor a folder '{path.parent}': check the path."
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.name != path.name]
    except OSError:
        names = []
    return f".{did_you_mean(path.name, names) or ' Check the path.'}"
