"""Ctrl-C: the first one asks a run to end after the running step, the second one ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from impasto.errors import ImpastoError

__all__ = ["EXIT_INTERRUPTED", "Interrupt", "Interrupted", "interruptible"]

EXIT_INTERRUPTED = 130

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(ImpastoError):
    """Someone ended the run at once."""

    exit_code = EXIT_INTERRUPTED


class Interrupt:
    """Whether the run is to end; read between steps. Before ``running`` is set, a signal ends everything at once;
    ``saved`` is where the picture is, once it is."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.asked = False
        self.running = False
        self.saved = ""
        self._is_held = False
        self._say = say

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Receive a signal."""
        if self._is_held:
            return
        if self.asked or not self.running:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(RuntimeError):  # the signal may have come while something else was being written
            self._say("Ending after this step; Ctrl-C again ends at once and saves no picture.")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Ignore signals inside: what is begun there takes seconds, and has to come to its end."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Interrupt]:
    """Receive SIGINT and SIGTERM inside, and put back what received them before; raise Interrupted for the last one."""
    interrupt = Interrupt(say)
    here = threading.current_thread() is threading.main_thread()  # no other thread may receive signals
    before = {number: signal.getsignal(number) for number in SIGNALS if here}
    try:
        for number in before:
            signal.signal(number, interrupt)
        yield interrupt
    except KeyboardInterrupt:
        where = f"the picture so far is '{interrupt.saved}'" if interrupt.saved else "the picture was not saved"
        raise Interrupted(f"interrupted; {where}.") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
