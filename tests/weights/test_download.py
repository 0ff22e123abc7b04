"""Downloads from a server on this machine that has every fault."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request

import pytest
from torch import Tensor

from impasto.errors import InputError, MissingWeightsError, OptionError, OutputError
from impasto.networks import NETWORKS, Network
from impasto.weights import Received, fetch_weights, load_weights, metadata_of, unfinished_downloads
from impasto.weights.connection import BrokenTransfer, _Redirects

from .conftest import assert_equal, files_under, in_sequence
from .server import Server, cut_off, redirect, refuse, stall, whole
from .test_pickled import save

Weights = dict[str, Tensor]
Publish = Callable[[], Network]
KEPT = ["weights/tiny.safetensors"]
PART = "weights/tiny.h5.part"


@pytest.fixture
def network(publish: Publish) -> Network:
    """The tiny network, published by the server."""
    return publish()


class Log(list[Received]):
    """A report that remembers."""

    def __call__(self, received: Received) -> None:
        self.append(received)

    @property
    def notes(self) -> list[str]:
        return [received.note for received in self if received.note]


def test_a_download_is_checked_converted_and_kept(
    network: Network, server: Server, cache: Path, tiny_weights: Weights
) -> None:
    log = Log()
    path = fetch_weights(network, report=log)
    assert path == cache / "weights" / "tiny.safetensors"
    assert_equal(load_weights(network), tiny_weights)
    assert files_under(cache) == KEPT
    assert metadata_of(path)["published"] == "yes"
    assert metadata_of(path)["source_sha256"] == hashlib.sha256(server.data).hexdigest()
    counts = [received.bytes for received in log]
    assert counts == sorted(counts)
    assert len(counts) > 5
    assert (counts[0], counts[-1]) == (0, len(server.data))
    assert {received.total for received in log} == {len(server.data)}
    assert log.notes == []


def test_what_is_there_is_not_downloaded_again(network: Network, server: Server) -> None:
    assert fetch_weights(network) == fetch_weights(network)
    assert len(server.seen) == 1


def test_what_is_there_but_damaged_is_replaced(network: Network, server: Server, tiny_weights: Weights) -> None:
    path = fetch_weights(network)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    fetch_weights(network)
    assert len(server.seen) == 2
    assert_equal(load_weights(network), tiny_weights)


def test_loading_downloads_only_when_it_may(network: Network, server: Server, tiny_weights: Weights) -> None:
    with pytest.raises(MissingWeightsError):
        load_weights(network)
    assert server.seen == []
    log = Log()
    assert_equal(load_weights(network, offline=False, report=log), tiny_weights)
    assert log[-1].bytes == len(server.data)


def test_the_network_of_torchvision_arrives(
    narrow: Network, server: Server, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.data = save(in_sequence(tiny_weights), tmp_path / "any.pth", "bare").read_bytes()
    checksum = hashlib.sha256(server.data).hexdigest()
    address = f"{server.address}/models/narrow-{checksum[:8]}.pth"
    network = replace(narrow, source=address, sha256=checksum, size=len(server.data))
    monkeypatch.setitem(NETWORKS, narrow.name, network)
    assert fetch_weights(network).name == "narrow.safetensors"
    assert_equal(load_weights(network), tiny_weights)


def test_without_an_announced_length_it_arrives(network: Network, server: Server) -> None:
    server.behaviors = [whole(length=False)]
    log = Log()
    fetch_weights(network, report=log)
    assert log[-1].total == len(server.data)


def test_a_redirect_is_followed(network: Network, server: Server) -> None:
    server.behaviors = [redirect(f"{server.address}/elsewhere.h5"), whole()]
    fetch_weights(network)
    assert len(server.seen) == 2


@pytest.mark.parametrize("length", [True, False])
def test_a_connection_that_is_cut_is_continued_where_it_was(
    length: bool, network: Network, server: Server, tiny_weights: Weights
) -> None:
    server.behaviors = [cut_off(5000, length=length), cut_off(7000), whole()]
    log, pauses = Log(), []
    fetch_weights(network, report=log, sleep=pauses.append)
    assert [seen.get("Range") for seen in server.seen] == [None, "bytes=5000-", "bytes=12000-"]
    assert [seen.get("If-Range") for seen in server.seen] == [None, '"1"', '"1"']
    assert len(pauses) == len(log.notes) == 2
    assert "the connection was cut after 5 kB of" in log.notes[0]
    assert_equal(load_weights(network), tiny_weights)


def test_a_connection_that_is_always_cut_is_given_up_and_what_arrived_is_kept(
    network: Network, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.weights.download.WAITS", (1.0, 2.0, 4.0))
    server.behaviors = [cut_off(1000)]
    pauses: list[float] = []
    with pytest.raises(MissingWeightsError, match=r"cut after 4 kB of .* kept, and the next try continues"):
        fetch_weights(network, sleep=pauses.append)
    assert pauses == [1.0, 2.0, 4.0]
    assert (cache / PART).read_bytes() == server.data[:4000]
    assert unfinished_downloads() == [cache / PART]


def test_a_connection_that_is_always_cut_arrives_as_long_as_it_goes_on(
    network: Network, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.weights.download.PROGRESS", 2000)
    server.behaviors = [cut_off(4000)]
    fetch_weights(network)
    assert len(server.seen) == -(-len(server.data) // 4000) > 4


def test_a_server_that_cannot_continue_sends_all_again(network: Network, server: Server, tiny_weights: Weights) -> None:
    server.behaviors = [cut_off(5000), whole(ranges=False)]
    fetch_weights(network)
    assert server.seen[1]["Range"] == "bytes=5000-"
    assert_equal(load_weights(network), tiny_weights)


def test_a_server_that_cannot_continue_and_always_cuts_is_given_up(network: Network, server: Server) -> None:
    server.behaviors = [cut_off(5000, ranges=False)]
    with pytest.raises(MissingWeightsError, match="cut after 5 kB"):
        fetch_weights(network)
    assert len(server.seen) == 4


def test_a_file_that_changed_meanwhile_is_sent_as_a_whole(network: Network, server: Server) -> None:
    server.behaviors = [cut_off(5000), whole(etag='"2"')]
    fetch_weights(network)
    assert server.seen[1]["If-Range"] == '"1"'
    assert len(server.seen) == 2


def test_a_part_that_is_of_no_use_is_thrown_away(network: Network, server: Server, cache: Path) -> None:
    (cache / "weights").mkdir(parents=True)
    (cache / PART).write_bytes(b"x" * 3000)
    log = Log()
    fetch_weights(network, report=log)
    assert [seen.get("Range") for seen in server.seen] == ["bytes=3000-", None]
    assert "starting from the beginning" in log.notes[0]
    assert files_under(cache) == KEPT


def test_a_part_that_is_complete_is_used_without_a_request(network: Network, server: Server, cache: Path) -> None:
    (cache / "weights").mkdir(parents=True)
    (cache / PART).write_bytes(server.data)
    fetch_weights(network)
    assert server.seen == []
    assert files_under(cache) == KEPT


def test_a_server_with_less_than_is_here_is_asked_for_all(network: Network, server: Server, cache: Path) -> None:
    (cache / "weights").mkdir(parents=True)
    (cache / PART).write_bytes(b"x" * 3000)
    server.behaviors = [refuse(416), whole()]
    fetch_weights(network)
    assert [seen.get("Range") for seen in server.seen] == ["bytes=3000-", None]


def test_a_server_that_falls_silent_is_asked_again(
    network: Network, server: Server, tiny_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.weights.download.TIMEOUT", 0.2)
    server.behaviors = [stall(5000), whole()]
    log = Log()
    fetch_weights(network, report=log)
    assert "nothing came in time" in log.notes[0]
    assert server.seen[1]["Range"] == "bytes=5000-"
    assert_equal(load_weights(network), tiny_weights)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_passing_trouble_of_the_server_passes(code: int, network: Network, server: Server) -> None:
    server.behaviors = [refuse(code), refuse(code), whole()]
    log = Log()
    fetch_weights(network, report=log)
    assert f"127.0.0.1 answered {code}" in log.notes[0]


def fails(network: Network, words: str, url: str | None = None) -> str:
    """The message of a download that fails, which always says all that can be done."""
    with pytest.raises(MissingWeightsError, match=words) as failure:
        fetch_weights(network, url=url)
    message = str(failure.value)
    assert failure.value.exit_code == 3
    for command in (
        "\n    impasto weights get tiny\n",
        "\n    HTTPS_PROXY=http://proxy:port impasto weights get tiny\n",
        f"\n    {network.source}\n",
        "\n    impasto weights import tiny.h5",
    ):
        assert command in message
    return message


def test_a_file_that_is_not_there_is_not_asked_for_again(network: Network, server: Server, cache: Path) -> None:
    server.behaviors = [refuse(404)]
    fails(network, r"127\.0\.0\.1 answered 404 \(Not Found\)")
    assert len(server.seen) == 1
    assert files_under(cache) == []


def test_wrong_bytes_are_thrown_away(network: Network, server: Server, cache: Path) -> None:
    server.data = server.data[:-1] + bytes([server.data[-1] ^ 1])
    fails(network, "is not the published file: its checksum differs")
    assert len(server.seen) == 1
    assert files_under(cache) == []


def test_the_page_of_a_login_is_not_taken_for_the_file(network: Network, server: Server, cache: Path) -> None:
    server.data = b"<html>Please sign in</html>"
    fails(network, "a file of 0 kB where .* were expected; it may be the page of a proxy or of a login")
    assert files_under(cache) == []


@pytest.mark.parametrize("length", [True, False])
def test_more_than_was_expected_is_refused(length: bool, network: Network, server: Server, cache: Path) -> None:
    server.data *= 50
    server.behaviors = [whole(length=length)]
    fails(network, "were expected" if length else "more than the expected .* came")
    assert files_under(cache) == []


def test_a_circle_of_redirects_ends(network: Network, server: Server) -> None:
    server.behaviors = [redirect("/tiny.h5")]
    fails(network, "from one address to the next without end")
    assert len(server.seen) < 20


@pytest.mark.parametrize("target", ["http://example.org/tiny.h5", "file:///etc/passwd", "ftp://127.0.0.1/tiny.h5"])
def test_a_redirect_away_from_https_is_refused(target: str, network: Network, server: Server, cache: Path) -> None:
    server.behaviors = [redirect(target)]
    fails(network, "which is not https|that may not be read")
    assert len(server.seen) == 1
    assert files_under(cache) == []


def test_a_redirect_from_https_to_http_is_refused_even_to_this_machine() -> None:
    answer = SimpleNamespace(close=lambda: None)
    ask = Request("https://example.org/a")
    with pytest.raises(BrokenTransfer, match=r"example\.org leads to 'http://127.0.0.1/a', which is"):
        _Redirects().redirect_request(ask, answer, 302, "Found", {}, "http://127.0.0.1/a")
    followed = _Redirects().redirect_request(ask, answer, 302, "Found", {}, "https://example.com/a")
    assert followed is not None
    assert followed.full_url == "https://example.com/a"


@pytest.mark.parametrize(
    "url", ["http://example.org/a.h5", "file:///tmp/a.h5", "ftp://127.0.0.1/a", "example.org", "https://", "https://["]
)
def test_an_address_that_may_not_be_read_is_refused(url: str, network: Network, cache: Path) -> None:
    with pytest.raises(OptionError, match="expected https://HOST/FILE"):
        fetch_weights(network, url=url)
    assert not cache.exists()


def test_a_mirror_is_used_and_its_file_is_checked(network: Network, server: Server, tiny_weights: Weights) -> None:
    unreachable = replace(network, source="https://unreachable.invalid/tiny.h5")
    fetch_weights(unreachable, url=f"{server.address}/mirror/tiny.h5")
    assert_equal(load_weights(unreachable), tiny_weights)


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_server_that_is_not_there(network: Network) -> None:
    fails(network, r"no connection to 127\.0\.0\.1 \(Connection refused\)", f"http://127.0.0.1:{closed_port()}/a")


def test_a_server_without_tls(network: Network, server: Server) -> None:
    fails(network, r"no connection to 127\.0\.0\.1 \(.*SSL", server.address.replace("http:", "https:"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_proxy_is_named_without_its_password(
    scheme: str, network: Network, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    monkeypatch.setenv(f"{scheme}_proxy", f"http://me:secret@127.0.0.1:{port}")
    url = network.source.replace("http:", f"{scheme}:")
    message = fails(network, rf"through the proxy 127\.0\.0\.1:{port} \(.*refused", url)
    assert "secret" not in message
    assert server.seen == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password(
    scheme: str, network: Network, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behaviors = [refuse(407)]
    monkeypatch.setenv(f"{scheme}_proxy", server.address)
    fails(network, "name:password@proxy:port|407", f"{scheme}://{'127.0.0.1' if scheme == 'http' else 'example.org'}/a")
    assert len(server.seen) == 1  # no other try would help


@pytest.mark.parametrize("kind", ["socks5", "SOCKS5h", "ftp"])
def test_a_proxy_of_another_kind_is_refused_at_once(
    kind: str, network: Network, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"{kind}://me:secret@127.0.0.1:{closed_port()}")
    log = Log()
    with pytest.raises(MissingWeightsError, match="only proxies of http:// and https:// are understood") as failure:
        fetch_weights(network, url="https://example.org/tiny.h5", report=log)
    assert "secret" not in str(failure.value)
    assert log.notes == []
    fetch_weights(network)  # for http there is no proxy
    assert len(server.seen) == 1


@pytest.mark.parametrize("kind", ["http://", "HTTP://", "https://", ""])
def test_a_proxy_may_be_written_with_and_without_its_kind(
    kind: str, network: Network, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behaviors = [refuse(407)]
    monkeypatch.setenv("https_proxy", f"{kind}127.0.0.1:{server.server_port}")
    fails(network, "name:password@proxy:port|407", "https://example.org/a")
    assert len(server.seen) == 1


def test_a_proxy_that_was_copied_from_the_message(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:port")
    fails(network, "through the proxy proxy:port")


def test_a_cache_that_is_a_file(network: Network, server: Server, cache: Path) -> None:
    cache.write_text("a file in the place of the folder")
    with pytest.raises(OutputError, match="IMPASTO_CACHE"):
        fetch_weights(network)
    assert server.seen == []


def test_a_cache_that_may_not_be_written(network: Network, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_writing(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse_writing)
    with pytest.raises(OutputError, match=r"\(Read-only file system\).*IMPASTO_CACHE"):
        fetch_weights(network)
    assert server.seen == []


def test_a_cache_with_too_little_room(network: Network, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = network.size + network.tensor_bytes
    for free, fits in ((needed - 1, False), (needed, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: SimpleNamespace(free=free))
        if fits:
            fetch_weights(network)
        else:
            with pytest.raises(OutputError, match=r"(?s)has .* left, and the weights of tiny take .* IMPASTO_CACHE"):
                fetch_weights(network)
    assert len(server.seen) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_disk_that_becomes_full(network: Network, server: Server, cache: Path) -> None:
    (cache / "weights").mkdir(parents=True)
    (cache / PART).symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"\(No space left on device\): make room, or set IMPASTO_CACHE"):
        fetch_weights(network)
    assert files_under(cache) == []
    assert len(server.seen) == 1


def test_ctrl_c_keeps_what_has_arrived(network: Network, server: Server, cache: Path, tiny_weights: Weights) -> None:
    def interrupt(received: Received) -> None:
        if received.bytes >= 9000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_weights(network, report=interrupt)
    arrived = (cache / PART).stat().st_size
    assert 9000 <= arrived < len(server.data)
    fetch_weights(network)
    assert server.seen[1]["Range"] == f"bytes={arrived}-"
    assert_equal(load_weights(network), tiny_weights)
    assert files_under(cache) == KEPT


def test_a_published_file_that_cannot_be_converted_leaves_nothing_behind_as_weights(
    network: Network, server: Server, cache: Path
) -> None:
    server.data = b"\x89HDF\r\n\x1a\n" + bytes(len(server.data) - 8)
    strange = replace(network, md5=hashlib.md5(server.data).hexdigest())
    with pytest.raises(InputError, match="damaged or foreign HDF5"):
        fetch_weights(strange)
    assert not (cache / KEPT[0]).exists()


WAITER = """
import sys
from impasto.networks import NETWORKS, Network
from impasto.weights import fetch_weights
network = eval(sys.argv[1])
NETWORKS[network.name] = network
print(fetch_weights(network, report=lambda received: received.note and print(received.note, flush=True)))
"""


def test_of_two_processes_one_downloads_and_the_other_waits(network: Network, server: Server, cache: Path) -> None:
    server.behaviors = [stall(5000)]
    paths: list[Path] = []
    here = threading.Thread(target=lambda: paths.append(fetch_weights(network)))
    here.start()
    with subprocess.Popen([sys.executable, "-c", WAITER, repr(network)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert "Another process downloads the weights of tiny" in other.stdout.readline()
        assert not paths
        server.released.set()
        path = other.stdout.readline().strip()
    here.join()
    assert other.returncode == 0
    assert [str(paths[0])] == [path] == [str(cache / KEPT[0])]
    assert len(server.seen) == 1


def test_who_waits_downloads_when_the_other_gives_up(network: Network, server: Server, cache: Path) -> None:
    server.behaviors = [refuse(404), whole()]
    waiting, failed = threading.Event(), threading.Event()

    def give_up(handler: object, data: bytes) -> None:
        waiting.wait(20)
        refuse(404)(handler, data)  # type: ignore[arg-type]

    server.behaviors[0] = give_up
    first = threading.Thread(target=lambda: _expect_failure(network, failed))
    first.start()
    while first.is_alive() and not server.seen:
        time.sleep(0.01)
    log = Log()

    def report(received: Received) -> None:
        log.append(received)
        if received.note:
            waiting.set()

    path = fetch_weights(network, report=report)
    first.join()
    assert failed.is_set()
    assert re.search("waiting for it", log.notes[0])
    assert path.is_file()


def _expect_failure(network: Network, failed: threading.Event) -> None:
    try:
        fetch_weights(network)
    except MissingWeightsError:
        failed.set()
