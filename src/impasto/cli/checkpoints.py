"""When the state of a run is kept, and where: so that whatever ends it, `impasto resume` goes on."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from impasto.cli.job import STDOUT, Job, stem_of
from impasto.cli.progress import Progress
from impasto.errors import InputError, OutputError
from impasto.image.destination import write_bytes, writing_folder
from impasto.image.files import origin_of
from impasto.image.paths import expanded
from impasto.weights.cache import cache_folder

if TYPE_CHECKING:
    from impasto.cli.outlook import Plan
    from impasto.result import Collected
    from impasto.steps import Steps
    from impasto.transfer import Transfer

__all__ = [
    "AUTOMATIC",
    "Keeper",
    "beside",
    "folder",
    "hold",
    "is_checkpoint",
    "is_foreign",
    "is_in_use",
    "is_long",
    "kept",
    "let_go",
    "lock_of",
    "remove_all",
]

AUTOMATIC = 120.0
"""Runs that are estimated to take more seconds, or do, are kept unless someone said otherwise."""

PAUSE = 30.0
"""Seconds of work that may be lost, or one evaluation; unless someone said otherwise."""

SHARE = 0.05
"""Of the time at most goes into checkpoints, unless someone said how often to write them."""

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
    return [_beside(path, role) for role in ("content", "style", "init")]


def _beside(path: Path, role: str) -> Path:
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


def is_long(plan: Plan) -> bool:
    """Whether a run takes so long that it is kept unasked, by what is left of it or by what it took until now."""
    return max(plan.to_go, time.monotonic() - plan.began) >= AUTOMATIC


class Keeper:
    """Keeps the state of one run in a file, every now and then."""

    def __init__(
        self, path: Path, plan: Plan, job: Job, transfer: Transfer, steps: Steps, collected: Collected
    ) -> None:
        self.path = path
        self._job, self._transfer, self._steps, self._collected = job, transfer, steps, collected
        self._every = job.options.output.checkpoint_every
        self._began = self._latest = self._stepped = plan.began
        self._took = 0.0
        self._trouble = ""
        self._lock = job.resumed.lock if job.resumed else lock_of(path)
        self._is_written = job.resumed is not None
        self._saved = dict(job.resumed.saved) if job.resumed else {}
        self._inputs: dict[str, str] = {}
        self._sent: list[Path] = []

    @classmethod
    def new(
        cls, plan: Plan, job: Job, transfer: Transfer, steps: Steps, collected: Collected, progress: Progress
    ) -> Keeper | None:
        """For a run that is to be kept and can be."""
        path = job.checkpoint
        if path is None:
            if job.options.output.no_checkpoint or not is_long(plan):
                return None
            name = "stdout" if job.output == STDOUT else stem_of(job.output)
            path = folder() / f"{name}-{secrets.token_hex(TOKEN_BYTES)}{SUFFIX}"
        keeper = cls(path, plan, job, transfer, steps, collected)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            keeper._lock.acquire(timeout=0)
            keeper._keep_inputs()
        except Timeout:
            raise OutputError(
                f"Another run is using the checkpoint '{path}': wait for it, or choose another --checkpoint."
            ) from None
        except (OSError, OutputError) as error:
            keeper.release()
            progress.say(f"This run is not kept: '{path}' cannot be written ({_reason(error)}).")
            return None
        return keeper

    def after_step(self, progress: Progress) -> None:
        """Write the state, if it is time to; what goes wrong is told once, and does not end the run."""
        now = time.monotonic()
        passed, step, self._stepped = now - self._latest, now - self._stepped, now
        pause = PAUSE if self._every is None else self._every
        # What nobody asked for may cost little.
        is_cheap = self._every is not None or self._took <= SHARE * passed
        if passed + step >= pause and is_cheap:  # the next step may take as long as this one
            self.write(progress)

    def write(self, progress: Progress, saved: Sequence[Path] = ()) -> bool:
        """Write the state; ``saved`` is what was written meanwhile of the picture so far and its animation, which the
        finished ones may replace. Return success."""
        from impasto.checkpoint import Checkpoint, write_checkpoint

        start = time.monotonic()
        self._saved |= {str(path.absolute()): origin_of(path).sha256 for path in saved}
        checkpoint = Checkpoint(self._transfer.record, self._steps.state, self._collected, self._about())
        try:
            write_checkpoint(self.path, checkpoint)
            self._trouble, self._is_written = "", True
        except OSError as error:
            trouble = f"The state of this run cannot be kept in '{self.path}' ({_reason(error)})."
            if trouble != self._trouble:
                progress.say(trouble)
            self._trouble = trouble
        self._latest = self._stepped = time.monotonic()
        self._took = self._latest - start
        return not self._trouble

    def drop(self) -> None:
        """The run has arrived: nothing is left to go on with. A file that stood there before it was ever kept stays."""
        if self._is_written:
            remove(self.path)
        self.release()

    def release(self) -> None:
        """The run ends here: others may go on with it, if anything of it was ever kept; else nothing of it stays."""
        if not self._is_written:
            self._forget_inputs()
        let_go(self._lock)

    def _keep_inputs(self) -> None:
        """Note where the inputs are, and put those that another program sent beside the checkpoint."""
        inputs = self._job.inputs
        for role, file in (("content", inputs.content), ("style", inputs.style), ("init", inputs.start)):
            if isinstance(file, bytes):
                self._sent.append(_beside(self.path, role))
                write_bytes(file, self._sent[-1], overwrite=True)
                self._inputs[role] = str(self._sent[-1].absolute())
            elif file is not None:
                self._inputs[role] = str(file.absolute())

    def _forget_inputs(self) -> None:
        for file in self._sent:
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def _about(self) -> dict[str, Any]:
        job, resumed = self._job, self._job.resumed
        run, written = job.options.run, job.options.output
        return {
            "inputs": self._inputs,
            "output": str(job.output if job.output == STDOUT else job.output.absolute()),
            "overwrite": job.overwrite,
            "default_named": job.default_named,
            "run": run.model_dump(mode="json") | {"weights": _absolute(run.weights)},
            "written": written.model_dump(mode="json") | {"animate": _absolute(written.animate), "checkpoint": None},
            "elapsed": (resumed.elapsed if resumed else 0.0) + time.monotonic() - self._began,
            "saved": self._saved,
        }


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).rstrip(".")


def _absolute(named: str | None) -> str | None:
    return None if named is None else str(expanded(named).absolute())
