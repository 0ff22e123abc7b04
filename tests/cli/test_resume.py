"""A run that was broken off goes on, and ends as if nothing had happened."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from impasto.cli import checkpoints
from impasto.cli.progress import LineProgress

LONG = ("--num-iterations", "9", "--size", "48")


@pytest.fixture
def interrupt_at(monkeypatch):
    """Let Ctrl-C arrive at an evaluation."""

    def arrange(number: int) -> None:
        shown = 0

        def show(self, step, plan) -> None:
            nonlocal shown
            shown += 1
            if shown == number:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(LineProgress, "show", show)

    return arrange


@pytest.fixture
def whole(stylize) -> bytes:
    """The picture of a run that nobody broke off."""
    assert stylize("-o", "whole.png", *LONG).code == 0
    return Path("whole.png").read_bytes()


@pytest.fixture
def broken_off(stylize, interrupt_at):
    """Start a run that ends after evaluation 4; what it said."""

    def start(*arguments: str):
        interrupt_at(4)
        outcome = stylize("-o", "out.png", *LONG, *arguments)
        assert outcome.code == 130
        interrupt_at(0)
        return outcome

    return start


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(whole, broken_off, cli):
    outcome = broken_off("--checkpoint", "run.checkpoint")
    assert "Stopped after 4 of 9 evaluations" in outcome.err
    assert "impasto resume 'run.checkpoint'" in outcome.err.replace(f"{Path.cwd()}/", "")
    assert Path("out.png").read_bytes() != whole
    resumed = cli("resume", "run.checkpoint", "--progress", "json")
    assert resumed.code == 0, resumed.err
    steps = [json.loads(line) for line in resumed.err.splitlines()]
    assert [line["step"] for line in steps if "step" in line] == [5, 6, 7, 8, 9]
    assert Path("out.png").read_bytes() == whole
    assert sorted(Path().glob("run.checkpoint*")) == []


@pytest.mark.parametrize("options", [("--optimizer", "adam"), ("--init", "noise"), ("--color", "content")])
def test_it_goes_on_whatever_the_options(options, stylize, broken_off, cli):
    assert stylize("-o", "whole.png", *LONG, *options).code == 0
    broken_off("--checkpoint", "run.checkpoint", *options)
    assert cli("resume", "run.checkpoint").code == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_it_can_be_stopped_again_and_again(whole, broken_off, cli, interrupt_at):
    broken_off("--checkpoint", "run.checkpoint")
    for done in (6, 8):
        interrupt_at(2)
        outcome = cli("resume", "run.checkpoint")
        assert (outcome.code, f"Stopped after {done} of 9" in outcome.err) == (130, True)
    assert cli("resume", "run.checkpoint").code == 0
    assert Path("out.png").read_bytes() == whole


def test_a_picture_that_someone_put_in_its_place_is_not_replaced(broken_off, cli, folder):
    broken_off("--checkpoint", "run.checkpoint")
    shutil.copy("photo.jpg", "out.png")
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "exists already" in outcome.err) == (2, True)
    assert Path("out.png").read_bytes() == Path("photo.jpg").read_bytes()
    assert cli("resume", "run.checkpoint", "-y").code == 0


def test_long_runs_are_kept_without_being_asked(whole, broken_off, cli, monkeypatch):
    monkeypatch.setattr(checkpoints, "AUTOMATIC", 0.0)
    outcome = broken_off()
    (path,) = checkpoints.kept()
    assert f"impasto resume '{path}'" in outcome.err
    listed = cli("resume", "--list")
    assert (listed.code, str(path) in listed.out, "4 of 9 evaluations" in listed.out) == (0, True, True)
    assert cli("resume").code == 0
    assert Path("out.png").read_bytes() == whole
    assert list(checkpoints.folder().iterdir()) == []


@pytest.mark.parametrize("arguments", [("--no-checkpoint",), ("--strength", "0")])
def test_some_runs_are_not_kept(arguments, stylize, monkeypatch):
    monkeypatch.setattr(checkpoints, "AUTOMATIC", 0.0)
    monkeypatch.setattr(checkpoints.Keeper, "write", lambda *_: pytest.fail("it was kept"))
    assert stylize(*arguments, "-o", "out.png").code == 0


def test_short_runs_are_not_kept(broken_off):
    broken_off()
    assert checkpoints.kept() == []


def test_it_is_written_as_often_as_asked_for(stylize, monkeypatch):
    written = []
    write = checkpoints.Keeper.write

    def count(self, progress, saved=None):
        written.append(time.monotonic())
        return write(self, progress, saved)

    monkeypatch.setattr(checkpoints.Keeper, "write", count)
    assert stylize("-o", "a.png", *LONG, "--checkpoint", "a", "--checkpoint-every", "0.00001s").code == 0
    assert len(written) == 8  # after the last evaluation there is nothing to go on with
    assert stylize("-o", "b.png", *LONG, "--checkpoint", "b", "--checkpoint-every", "1h").code == 0
    assert len(written) == 8


def test_where_nothing_can_be_kept_the_run_goes_on_and_says_so_once(whole, stylize, monkeypatch):
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("impasto.checkpoint.write_checkpoint", full)
    outcome = stylize("-o", "out.png", *LONG, "--checkpoint", "c", "--checkpoint-every", "0.00001s")
    assert (outcome.code, outcome.err.count("No space left")) == (0, 1)
    assert Path("out.png").read_bytes() == whole


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="permissions do not stop root")
def test_a_cache_that_cannot_be_written_does_not_end_a_run(stylize, monkeypatch):
    monkeypatch.setattr(checkpoints, "AUTOMATIC", 0.0)
    checkpoints.folder().mkdir()
    checkpoints.folder().chmod(0o500)
    outcome = stylize("-o", "out.png", *LONG)
    assert (outcome.code, "is not kept" in outcome.err) == (0, True)


def test_a_folder_that_is_a_file_does_not_end_a_run(stylize, monkeypatch):
    monkeypatch.setattr(checkpoints, "AUTOMATIC", 0.0)
    checkpoints.folder().write_text("")
    outcome = stylize("-o", "out.png", *LONG)
    assert (outcome.code, "is not kept" in outcome.err) == (0, True)


def test_a_checkpoint_that_exists_is_not_replaced_unasked(stylize):
    Path("mine").write_text("something")
    outcome = stylize("-o", "out.png", "--checkpoint", "mine")
    assert (outcome.code, "'mine' exists already" in outcome.err) == (2, True)
    assert Path("mine").read_text() == "something"
    outcome = stylize("-o", "out.png", "--checkpoint", "nowhere/mine")
    assert (outcome.code, "another --checkpoint" in outcome.err) == (2, True)


def test_a_run_that_is_going_on_is_left_alone(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint")
    with checkpoints.lock_of(Path("run.checkpoint")).acquire():
        outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "still going on" in outcome.err) == (2, True)
    assert cli("resume", "run.checkpoint").code == 0


def test_the_newest_one_that_is_not_going_on_is_taken(whole, broken_off, cli, monkeypatch):
    monkeypatch.setattr(checkpoints, "AUTOMATIC", 0.0)
    broken_off()
    (path,) = checkpoints.kept()
    newer = path.with_name("newer.checkpoint")
    shutil.copy(path, newer)
    os.utime(path, (1, 1))
    with checkpoints.lock_of(newer).acquire():
        assert cli("resume").code == 0
    assert Path("out.png").read_bytes() == whole
    assert checkpoints.kept() == [newer]


def test_without_a_checkpoint_it_says_what_to_do(cli, folder):
    for words in (("resume",), ("resume", "nothing.checkpoint"), ("resume", "photo.jpg"), ("resume", ".")):
        outcome = cli(*words)
        assert outcome.code == 2
        assert "checkpoint" in outcome.err
    assert cli("resume", "--list").out == ""


def test_inputs_that_were_moved_are_found_and_changed_ones_are_not_taken(whole, broken_off, cli, folder):
    broken_off("--checkpoint", "run.checkpoint")
    (folder / "moved").mkdir()
    (folder / "photo.jpg").rename(folder / "moved" / "other.jpg")
    shutil.copy("painting.png", "photo.jpg")
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "--inputs" in outcome.err) == (2, True)
    assert cli("resume", "run.checkpoint", "--inputs", "moved").code == 0
    assert Path("out.png").read_bytes() == whole


def test_a_photo_from_standard_input_is_kept_as_well(stylize, cli, interrupt_at, folder, monkeypatch):
    data = Path("photo.jpg").read_bytes()

    def sent(*arguments: str):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
        short = ("--precision", "fp32", "--coarse-iterations", "0", "--coarse-network", "none")
        return cli("stylize", "-", "painting.png", *LONG, *short, *arguments)

    assert sent("-o", "whole.png").code == 0
    interrupt_at(4)
    assert sent("-o", "out.png", "--checkpoint", "run.checkpoint").code == 130
    interrupt_at(0)
    assert cli("resume", "run.checkpoint").code == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()
    assert sorted(Path().glob("run*")) == []


def test_a_run_with_a_time_has_what_is_left_of_it(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint", "--time", "2s")
    start = time.monotonic()
    assert cli("resume", "run.checkpoint").code == 0
    assert time.monotonic() - start < 10
    with Image.open("out.png") as picture:
        assert picture.size == (48, 36)


def test_a_damaged_checkpoint_is_refused(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint")
    data = Path("run.checkpoint").read_bytes()
    Path("run.checkpoint").write_bytes(data[: len(data) // 2])
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "no checkpoint" in outcome.err) == (2, True)
