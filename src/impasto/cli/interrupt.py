"""Ctrl-C: the first one asks a run to end after the running step, the second one ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from impasto.errors import ImpastoError

__all__ = ["EXIT_INTERRUPTED", "Interrupt", "Interrupted", "interruptible"]

EXIT_INTERRUPTED = 130

SIGNALS = (signal.SIGINT, signal.SIGTERM)


PAUSE = 0.1
"""Seconds until a signal is received anew that came too early."""


class Interrupted(ImpastoError):
    """Someone ended the run at once."""

    exit_code = EXIT_INTERRUPTED


class Interrupt:
    """Whether the run is to end; read between steps. Before ``running`` is set, a signal ends everything at once, and
    once ``saved`` says where the picture is. ``again`` says that one came while signals were held."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.asked = False
        self.running = False
        self.saved = ""
        self.again = False
        self._is_held = False
        self._postponed: threading.Timer | None = None
        self._say = say

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Receive a signal."""
        if self._is_held:
            self.again = True
            return
        if _torch_is_loading():  # its C++ aborts on what is raised inside
            self._postpone(number)
            return
        if self.asked or self.saved or not self.running:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(RuntimeError):  # the signal may have come while something else was being written
            self._say("Ending after this step; Ctrl-C again ends at once and saves no picture.")

    def _postpone(self, number: int) -> None:
        self.forget()
        self._postponed = threading.Timer(PAUSE, _send, [number])
        self._postponed.daemon = True
        self._postponed.start()

    def forget(self) -> None:
        """Drop a signal that was postponed."""
        if self._postponed is not None:
            self._postponed.cancel()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Only note signals inside: what is begun there takes seconds, and has to come to its end."""
        before, self._is_held = self._is_held, True
        try:
            yield
        finally:
            self._is_held = before


def _send(number: int) -> None:
    """Let the main thread receive a signal, whatever it waits for."""
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        signal.raise_signal(number)
    else:
        signal.pthread_kill(main, number)


def _torch_is_loading() -> bool:
    spec = getattr(sys.modules.get("torch"), "__spec__", None)
    return getattr(spec, "_initializing", False)


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
        raise Interrupted(f"interrupted; {interrupt.saved or 'the picture was not saved'}.") from None
    finally:
        interrupt.forget()
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
