"""A server on this machine with every fault that a download can meet."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Server", "cut_off", "redirect", "refuse", "stall", "whole"]

Behavior = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers))
        number = len(self.server.seen) - 1
        self.server.behaviors[min(number, len(self.server.behaviors) - 1)](self, self.server.data)

    def do_CONNECT(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def start(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


class Server(ThreadingHTTPServer):
    """Serves ``data``: the first request as the first of ``behaviors`` does it, and so on, the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = b""
        self.behaviors: list[Behavior] = [whole()]
        self.seen: list[dict[str, str]] = []
        self.released = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


def whole(*, etag: str = '"1"', ranges: bool = True, length: bool = True) -> Behavior:
    """The file, or the rest of it that was asked for."""

    def behave(handler: Handler, data: bytes) -> None:
        start = _asked_start(handler, etag) if ranges else 0
        if start >= len(data):
            handler.start(416)
            return
        headers = {"ETag": etag} | ({"Content_Length": len(data) - start} if length else {})
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        handler.start(206 if start else 200, **headers)
        handler.wfile.write(data[start:])

    return behave


def _asked_start(handler: Handler, etag: str) -> int:
    match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(match[1]) if match and handler.headers.get("If-Range", etag) == etag else 0


def cut_off(count: int, *, ranges: bool = True, length: bool = True) -> Behavior:
    """The file, but the connection ends after ``count`` bytes."""

    def behave(handler: Handler, data: bytes) -> None:
        start = _asked_start(handler, '"1"') if ranges else 0
        headers = {"ETag": '"1"'} | ({"Content_Length": len(data) - start} if length else {})
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        handler.start(206 if start else 200, **headers)
        handler.wfile.write(data[start : start + count])

    return behave


def stall(count: int) -> Behavior:
    """The file, but nothing after ``count`` bytes until the server is released."""

    def behave(handler: Handler, data: bytes) -> None:
        handler.start(200, Content_Length=len(data), ETag='"1"')
        handler.wfile.write(data[:count])
        handler.server.released.wait(20)
        handler.wfile.write(data[count:])

    return behave


def refuse(code: int) -> Behavior:
    """An answer without the file."""
    return lambda handler, data: handler.start(code)


def redirect(location: str) -> Behavior:
    """Another address."""
    return lambda handler, data: handler.start(302, Location=location)
