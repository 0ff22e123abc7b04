"""Where a result goes: can it be written there, and writing it so that no half file is ever seen. No torch here."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from impasto.errors import OutputError

__all__ = ["check_destination", "new_file_beside", "sync_folder", "write_bytes", "writing_folder"]

LONGEST_NAME = 240
"""Bytes of a file's name; file systems take 255, and snapshots are named after the result."""


def check_destination(path: Path, *, overwrite: bool = False, needed: int = 0, option: str = "-o") -> None:
    """Raise OutputError unless ``needed`` bytes can be written to ``path``, which may exist only to be replaced.

    ``option`` is what names the file, for the message.
    """
    if "\0" in str(path):
        raise OutputError(f"The name of the result holds a character of value 0: choose another {option}.")
    try:
        _check_place(path, overwrite, needed, option)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written ({error.strerror or error}): choose another {option}.") from None


def _check_place(path: Path, overwrite: bool, needed: int, option: str) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"There is no folder '{folder}' for the result: create it, or choose another {option}.")
    with suppress(FileNotFoundError):
        path.stat()  # raises for links in a circle, and for what may not be looked at
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder: give {option} the name of a file.")
    if path.exists() and not path.is_file():  # /dev/null, say, in whose place a file would be put
        raise OutputError(
            f"'{path}' is a device or a pipe: give {option} the name of a file"
            f"{', or - for standard output' if option == '-o' else ''}."
        )
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise OutputError(f"The name '{path.name[:40]}...' is too long: choose a shorter {option}.")
    if path.exists() and not overwrite:
        raise OutputError(f"'{path}' exists already: add -y to replace it, or choose another {option}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"Nothing may be written to the folder '{folder}': choose another {option}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"'{path}' is protected against writing: choose another {option}.")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"The disk of '{folder}' has {free / 1e6:.1f} MB left, and the result may take {needed / 1e6:.1f} MB:"
            f" make room, or choose another {option}."
        )


def new_file_beside(path: Path) -> Path:
    """Make an empty file in the folder of ``path``, to be written and renamed to it, with the usual permissions."""
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def writing_folder(path: Path) -> Path:
    """Where ``path`` is being written by those who own it: whatever was left there by one who died can be removed."""
    return path.with_name(f".{path.name}.writing")


def sync_folder(folder: Path) -> None:
    """See to it that names which were given in ``folder`` outlast a power cut; where the system can do that."""
    with suppress(OSError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(data: bytes, path: Path, *, overwrite: bool) -> None:
    """Write to a temporary file in the same folder, flush it to the disk, and rename it to ``path``."""
    path = path.resolve() if path.is_symlink() else path  # what it points to is written, as other programs do
    temporary = None
    try:
        temporary = new_file_beside(path)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(temporary, path, overwrite=overwrite)
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be written ({error.strerror or error}): make room, or choose another -o."
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, fails if someone else made the file meanwhile
    except FileExistsError:
        raise OutputError(f"'{path}' exists already: add -y to replace it, or choose another -o.") from None
    except OSError:  # a file system without hard links
        temporary.replace(path)
