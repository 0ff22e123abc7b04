"""The download of a network's weights: one process at a time, resumed, tried again, checked, converted."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import InputError, MissingWeightsError, OutputError
from impasto.networks import Network
from impasto.weights.advice import how_to_get, megabytes
from impasto.weights.cache import kept_file, part_file, writing_to
from impasto.weights.checksum import matches
from impasto.weights.connection import BrokenTransfer, check_address
from impasto.weights.convert import import_weights, read_file
from impasto.weights.part import Part

__all__ = ["Received", "fetch_weights"]

log = logging.getLogger("impasto")

WAITS = (1.0, 2.0, 4.0)
"""Seconds before each further try, all of which have to fail in a row."""

TIMEOUT, SHORT_TIMEOUT = 30.0, 8.0
"""Seconds without a byte after which a connection counts as lost; the second where something else can be used."""

PROGRESS = 1_000_000
"""Bytes by which a try that was cut off has to have gone on for the tries to be counted from one again."""


@dataclass(frozen=True)
class Received:
    """How far a download is: ``bytes`` of ``total`` (0: unknown), and a ``note`` when something is worth saying."""

    network: str
    bytes: int
    total: int
    note: str = ""


Report = Callable[[Received], None]


def fetch_weights(
    network: Network,
    *,
    url: str | None = None,
    report: Report | None = None,
    patient: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Download the published weights of ``network`` into the cache, and return the file there.

    ``url`` names a mirror of the published file; the checksum stays the same. Of several processes one downloads and
    the others wait for it. Whatever breaks a download off, Ctrl-C too, what has arrived is kept and the next call
    continues from there. Who is not ``patient`` gives up at the first trouble before some of it came. ``report`` is
    told about each piece that arrives.

    Raises MissingWeightsError when the file cannot be had or is not the published one, OutputError when the cache is
    full or cannot be written, OptionError when ``url`` is neither https nor on this machine.
    """
    if network.is_built_in:
        raise MissingWeightsError(f"The weights of {network.name} are not downloaded. {how_to_get(network)}")
    address = url or network.source
    check_address(address)
    target = kept_file(network)
    with writing_to(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    told = _log_notes if report is None else report
    part = Part(part_file(network), TIMEOUT if patient else SHORT_TIMEOUT)
    download = _Download(network, address, told, sleep, part, WAITS if patient else ())
    with _alone(network, download.note):
        if not _is_sound(target, network):
            download.run()
    return target


def _log_notes(received: Received) -> None:
    if received.note:
        log.info(received.note)


def _is_sound(target: Path, network: Network) -> bool:
    """Whether the weights are there already, perhaps because another process has just fetched them."""
    try:
        read_file(target, network)
    except InputError:
        return False
    return True


@contextmanager
def _alone(network: Network, note: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process downloads these weights."""
    from filelock import FileLock, Timeout

    target = kept_file(network)
    lock = FileLock(target.with_name(f".{network.name}.lock"))
    with writing_to(target.parent):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            note(f"Another process downloads the weights of {network.name}; waiting for it.")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@dataclass
class _Download:
    """One download, and how far it is."""

    network: Network
    address: str
    report: Report
    sleep: Callable[[float], None]
    part: Part
    waits: Sequence[float]
    received: int = 0
    total: int = 0

    def told(self, received: int, total: int) -> None:
        """Report that bytes came."""
        self.received, self.total = received, total
        self.report(Received(self.network.name, received, total))

    def note(self, text: str) -> None:
        """Report something else."""
        self.report(Received(self.network.name, self.received, self.total, text))

    def run(self) -> None:
        """Receive, check, convert."""
        self.check_space()
        continued = self.part.size > 0
        self.receive()
        if continued and not matches(self.part.path, self.network):
            self.part.discard()
            self.note("What an earlier download had left is of no use; starting from the beginning.")
            self.receive()
        if not matches(self.part.path, self.network):
            self.part.discard()
            raise self.failure(f"what came from {self.address} is not the published file: its checksum differs")
        import_weights(self.part.path, self.network)
        self.part.discard()

    def check_space(self) -> None:
        """Raise OutputError unless the file and what is made of it have room."""
        folder = self.part.path.parent
        needed = self.network.size - self.part.size + self.network.tensor_bytes
        with writing_to(folder):
            free = shutil.disk_usage(folder).free
        if free < needed:
            raise OutputError(
                f"The disk of '{folder}' has {megabytes(free)} left, and the weights of {self.network.name} take"
                f" {megabytes(needed)} until they are converted: make room, or set IMPASTO_CACHE to a folder elsewhere."
            )

    def receive(self) -> None:
        """Receive the whole file, however often the connection breaks off, as long as it goes on."""
        waits, reached = iter(self.waits), self.part.size
        while not self.network.size or self.part.size < self.network.size:
            try:
                self.part.receive(self.address, expected=self.network.size, told=self.told)
                return
            except OutputError:
                self.part.discard()  # or the disk would stay full
                raise
            except BrokenTransfer as broken:
                if broken.useless:
                    self.part.discard()
                if self.part.size >= reached + PROGRESS:
                    waits, reached = iter(WAITS), self.part.size
                wait = next(waits, None) if broken.again else None
                if wait is None:
                    raise self.failure(str(broken)) from None
                self.note(f"Download of {self.network.name}: {broken}; trying again in {wait:g} s.")
                self.sleep(wait)

    def failure(self, reason: str) -> MissingWeightsError:
        """The error that says why, and everything that can be done."""
        kept = " What has arrived is kept, and the next try continues from there." if self.part.size else ""
        network = self.network
        return MissingWeightsError(
            f"The weights of {network.name} could not be downloaded: {reason}.{kept} {how_to_get(network)}"
        )
