"""When the state of a run is kept: so that whatever ends it, `impasto resume` goes on."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from impasto.cli.checkpoints import SUFFIX, TOKEN_BYTES, folder, let_go, lock_of, place_of_input, remove
from impasto.cli.job import STDOUT, Job, stem_of
from impasto.cli.progress import Progress
from impasto.errors import OutputError
from impasto.image.destination import write_bytes
from impasto.image.files import origin_of
from impasto.image.paths import expanded

if TYPE_CHECKING:
    from impasto.cli.outlook import Plan
    from impasto.result import Collected
    from impasto.steps import Steps
    from impasto.transfer import Transfer

__all__ = ["Keeper", "is_long"]

AUTOMATIC = 120.0
"""Runs that are estimated to take more seconds, or do, are kept unless someone said otherwise."""

PAUSE = 30.0
"""Seconds of work that may be lost, or one evaluation; unless someone said otherwise."""

SHARE = 0.05
"""Of the time at most goes into checkpoints, unless someone said how often to write them."""


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
                self._sent.append(place_of_input(self.path, role))
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
