"""One file over HTTP into another on disk, resumed where it was broken off. No torch here."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from impasto.weights.advice import megabytes
from impasto.weights.cache import writing_to
from impasto.weights.connection import BrokenTransfer, answer_to, host_of, reason_of

__all__ = ["Part"]

CHUNK = 1 << 20

TOLERANCE = 0.1
"""How far a file's size may be from the expected one, as a share: checksums tell the rest."""


@dataclass(frozen=True)
class Part:
    """What has arrived of a file that is downloaded, in ``path``; beside it stands of which file.

    After ``timeout`` seconds without a byte a connection counts as lost.
    """

    path: Path
    timeout: float

    @property
    def size(self) -> int:
        """The bytes that are there, 0 where there is no file."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def discard(self) -> None:
        """Remove it; raise OutputError if that cannot be."""
        with writing_to(self.path.parent):
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def receive(self, address: str, *, expected: int, told: Callable[[int, int], None]) -> None:
        """Append what is lacking of ``address``, a file of about ``expected`` bytes (0: any number).

        ``told`` gets the bytes that are there and that there will be (0: unknown). Raises BrokenTransfer when the
        file does not arrive as a whole, and OutputError when it cannot be written.
        """
        with answer_to(self._request(address), self.timeout) as answer:
            received = self.size if _continues(answer, self.size) else 0
            announced = _total(answer, received)
            _check_total(announced, expected, address)
            total = announced or expected
            with self._opened(address, answer, received) as file:
                told(received, total)
                for chunk in _chunks(answer, announced - received):
                    received += len(chunk)
                    if expected and received > (1 + TOLERANCE) * expected:
                        raise BrokenTransfer(f"more than the expected {megabytes(expected)} came", useless=True)
                    with writing_to(self.path.parent):
                        _write(file, chunk)
                    told(received, total)
        if received < total:
            raise BrokenTransfer(
                f"the connection was cut after {megabytes(received)} of {megabytes(total)}", again=True
            )

    @property
    def _note(self) -> Path:
        """The file that says from which address this comes, and what the server calls that version of it."""
        return self.path.with_name(f"{self.path.name}-of")

    def _request(self, address: str) -> urllib.request.Request:
        """Ask for the rest of a file, on condition that it is still the same one."""
        request = urllib.request.Request(address, headers={"User-Agent": "impasto"})
        if self.size:
            request.add_header("Range", f"bytes={self.size}-")
            try:
                noted_address, _, validator = self._note.read_text().partition("\n")
            except (OSError, ValueError):
                noted_address, validator = "", ""
            if noted_address == address and validator:
                request.add_header("If-Range", validator)
        return request

    def _opened(self, address: str, answer: http.client.HTTPResponse, received: int) -> FileIO:
        """Without a buffer, so that whatever ends the process loses nothing that has arrived."""
        etag = answer.headers.get("ETag", "")
        # A weak one, W/"...", does not serve as a condition.
        validator = etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")
        with writing_to(self.path.parent):
            self._note.write_text(f"{address}\n{validator}")
            return self.path.open("ab" if received else "wb", buffering=0)


def _chunks(answer: http.client.HTTPResponse, announced: int) -> Iterator[bytes]:
    """Yield what comes as soon as it comes, up to the bytes that were announced, if any were."""
    received = 0
    while announced <= 0 or received < announced:
        try:
            chunk = answer.read1(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise BrokenTransfer(f"the connection broke ({reason_of(error)})", again=True) from None
        if not chunk:
            return
        received += len(chunk)
        yield chunk


def _write(file: FileIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _continues(answer: http.client.HTTPResponse, have: int) -> bool:
    """Whether the answer is the rest that was asked for; a server may send the whole file all the same."""
    if answer.status != 206:
        return False
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise BrokenTransfer("the server sent another part than was asked for", again=True, useless=True)
    return True


def _total(answer: http.client.HTTPResponse, start: int) -> int:
    """The size of the whole file, 0 if the server does not say."""
    text = answer.headers.get("Content-Range", "").rpartition("/")[2] if start else ""
    if text.isdecimal():
        return int(text)
    return start + answer.length if answer.length is not None else 0


def _check_total(total: int, expected: int, address: str) -> None:
    if expected and total and abs(total - expected) > TOLERANCE * expected:
        raise BrokenTransfer(
            f"{host_of(address)} has a file of {megabytes(total)} where {megabytes(expected)} were expected; it may be"
            " the page of a proxy or of a login"
        )
