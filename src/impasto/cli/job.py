"""What a run reads and writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options import Options
from impasto.errors import OptionError
from impasto.image.animated import EXTENSIONS as ANIMATED
from impasto.image.files import File, origin_of
from impasto.image.formats import EXTENSIONS, FORMATS, Format, format_of, named_format
from impasto.image.paths import expanded
from impasto.pyramid import Level

if TYPE_CHECKING:
    from filelock import FileLock

    from impasto.checkpoint import Checkpoint
    from impasto.prepare import Schedule
    from impasto.record import Record

__all__ = ["STDOUT", "Inputs", "Job", "Resumed", "default_name", "numbered", "stem_of"]

STDOUT = Path("-")
"""The output that is no file, but what the command prints."""

MOST_SNAPSHOTS = 10_000

STEM_LENGTH = 80
"""Longer names of inputs, in bytes, are cut in the default name of the output; file systems have limits."""


@dataclass(frozen=True)
class Inputs:
    """The pictures that go in, files or the bytes of one; ``start`` is the one of --init, if that names a picture."""

    content: File
    style: File
    start: File | None = None

    def paths(self) -> list[Path]:
        """Those that are files."""
        return [file for file in (self.content, self.style, self.start) if isinstance(file, Path)]


@dataclass(frozen=True)
class Resumed:
    """Where a run goes on from: what was in the file at ``path``, the ``lock`` that keeps others from it, the seconds
    that the run took until then, and by path the SHA-256 of what it ``saved`` when it was stopped."""

    path: Path
    lock: FileLock
    checkpoint: Checkpoint
    elapsed: float
    saved: Mapping[str, str]

    def is_saved_so_far(self, path: Path) -> bool:
        """Whether ``path`` is still the picture or the animation that the run itself saved when it was stopped."""
        wanted = self.saved.get(str(path.absolute()))
        if wanted is None or path.suffix.lower() not in (*EXTENSIONS, *ANIMATED):
            return False
        try:
            return origin_of(path).sha256 == wanted
        except OSError:
            return False


@dataclass(frozen=True)
class Job:
    """The files and the options of a run that can start: what is written may be replaced if ``overwrite``.

    ``default_named`` says that nobody asked for the name of the output, so that it may become another one.
    ``schedule`` has the sizes and evaluations of a picture that is made again, ``made_as`` the settings found in it,
    and ``resumed`` where a run stands that goes on.
    """

    inputs: Inputs
    output: Path
    overwrite: bool
    options: Options
    default_named: bool = False
    schedule: Schedule | None = None
    made_as: Record | None = None
    resumed: Resumed | None = None

    @property
    def format(self) -> Format:
        """The format of the result."""
        named = self.options.output.format
        if named:
            return named_format(named)
        return FORMATS["png"] if self.output == STDOUT else format_of(self.output)

    @property
    def animation(self) -> Path | None:
        """The file of --animate."""
        named = self.options.output.animate
        return None if named is None else expanded(named)

    @property
    def checkpoint(self) -> Path | None:
        """The file of --checkpoint, or the one that the run goes on from."""
        if self.resumed is not None:
            return self.resumed.path
        named = self.options.output.checkpoint
        return None if named is None else expanded(named)

    def may_replace(self, path: Path) -> bool:
        """Whether ``path`` may be written where it exists: with -y, or if this run saved it when it was stopped."""
        return self.overwrite or (self.resumed is not None and self.resumed.is_saved_so_far(path))

    def snapshot(self, evaluation: int) -> Path:
        """The file for the picture after so many evaluations of the whole run."""
        return self.output.with_name(f"{self.output.stem}_{evaluation:04d}.png")

    def files(self, levels: Sequence[Level]) -> list[Path]:
        """Every file that the run will write, the result at the end; a run that goes on has written some before."""
        every = None if self.resumed else self.options.output.save_every
        total = sum(level.iterations for level in levels)
        snapshots = range(every, total + 1, every) if every else range(0)
        if len(snapshots) > MOST_SNAPSHOTS:
            raise OptionError(f"--save-every {every} would write {len(snapshots):,} pictures: give a larger number.")
        return [*(self.snapshot(evaluation) for evaluation in snapshots), self.output]


def numbered(path: Path, number: int) -> Path:
    """``path`` itself for 1, and with _2, _3, ... behind its name."""
    return path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")


def default_name(content: File, style: File) -> str:
    """The stem of the result's name: that of the photo and that of the painting."""
    return f"{stem_of(content)}_{stem_of(style)}"


def stem_of(file: File) -> str:
    """The name of ``file`` without its extension, not too long to be a part of another."""
    stem = file.stem if isinstance(file, Path) else "stdin"
    return os.fsencode(stem)[:STEM_LENGTH].decode(errors="ignore")
