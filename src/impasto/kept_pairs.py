"""The long memory of L-BFGS on disk, a file for each pair: what is there already is not written again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from impasto.image.destination import sync_folder, writing_folder
from impasto.safe_file import opened

__all__ = ["drop_other_pairs", "folder_of_pairs", "keep_pairs", "read_pairs", "write_tensors"]

NAME = re.compile(r"[0-9a-f]{8}-\d{1,9}")
"""What pairs are called; nothing else in a checkpoint becomes the name of a file."""

IN_WRITING = re.compile(rf"\.{NAME.pattern}\.writing")
"""The folder in which one is written (see ``writing_folder``)."""


def folder_of_pairs(checkpoint: Path) -> Path:
    """The folder beside a checkpoint."""
    return checkpoint.with_name(f"{checkpoint.name}.history")


def keep_pairs(checkpoint: Path, names: Sequence[str], rows: Tensor) -> None:
    """Write the pairs that are not there yet, two of ``rows`` each; raise OSError if that fails.

    A name stands for the same numbers for ever, and a file has it only once all of it is on the disk.
    """
    folder = folder_of_pairs(checkpoint)
    folder.mkdir(exist_ok=True)
    for place, name in enumerate(names):
        if not (folder / name).exists():
            write_tensors(folder / name, {"pair": rows[2 * place : 2 * place + 2].detach().contiguous()})


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Write a file of safetensors, in place of the one before once all of it is on the disk; raise OSError if it
    cannot be written. Two may not write to one ``path`` at once."""
    folder = writing_folder(path)
    shutil.rmtree(folder, ignore_errors=True)  # safetensors has a file of its own there until it is done
    folder.mkdir()
    try:
        written = folder / "tensors"
        save_file(tensors, written, about)
        with written.open("r+b") as file:  # Windows flushes no file that is open for reading only
            os.fsync(file.fileno())
        written.replace(path)
        sync_folder(path.parent)
    except SafetensorError as error:  # wraps the system's errors too
        raise OSError(str(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_pairs(checkpoint: Path, names: Sequence[str], room: int = 0) -> Tensor:
    """The rows of the pairs, in this order, and behind them what is missing to ``room`` pairs.

    Raises ValueError if one of them is not there, or not of one size.
    """
    rows: Tensor | None = None
    for place, name in enumerate(names):
        pair = _read(folder_of_pairs(checkpoint), name)
        if rows is None:
            rows = pair.new_empty(2 * max(len(names), room), pair.shape[1])
        if pair.shape[1:] != rows.shape[1:]:
            raise ValueError(f"'{name}' has another size than the others")
        rows[2 * place : 2 * place + 2] = pair
    return torch.empty(0, 0) if rows is None else rows


def _read(folder: Path, name: str) -> Tensor:
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name of a pair")
    try:
        with opened(folder / name) as file:
            pair: Tensor = file.get_tensor("pair")
    except (OSError, SafetensorError) as error:
        raise ValueError(f"the folder '{folder}' has to be beside it, whole ({error})") from None
    if pair.ndim != 2 or len(pair) != 2:
        raise ValueError(f"'{folder / name}' is damaged")
    return pair


def drop_other_pairs(checkpoint: Path, names: Collection[str]) -> None:
    """Remove the pairs that no checkpoint refers to any more, and what one was being written to; what is no pair stays.
    Remove the folder too, if that is everything."""
    folder = folder_of_pairs(checkpoint)
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if NAME.fullmatch(path.name) and path.name not in names:
            with suppress(OSError):
                path.unlink()
        elif IN_WRITING.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    if not names:
        with suppress(OSError):
            folder.rmdir()
