from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from impasto.errors import OutputError
from impasto.image.destination import check_destination, new_file_beside, write_bytes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no folder '.*nowhere'"):
        check_destination(tmp_path / "nowhere" / "a.png")


def test_a_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_destination(tmp_path / "a.png", overwrite=True)


def test_a_file_is_refused_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(OutputError, match=r"no folder '.*a\.png'"):
        check_destination(tmp_path / "a.png" / "b.png")


def test_an_existing_file_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(OutputError, match=r"a\.png' exists already: add -y to replace it, or choose another --animate"):
        check_destination(tmp_path / "a.png", option="--animate")
    check_destination(tmp_path / "a.png", overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_device_or_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (Path(os.devnull), tmp_path / "pipe.png"):
        with pytest.raises(OutputError, match=r"is a device or a pipe: .* or - for standard output"):
            check_destination(path, overwrite=True)


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "x" * 241, "ü" * 121, "a\0b.png"], ids=lambda name: name[:3])
def test_a_name_that_no_file_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose a"):
        check_destination(tmp_path / name)


def test_a_protected_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(OutputError, match="Nothing may be written to the folder"):
        check_destination(tmp_path / "a.png")


def test_a_protected_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.touch()
    monkeypatch.setattr(os, "access", lambda asked, mode: Path(asked) != path)
    with pytest.raises(OutputError, match="protected against writing"):
        check_destination(path, overwrite=True)


def test_a_disk_without_room_is_refused_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    check_destination(tmp_path / "a.png", needed=1_000_000)
    with pytest.raises(OutputError, match=r"1\.0 MB left.*may take 2\.0 MB"):
        check_destination(tmp_path / "a.png", needed=2_000_000)


def test_a_folder_that_cannot_be_looked_at_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    with pytest.raises(OutputError, match=r"a\.png' cannot be written \(Stale file handle\)"):
        check_destination(tmp_path / "a.png")


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_destination(tmp_path / "a.png", needed=10)
    assert names(tmp_path) == []


@pytest.mark.parametrize("broken", ["fsync", "replace", "open"])
def test_a_failure_while_writing_leaves_the_old_file_whole(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    monkeypatch.setattr(*((Path, "replace") if broken == "replace" else (os, broken)), fail)
    with pytest.raises(OutputError, match=r"a\.png' cannot be written \(No space left on device\)"):
        write_bytes(b"new", path, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert names(tmp_path) == ["a.png"]


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("impasto.image.destination.new_file_beside", lambda path: FullDisk(tmp_path / ".a.png.x"))
        with pytest.raises(OutputError, match="No space left on device"):
            write_bytes(b"x" * 100_000, tmp_path / "a.png", overwrite=False)
    assert names(tmp_path) == []


class FullDisk(type(Path())):  # type: ignore[misc]
    """A file whose bytes go to a device that is always full."""

    def open(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
        self.touch()
        return Path("/dev/full").open("wb", buffering=0)


def test_a_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written \(No such file or directory\): make room, or choose"):
        write_bytes(b"new", tmp_path / "gone" / "a.png", overwrite=True)


def test_a_file_that_someone_else_makes_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    monkeypatch.setattr(os, "fsync", lambda handle: path.write_bytes(b"theirs"))
    with pytest.raises(OutputError, match="exists already"):
        write_bytes(b"ours", path, overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.png"]


def test_a_file_system_without_hard_links_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    write_bytes(b"ours", tmp_path / "a.png", overwrite=False)
    assert (tmp_path / "a.png").read_bytes() == b"ours"
    assert names(tmp_path) == ["a.png"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_bytes(b"ours", tmp_path / "a.png", overwrite=False)
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["a.png", "x" * 240, "ü" * 120, "a b'c\"d.png", "-.png", ".hidden.png"])
def test_the_temporary_file_is_beside_hidden_and_has_a_name_that_fits(name: str, tmp_path: Path) -> None:
    temporary = new_file_beside(tmp_path / name)
    assert temporary.parent == tmp_path
    assert temporary.name.startswith(".")
    assert new_file_beside(tmp_path / name) != temporary
    write_bytes(b"ours", tmp_path / name, overwrite=False)
    assert (tmp_path / name).read_bytes() == b"ours"
