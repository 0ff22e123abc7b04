"""A connection to a server: which addresses may be read, and what it means when there is no answer. No torch here.

Only https is spoken, and http to this machine itself, for mirrors and tests. Proxies are those of the environment.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import IO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from impasto.errors import OptionError

__all__ = ["BrokenTransfer", "answer_to", "check_address", "host_of", "reason_of"]

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers of HTTP that another try may change."""


class BrokenTransfer(Exception):
    """A file did not arrive; ``again``: another try may help, ``useless``: what has arrived is of no use."""

    def __init__(self, reason: str, *, again: bool = False, useless: bool = False) -> None:
        super().__init__(reason)
        self.again = again
        self.useless = useless


def check_address(address: str) -> None:
    """Raise OptionError unless ``address`` is one that may be read: https, or http on this machine."""
    if not _may_be_read(address):
        raise OptionError(f"'{address}' is no address of a mirror: expected https://HOST/FILE.")


@contextmanager
def answer_to(request: urllib.request.Request, timeout: float) -> Iterator[http.client.HTTPResponse]:
    """Open the answer to ``request``; raise BrokenTransfer, which says why, if there is none or it is a refusal.

    After ``timeout`` seconds without a byte the connection counts as lost.
    """
    address = request.full_url
    _check_proxy(address)
    try:
        answer = cast(http.client.HTTPResponse, _opener().open(request, timeout=timeout))
    except HTTPError as error:
        with error:
            raise _refusal(error, address) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure(error, address) from None
    with answer:
        yield answer


def _check_proxy(address: str) -> None:
    """Raise BrokenTransfer if the proxy for ``address`` is of a kind that is not spoken here, as SOCKS is."""
    proxy = _proxy_of(address)
    kind, separator, _ = proxy.partition("://")
    if separator and kind.lower() not in ("http", "https"):
        raise BrokenTransfer(
            f"the proxy {_without_password(proxy)} is one of {kind}://, and only proxies of http:// and https:// are"
            " understood"
        )


def _opener() -> urllib.request.OpenerDirector:
    """What reads addresses here: unlike urllib's own, neither files nor FTP, and no way from https to http."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if not _may_be_read(newurl) or (req.full_url.startswith("https:") and not newurl.startswith("https:")):
            fp.close()
            raise BrokenTransfer(f"{host_of(req.full_url)} leads to '{newurl}', which is not https")
        return super().redirect_request(req, fp, code, msg, cast("http.client.HTTPMessage", headers), newurl)


def _may_be_read(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host)))


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(error: HTTPError, address: str) -> BrokenTransfer:
    """What an answer that is not the file means."""
    host, code = host_of(address), error.code
    if code == 416:
        return BrokenTransfer(f"{host} has less of the file than is here already", again=True, useless=True)
    if 300 <= code < 400:
        return BrokenTransfer(f"{host} sends from one address to the next without end, or to one that may not be read")
    if code == 407:
        return BrokenTransfer("the proxy wants a name and a password: HTTPS_PROXY=http://name:password@proxy:port")
    return BrokenTransfer(f"{host} answered {code} ({error.reason or 'no reason given'})", again=code in PASSING)


def _failure(error: Exception, address: str) -> BrokenTransfer:
    """What it means that there was no answer."""
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    reason = f"no connection to {host_of(address)}{_proxy_words(address)} ({reason_of(cause)})"
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason += "; if a proxy here has a certificate of its own, name it with SSL_CERT_FILE"
    lasting = isinstance(cause, (ssl.SSLCertVerificationError, ValueError, http.client.InvalidURL))
    return BrokenTransfer(reason, again=not (lasting or "Tunnel connection failed: 4" in str(cause)))


def reason_of(error: Exception) -> str:
    """What the system or the library says went wrong."""
    if isinstance(error, TimeoutError):
        return "nothing came in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def host_of(address: str) -> str:
    """The name of the server in an address."""
    return urlsplit(address).hostname or address


def _proxy_words(address: str) -> str:
    """ " through the proxy proxy:3128", without the password that may be in its address, or ""."""
    proxy = _proxy_of(address)
    return f" through the proxy {_without_password(proxy)}" if proxy else ""


def _proxy_of(address: str) -> str:
    """The proxy of the environment through which ``address`` is read, or ""."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    return "" if not proxy or urllib.request.proxy_bypass(parts.netloc) else proxy


def _without_password(proxy: str) -> str:
    return proxy.rpartition("@")[2].rpartition("//")[2]
