from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.errors import ImpastoError, OutputError
from impasto.result import Result


def pictures(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"photo.jpg", "painting.png"}


def test_writes_the_picture_and_prints_its_path(stylize, folder):
    outcome = stylize("-o", "out.png")
    assert outcome.code == 0
    assert outcome.out == "out.png\n"
    assert outcome.err.startswith("32 x 24 pixels, 1 size, about ")
    assert pictures(folder) == {"out.png"}
    with Image.open("out.png") as picture:
        assert (picture.size, picture.format) == ((32, 24), "PNG")


def test_default_names_are_made_of_the_inputs_and_numbered(stylize, folder):
    names = [stylize().out.strip() for _ in range(3)]
    assert names == ["photo_painting.png", "photo_painting_2.png", "photo_painting_3.png"]
    assert stylize("-y").out.strip() == "photo_painting.png"


def test_a_default_name_is_taken_as_well_by_its_snapshots(stylize, folder):
    (folder / "photo_painting_0002.png").touch()
    assert stylize("--save-every", "2").out.strip() == "photo_painting_2.png"
    assert pictures(folder) == {"photo_painting_0002.png", "photo_painting_2.png", "photo_painting_2_0002.png"}


def test_writes_jpeg_by_the_extension(stylize):
    assert stylize("-o", "out.JPG").code == 0
    with Image.open("out.JPG") as picture:
        assert picture.format == "JPEG"


def test_replaces_an_existing_file_only_when_told(stylize, folder):
    (folder / "out.png").write_text("mine")
    refused = stylize("-o", "out.png")
    assert refused.code == 2
    assert "add -y" in refused.err
    assert (folder / "out.png").read_text() == "mine"
    assert stylize("-o", "out.png", "-y").code == 0
    assert (folder / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["photo.jpg", "painting.png"])
def test_never_replaces_an_input(stylize, folder, name):
    before = (folder / name).read_bytes()
    outcome = stylize("-o", f"../{folder.name}/{name}", "-y")
    assert outcome.code == 2
    assert "one of the inputs" in outcome.err
    assert (folder / name).read_bytes() == before


def test_never_replaces_an_input_by_a_snapshot(stylize, folder):
    (folder / "photo.jpg").rename(folder / "out_0002.png")
    (folder / "photo.jpg").symlink_to("out_0002.png")
    outcome = stylize("-o", "out.png", "--save-every", "1", "-y")
    assert outcome.code == 2
    assert "'out_0002.png' is one of the inputs" in outcome.err


def test_saves_snapshots_at_the_size_of_the_result(stylize, folder):
    outcome = stylize("-o", "out.jpg", "--save-every", "2", "--size", "120", "--coarse-iterations", "1")
    assert outcome.code == 0
    assert pictures(folder) == {"out.jpg", "out_0002.png", "out_0004.png", "out_0006.png"}
    with Image.open("out_0002.png") as picture:
        assert picture.size == (120, 90)


def test_checks_the_names_of_all_snapshots_beforehand(stylize, folder):
    (folder / "out_0003.png").write_text("mine")
    outcome = stylize("-o", "out.png", "--save-every", "3")
    assert outcome.code == 2
    assert "'out_0003.png' exists already" in outcome.err
    assert (folder / "out_0003.png").read_text() == "mine"


def test_a_failed_snapshot_does_not_end_the_run(stylize, folder, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise OutputError("no room")

    monkeypatch.setattr("impasto.image.write.write_picture", refuse)
    outcome = stylize("-o", "out.png", "--save-every", "2")
    assert outcome.code == 0
    assert "impasto: no room" in outcome.err


@pytest.mark.parametrize("size", ["40", "40x30", "original"])
def test_size_and_its_alias(stylize, size):
    assert stylize("--image-size", size, "-o", "out.png").code == 0
    with Image.open("out.png") as picture:
        assert picture.size == {"40": (40, 30), "40x30": (40, 30), "original": (64, 48)}[size]


def test_quiet_says_nothing(stylize):
    outcome = stylize("-q", "-o", "out.png")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert stylize("-q", "-o", "out.png").err.startswith("impasto: 'out.png' exists")


def test_verbose_says_what_is_computed_where(stylize, tmp_path):
    outcome = stylize("-v")
    assert "device cpu, precision fp32" in outcome.err
    assert str(tmp_path / "cache" / "weights" / "vgg19.safetensors") in outcome.err
    assert "32 x 24, 3 evaluations" in outcome.err
    assert logging.getLogger("impasto").level == logging.NOTSET


def test_a_picture_that_cannot_be_saved_at_the_end_is_saved_elsewhere(stylize, folder, monkeypatch, tmp_path):
    save = Result.save

    def save_elsewhere_only(self: Result, path: Path, **options: Any) -> Path:
        if Path(path).parent == Path():
            raise OutputError(f"'{path}' cannot be written (No space left on device)")
        return save(self, path, **options)

    monkeypatch.setattr(Result, "save", save_elsewhere_only)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcome = stylize("-o", "out.png")
    assert outcome.code == 1
    assert outcome.out == ""
    (refuge,) = tmp_path.glob("impasto-*/out.png")
    assert f"The picture is in '{refuge}' instead" in outcome.err


def test_an_error_on_the_way_saves_nothing(stylize, folder, monkeypatch):
    def fail(self: Any, *_: Any) -> None:
        raise ImpastoError("The loss is not finite.")

    monkeypatch.setattr("impasto.solvers.LBFGS.step", fail)
    outcome = stylize("-o", "out.png")
    assert (outcome.code, outcome.err.splitlines()[-1]) == (1, "impasto: The loss is not finite.")
    assert pictures(folder) == set()


def test_show_opens_the_picture_and_never_fails_the_run(stylize, monkeypatch):
    shown = []
    monkeypatch.setattr("typer.launch", lambda path: shown.append(path) or 0)
    assert stylize("--show", "-o", "out.png").code == 0
    assert shown == ["out.png"]

    def fail(path: str) -> int:
        raise OSError("no viewer")

    monkeypatch.setattr("typer.launch", fail)
    outcome = stylize("--show", "-o", "out.png", "-y")
    assert outcome.code == 0
    assert "cannot be shown" in outcome.err


def test_finds_out_mistakes_before_it_imports_torch(folder):
    import subprocess

    for words in (["nowhere.jpg", "painting.png"], ["photo.jpg", "painting.png", "--size", "9"]):
        code = (
            f"import sys; from impasto.cli.app import run; code = run({['stylize', *words]!r});"
            " print(code, 'torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
        assert done.stdout.strip() == "2 False"


def test_missing_weights_name_the_command_that_mends_it(cli, no_weights):
    outcome = cli("stylize", "photo.jpg", "painting.png")
    assert outcome.code == 3
    assert "impasto weights import" in outcome.err
    assert pictures(no_weights) == set()


def test_logging_is_put_back(stylize):
    before = list(logging.getLogger("impasto").handlers)
    stylize("-v")
    assert logging.getLogger("impasto").handlers == before
