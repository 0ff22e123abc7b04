from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import OutputError
from impasto.image.destination import check_destination
from impasto.image.formats import EXTENSIONS, FORMATS, format_of
from impasto.image.picture import Picture
from impasto.image.read import read_image
from impasto.image.write import encode, to_pil, write_picture


@pytest.fixture
def image() -> Tensor:
    """All 256 values in each channel, in an order of its own."""
    values = np.stack([np.random.default_rng(seed).permutation(256).reshape(16, 16) for seed in range(3)])
    return torch.from_numpy(values / 255)[None].float()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_values_survive_a_png(image: Tensor, tmp_path: Path) -> None:
    write_picture(Picture(image), tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), image)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("turn", [str.lower, str.upper])
def test_the_format_is_that_of_the_extension(extension: str, turn: type[str], image: Tensor, tmp_path: Path) -> None:
    path = tmp_path / f"a{turn(extension)}"
    write_picture(Picture(image), path)
    with Image.open(path) as written:
        assert (written.format, written.size) == (FORMATS[EXTENSIONS[extension]].name, (16, 16))
    assert names(tmp_path) == [path.name]


def test_a_jpeg_keeps_its_colors_at_full_resolution() -> None:
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0, :, ::2] = 1  # red lines one pixel wide: gone if the colors are subsampled
    with Image.open(io.BytesIO(encode(Picture(image), FORMATS["jpeg"]))) as written:
        values = np.asarray(written).astype(int)
    assert np.abs(values - np.asarray(to_pil(image)).astype(int)).mean() < 6


def test_values_are_rounded_to_the_nearest_and_cut_off_outside() -> None:
    values = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.5, 127.4 / 255]).view(1, 1, 1, 6)
    row = np.asarray(to_pil(values.expand(1, 3, 1, 6)))[0, :, 0]
    assert row.tolist() == [0, 0, 1, 255, 255, 127]


def test_encoding_is_reproducible(image: Tensor) -> None:
    for format in FORMATS.values():
        assert encode(Picture(image), format) == encode(Picture(image), format)


def test_an_existing_file_is_replaced_only_when_asked(image: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already: add -y"):
        write_picture(Picture(image), path)
    assert path.read_bytes() == b"precious"
    write_picture(Picture(image), path, overwrite=True)
    assert torch.equal(read_image(path), image)


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.pngg", ".png"])
def test_an_extension_that_cannot_be_written_is_refused_with_those_that_can(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Use one of \.png, \.jpg, \.jpeg"):
        format_of(tmp_path / name)


def test_the_nearest_extension_is_proposed(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Did you mean '\.jpe?g'\?"):
        format_of(tmp_path / "a.jpge")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no folder '.*nowhere'"):
        check_destination(tmp_path / "nowhere" / "a.png")


def test_a_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_destination(tmp_path / "a.png", overwrite=True)


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


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_destination(tmp_path / "a.png", needed=10)
    assert names(tmp_path) == []


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_file_whole(
    broken: str, image: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    monkeypatch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OutputError, match=r"a\.png' cannot be written \(No space left on device\)"):
        write_picture(Picture(image), path, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert names(tmp_path) == ["a.png"]


def test_a_file_that_someone_else_makes_meanwhile_is_not_replaced(
    image: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    monkeypatch.setattr(os, "fsync", lambda handle: path.write_bytes(b"theirs"))
    with pytest.raises(OutputError, match="exists already"):
        write_picture(Picture(image), path)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.png"]


def test_a_file_system_without_hard_links_is_no_obstacle(
    image: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    write_picture(Picture(image), tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), image)
    assert names(tmp_path) == ["a.png"]


def test_the_file_has_the_permissions_of_any_new_file(image: Tensor, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_picture(Picture(image), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_name_that_is_too_long_is_refused(image: Tensor, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_picture(Picture(image), tmp_path / f"{'x' * 300}.png")
