"""Where the states of runs are kept, and who may use, replace and remove them."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from impasto.errors import InputError
from impasto.image.destination import writing_folder
from impasto.weights.cache import cache_folder

__all__ = [
    "SUFFIX",
    "TOKEN_BYTES",
    "beside",
    "folder",
    "hold",
    "is_checkpoint",
    "is_foreign",
    "is_in_use",
    "kept",
    "let_go",
    "lock_of",
    "place_of_input",
    "remove",
    "remove_all",
]

SUFFIX, SUFFIX_OF_INPUT = ".checkpoint", ".checkpoint-input"

BEGINNING = b'{"__metadata__":{"impasto checkpoint":'
"""What follows the eight bytes of a number in a file of safetensors that is a checkpoint."""

TOKEN_BYTES = 4
"""In the name of a checkpoint whose place nobody named."""

OWNED = re.compile(rf".+?-[0-9a-f]{{{2 * TOKEN_BYTES}}}{re.escape(SUFFIX)}")
"""What a name in the folder of checkpoints begins with: that of the checkpoint that it belongs to."""


def folder() -> Path:
    """Where checkpoints go whose place nobody named."""
    return cache_folder() / "checkpoints"


def kept() -> list[Path]:
    """The checkpoints in that folder, the newest first."""
    times = {}
    with suppress(OSError):
        for path in folder().glob(f"*{SUFFIX}"):
            with suppress(OSError):  # one that has just been removed
                times[path] = path.stat().st_mtime
    return sorted(times, key=lambda path: times[path], reverse=True)


def lock_of(path: Path) -> FileLock:
    """Held by the run whose checkpoint ``path`` is; the system lets go of it when that ends, however it does."""
    return FileLock(path.with_name(f"{path.name}.lock"))


def is_foreign(lock: Path) -> bool:
    """Whether what is in the place of a lock is none: those of runs are empty, or begin with the number of a process
    where the file system has no locks."""
    if not lock.is_file():
        return lock.is_dir()
    with lock.open("rb") as file:
        line = file.readline(20).strip()
    return bool(line) and not line.isdigit()


def hold(path: Path) -> FileLock:
    """Keep others from going on with the checkpoint ``path``; raise InputError if someone does, or if that cannot be
    told. Where nothing can be written it is not locked, and nobody keeps anything."""
    lock = lock_of(path)
    if is_foreign(Path(lock.lock_file)):
        raise InputError(f"'{lock.lock_file}' is in the place of the lock of '{path}', but is none: move it elsewhere.")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"The run of '{path}' is still going on: wait for it, or end it first.") from None
    except OSError:
        pass
    return lock


def let_go(lock: FileLock) -> None:
    """Let others go on with what ``hold`` keeps them from."""
    if not lock.is_locked:
        return
    with suppress(OSError):
        if not is_foreign(Path(lock.lock_file)):
            Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody else holds another
    lock.release(force=True)


def is_in_use(path: Path) -> bool:
    """Whether the run whose checkpoint ``path`` is is still going on."""
    lock = lock_of(path)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # where nothing can be written, no run keeps anything
        return False


def is_checkpoint(path: Path) -> bool:
    """Whether the file ``path`` begins as a checkpoint, of whichever version, or is empty."""
    with path.open("rb") as file:
        start = file.read(len(BEGINNING) + 8)
    return not start or start[8:] == BEGINNING


def beside(path: Path) -> list[Path]:
    """The files that a run puts beside its checkpoint, besides the lock and the history."""
    return [place_of_input(path, role) for role in ("content", "style", "init")]


def place_of_input(path: Path, role: str) -> Path:
    """Where an input goes that another program sent to the run whose checkpoint ``path`` is."""
    return path.with_name(f"{path.name}-{role}{SUFFIX_OF_INPUT}")


def remove(path: Path) -> None:
    """Remove a checkpoint and what its run put beside it."""
    from impasto.kept_pairs import drop_other_pairs

    for file in (path, *beside(path)):
        with suppress(OSError):
            file.unlink(missing_ok=True)
    shutil.rmtree(writing_folder(path), ignore_errors=True)
    drop_other_pairs(path, ())


def remove_all() -> None:
    """Remove all that is in the folder of checkpoints, also what runs left there that died, unless one is going on."""
    names = [name for path in folder().glob("*") for name in (path.name, path.name.removeprefix("."))]
    owners = [folder() / found[0] for name in names if (found := OWNED.match(name))]
    for path in {*kept(), *owners}:
        with suppress(InputError):  # it is in use
            lock = hold(path)
            remove(path)
            let_go(lock)
