"""A run that was broken off goes on, and ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from impasto.checkpoint import read_checkpoint, write_checkpoint
from impasto.cli import checkpoints, keeper, running
from impasto.cli.app import run
from impasto.cli.progress import LineProgress
from impasto.errors import OutputError

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


def killed(*_) -> None:
    raise SystemExit(9)


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


def test_a_run_that_finds_nothing_better_has_the_colors_of_the_photo(stylize, broken_off, cli, monkeypatch):
    """The best step may be one from before the break, which is kept without colors."""
    broken_off("--checkpoint", "run.checkpoint", "--color", "content")
    stopped = Path("out.png").read_bytes()
    monkeypatch.setattr(running, "_until_interrupted", lambda steps, interrupt: iter(()))
    assert cli("resume", "run.checkpoint").code == 0
    with Image.open("out.png") as again, Image.open(io.BytesIO(stopped)) as before:
        assert again.tobytes() == before.tobytes()
        assert max(high - low for low, high in zip(*pixel_range(again), strict=True)) > 0


def pixel_range(image: Image.Image) -> tuple[list[int], list[int]]:
    """The lowest and the highest channel of each pixel."""
    pixels = list(zip(*[iter(image.convert("RGB").tobytes())] * 3, strict=True))
    return [min(pixel) for pixel in pixels], [max(pixel) for pixel in pixels]


def test_the_animation_so_far_is_replaced_as_the_picture_is(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint", "--animate", "grow.gif")
    before = Path("grow.gif").read_bytes()
    assert cli("resume", "run.checkpoint").code == 0
    assert Path("grow.gif").read_bytes() != before
    broken_off("--checkpoint", "run.checkpoint", "--animate", "grow.gif", "-y")
    Path("grow.gif").write_bytes(b"mine")
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "'grow.gif' exists already" in outcome.err.replace(f"{Path.cwd()}/", "")) == (2, True)
    assert Path("grow.gif").read_bytes() == b"mine"


def test_a_picture_that_someone_put_in_its_place_is_not_replaced(broken_off, cli, folder):
    broken_off("--checkpoint", "run.checkpoint")
    shutil.copy("photo.jpg", "out.png")
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "exists already" in outcome.err) == (2, True)
    assert Path("out.png").read_bytes() == Path("photo.jpg").read_bytes()
    assert cli("resume", "run.checkpoint", "-y").code == 0


def test_long_runs_are_kept_without_being_asked(whole, broken_off, cli, monkeypatch):
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
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
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
    monkeypatch.setattr(keeper.Keeper, "write", lambda *_: pytest.fail("it was kept"))
    assert stylize(*arguments, "-o", "out.png").code == 0


def test_short_runs_are_not_kept(broken_off):
    broken_off()
    assert checkpoints.kept() == []


def test_it_is_written_as_often_as_asked_for(stylize, monkeypatch):
    written = []
    write = keeper.Keeper.write

    def count(self, progress, saved=()):
        written.append(time.monotonic())
        return write(self, progress, saved)

    monkeypatch.setattr(keeper.Keeper, "write", count)
    assert stylize("-o", "a.png", *LONG, "--checkpoint", "a", "--checkpoint-every", "0.00001s").code == 0
    assert len(written) == 8  # after the last evaluation there is nothing to go on with
    assert stylize("-o", "b.png", *LONG, "--checkpoint", "b", "--checkpoint-every", "1h").code == 0
    assert len(written) == 8


@pytest.fixture
def clock(monkeypatch):
    """A clock for keeping alone: an evaluation takes ``step`` seconds, and writing a checkpoint ``writing``."""
    clock = SimpleNamespace(now=0.0, step=0.0, writing=0.0, kept_after=[])

    def begin(self, plan) -> None:
        clock.now, clock.done = plan.began, 0

    def show(self, step, plan) -> None:
        clock.now, clock.done = clock.now + clock.step, clock.done + 1

    def end(self) -> None:
        clock.now = 0.0

    def write(path, checkpoint) -> None:
        clock.now += clock.writing
        clock.kept_after.append(clock.done)
        write_checkpoint(path, checkpoint)

    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(LineProgress, "begin", begin)
    monkeypatch.setattr(LineProgress, "show", show)
    monkeypatch.setattr(LineProgress, "end", end)
    monkeypatch.setattr("impasto.checkpoint.write_checkpoint", write)
    return clock


@pytest.mark.parametrize(
    ("step", "writing", "kept_after"),
    [
        (7.0, 0.0, [4, 8]),
        (11.0, 0.0, [2, 4, 6, 8]),
        (29.0, 0.0, [*range(1, 9)]),
        (150.0, 0.0, [*range(1, 9)]),
        (150.0, 10.0, [1, 3, 5, 7]),  # or more than a twentieth of the time would go into it
    ],
)
def test_at_most_half_a_minute_or_an_evaluation_is_at_risk(step, writing, kept_after, stylize, clock):
    clock.step, clock.writing = step, writing
    assert stylize("-o", "out.png", *LONG, "--checkpoint", "run.checkpoint").code == 0
    assert clock.kept_after == kept_after


def test_a_run_that_takes_longer_than_was_estimated_is_kept(stylize, cli, clock, monkeypatch):
    assert stylize("-o", "whole.png", *LONG).code == 0
    assert clock.kept_after == []
    clock.step = 50.0
    assert stylize("-o", "other.png", *LONG, "--no-checkpoint").code == 0
    assert clock.kept_after == []

    with monkeypatch.context() as patch:
        patch.setattr("impasto.checkpoint.write_checkpoint", lambda *written: killed(write_checkpoint(*written)))
        with pytest.raises(SystemExit):
            stylize("-o", "out.png", *LONG)
    (path,) = checkpoints.kept()
    checkpoint = read_checkpoint(path)
    assert (len(checkpoint.collected.history), checkpoint.job["elapsed"]) == (3, pytest.approx(150))
    assert cli("resume").code == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_that_a_longer_run_cannot_be_kept_is_said_once(stylize, clock):
    checkpoints.folder().write_text("")
    clock.step = 50.0
    outcome = stylize("-o", "out.png", *LONG)
    assert (outcome.code, outcome.err.count("is not kept")) == (0, 1)


def test_where_nothing_can_be_kept_the_run_goes_on_and_says_so_once(whole, stylize, monkeypatch):
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("impasto.checkpoint.write_checkpoint", full)
    outcome = stylize("-o", "out.png", *LONG, "--checkpoint", "c", "--checkpoint-every", "0.00001s")
    assert (outcome.code, outcome.err.count("No space left")) == (0, 1)
    assert Path("out.png").read_bytes() == whole


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="permissions do not stop root")
def test_a_cache_that_cannot_be_written_does_not_end_a_run(stylize, monkeypatch):
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
    checkpoints.folder().mkdir()
    checkpoints.folder().chmod(0o500)
    outcome = stylize("-o", "out.png", *LONG)
    assert (outcome.code, "is not kept" in outcome.err) == (0, True)


def test_a_folder_that_is_a_file_does_not_end_a_run(stylize, monkeypatch):
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
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


@pytest.mark.parametrize("name", ["uv.lock", "uv-content.checkpoint-input"])
def test_what_stands_beside_a_checkpoint_is_not_taken_for_a_part_of_it(name, stylize):
    Path(name).write_text("something")
    outcome = stylize("-o", "out.png", "--checkpoint", "uv")
    assert (outcome.code, f"'{name}' is there already" in outcome.err) == (2, True)
    assert Path(name).read_text() == "something"


def test_files_in_the_folder_of_a_history_stay(stylize):
    Path("run.history").mkdir()
    Path("run.history", "notes.txt").write_text("something")
    assert stylize("-o", "out.png", *LONG, "--checkpoint", "run", "--checkpoint-every", "0.00001s").code == 0
    assert sorted(str(path) for path in Path().glob("run*/*")) == ["run.history/notes.txt"]


def test_a_photo_from_standard_input_that_cannot_be_kept_does_not_end_a_run(cli, folder, monkeypatch):
    def full(*_, **__) -> None:
        raise OutputError("'somewhere' cannot be written (No space left on device): make room.")

    data = Path("photo.jpg").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
    monkeypatch.setattr(keeper, "write_bytes", full)
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
    outcome = cli("stylize", "-", "painting.png", *LONG, "--coarse-network", "none", "-o", "out.png")
    assert (outcome.code, "is not kept" in outcome.err) == (0, True)
    assert list(checkpoints.folder().iterdir()) == []


def test_a_run_that_ends_before_it_is_kept_leaves_nothing_behind(cli, folder, monkeypatch):
    data = Path("photo.jpg").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
    assert cli("stylize", "-", "painting.png", *LONG, "--coarse-network", "none", "-o", "out.png").code == 0
    assert list(checkpoints.folder().iterdir()) == []


def test_a_run_that_is_going_on_is_left_alone(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint")
    with checkpoints.lock_of(Path("run.checkpoint")).acquire():
        outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "still going on" in outcome.err) == (2, True)
    assert cli("resume", "run.checkpoint").code == 0


def test_while_a_checkpoint_is_read_nobody_else_goes_on_with_it(broken_off, cli, monkeypatch):
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
    broken_off()
    others = []

    def read(path: Path):
        others.extend(cli("resume", *words) for words in ([], [str(path)]))
        return read_checkpoint(path)

    with monkeypatch.context() as patch:
        patch.setattr("impasto.checkpoint.read_checkpoint", read)
        assert cli("resume").code == 0
    assert [outcome.code for outcome in others] == [2, 2]
    assert "no run to go on with" in others[0].err
    assert "still going on" in others[1].err
    assert list(checkpoints.folder().iterdir()) == []


def test_a_checkpoint_that_cannot_be_used_is_not_left_locked(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint")
    Path("photo.jpg").rename("../photo.jpg")
    assert cli("resume", "run.checkpoint").code == 2
    assert list(Path().glob("*.lock")) == []
    assert cli("resume", "run.checkpoint", "--inputs", "..").code == 0


def test_from_where_nothing_can_be_written_a_run_goes_on(whole, broken_off, cli, monkeypatch):
    def refuse(*_, **__) -> None:
        raise OSError(30, "Read-only file system")

    broken_off("--checkpoint", "run.checkpoint")
    monkeypatch.setattr(checkpoints.FileLock, "acquire", refuse)
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, outcome.err.count("is not kept")) == (0, 1)
    assert Path("out.png").read_bytes() == whole


def test_a_file_of_someone_else_is_not_taken_for_the_lock(broken_off, cli):
    broken_off("--checkpoint", "uv")
    Path("uv.lock").write_text("something")
    outcome = cli("resume", "uv")
    assert (outcome.code, "uv.lock' is in the place" in outcome.err) == (2, True)
    assert Path("uv.lock").read_text() == "something"


def test_what_became_of_the_lock_meanwhile_stays(stylize, monkeypatch):
    monkeypatch.setattr(LineProgress, "show", lambda *_: Path("uv.lock").write_text("something"))
    assert stylize("-o", "out.png", "--checkpoint", "uv").code == 0
    assert Path("uv.lock").read_text() == "something"


def test_the_newest_one_that_is_not_going_on_is_taken(whole, broken_off, cli, monkeypatch):
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
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


def test_of_its_time_a_run_has_what_is_left():
    def to_go(seconds, elapsed):
        run = SimpleNamespace(time=seconds)
        return running._seconds_to_go(SimpleNamespace(options=SimpleNamespace(run=run), resumed=elapsed))

    assert to_go(60.0, None) == 60
    assert to_go(60.0, SimpleNamespace(elapsed=45.0)) == 15
    assert to_go(60.0, SimpleNamespace(elapsed=99.0)) == 1
    assert to_go(None, SimpleNamespace(elapsed=99.0)) is None


def test_a_run_with_a_time_goes_on(broken_off, cli):
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


@pytest.mark.parametrize("place", ["photo.jpg", "painting.png", "out.png", "grow.gif", "out_0003.png", "link"])
def test_a_checkpoint_in_the_place_of_something_else_is_refused(place, stylize, folder):
    Path("link").symlink_to("photo.jpg")
    before = Path("photo.jpg").read_bytes(), Path("painting.png").read_bytes()
    words = ("-o", "out.png", "--animate", "grow.gif", "--save-every", "3", "-y")
    outcome = stylize(*words, "--checkpoint", place)
    assert (outcome.code, "--checkpoint is" in outcome.err) == (2, True)
    assert (Path("photo.jpg").read_bytes(), Path("painting.png").read_bytes()) == before


def test_a_run_that_ends_before_it_is_kept_leaves_the_checkpoint_of_another_whole(whole, broken_off, stylize, cli):
    """With -y it may be replaced; but it was not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("impasto.checkpoint.APART", 1)
        broken_off("--checkpoint", "run.checkpoint")
    assert list(Path("run.checkpoint.history").iterdir())
    assert stylize("-o", "b.png", "-y", "--checkpoint", "run.checkpoint", "--checkpoint-every", "1h").code == 0
    assert cli("resume", "run.checkpoint").code == 0
    assert Path("out.png").read_bytes() == whole


def test_what_is_no_checkpoint_is_not_replaced_by_one(stylize, broken_off):
    broken_off("--checkpoint", "run.checkpoint")
    assert checkpoints.is_checkpoint(Path("run.checkpoint"))
    Path("mine.txt").write_text("something")
    outcome = stylize("-o", "out.png", "-y", "--checkpoint", "mine.txt")
    assert (outcome.code, "another file and would be lost" in outcome.err) == (2, True)
    assert Path("mine.txt").read_text() == "something"


def test_an_empty_file_is_replaced_and_an_elsewhere_that_is_empty_is_refused(broken_off, cli):
    Path("run.checkpoint").touch()
    broken_off("--checkpoint", "run.checkpoint", "-y")
    outcome = cli("resume", "run.checkpoint", "--animate", "")
    assert (outcome.code, "a file name is empty" in outcome.err) == (2, True)
    assert cli("resume", "run.checkpoint").code == 0


def test_keeping_and_not_keeping_contradict_each_other(stylize):
    outcome = stylize("--checkpoint", "a", "--no-checkpoint")
    assert (outcome.code, "contradict" in outcome.err) == (2, True)


def rewritten(path, change) -> None:
    """Change the job in a checkpoint, as someone might who sends it."""
    checkpoint = read_checkpoint(Path(path))
    job = dict(checkpoint.job)
    change(job)
    write_checkpoint(Path(path), replace(checkpoint, job=job))


def test_a_checkpoint_from_elsewhere_replaces_nothing(broken_off, cli, folder, tmp_path):
    broken_off("--checkpoint", "run.checkpoint")
    target = tmp_path / ".bashrc"
    target.write_text("mine")
    empty = hashlib.sha256(b"").hexdigest()
    digest = hashlib.sha256(b"mine").hexdigest()
    for saved in ({os.devnull: empty}, {str(target): digest}, {str(target): 7}, {}):
        claims = {"output": str(target), "saved": saved, "overwrite": True, "written": {"format": "png"}}
        rewritten("run.checkpoint", lambda job, claims=claims: job.update(claims))
        outcome = cli("resume", "run.checkpoint")
        assert (outcome.code, "exists already" in outcome.err) == (2, True)
        assert target.read_text() == "mine"
    rewritten("run.checkpoint", lambda job: job.update(elapsed="x"))
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "damaged" in outcome.err) == (2, True)
    for saved in (None, [7], "text"):
        rewritten("run.checkpoint", lambda job, saved=saved: job.update(saved=saved))
        outcome = cli("resume", "run.checkpoint")
        assert (outcome.code, "damaged" in outcome.err) == (2, True)


def test_other_files_that_a_checkpoint_names_are_not_removed(broken_off, cli, folder, tmp_path):
    broken_off("--checkpoint", "run.checkpoint")
    other = tmp_path / "other.checkpoint-input"
    shutil.copy("photo.jpg", other)
    rewritten("run.checkpoint", lambda job: job["inputs"].update(content=str(other)))
    assert cli("resume", "run.checkpoint").code == 0
    assert other.exists()


def test_an_input_that_nobody_knows_is_refused(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint")
    rewritten("run.checkpoint", lambda job: job["inputs"].update(init="photo.jpg"))
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "damaged" in outcome.err) == (2, True)


def test_that_the_picture_so_far_is_ones_own_is_not_forgotten(whole, broken_off, cli, monkeypatch):
    broken_off("--checkpoint", "run.checkpoint", "--checkpoint-every", "0.00001s")

    with monkeypatch.context() as patch:
        patch.setattr(running, "save", killed)
        with pytest.raises(SystemExit):
            cli("resume", "run.checkpoint")
    assert cli("resume", "run.checkpoint").code == 0
    assert Path("out.png").read_bytes() == whole


def test_a_run_that_is_killed_while_it_encodes_the_animation_goes_on(whole, broken_off, cli, interrupt_at, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(running, "save_animation", killed)
        with pytest.raises(SystemExit):
            broken_off("--checkpoint", "run.checkpoint", "--animate", "grow.gif")
    interrupt_at(0)
    outcome = cli("resume", "run.checkpoint")
    assert outcome.code == 0, outcome.err
    assert Path("out.png").read_bytes() == whole
    assert Path("grow.gif").exists()


def test_once_the_picture_is_finished_nothing_is_left_to_go_on_with(whole, stylize, monkeypatch):
    words = ("--checkpoint", "run.checkpoint", "--checkpoint-every", "0.00001s", "--animate", "grow.gif")
    with monkeypatch.context() as patch:
        patch.setattr(running, "save_animation", killed)
        with pytest.raises(SystemExit):
            stylize("-o", "out.png", *LONG, *words)
    assert Path("out.png").read_bytes() == whole
    assert list(Path().glob("run.checkpoint*")) == []


def test_that_the_animation_so_far_is_ones_own_is_not_forgotten(broken_off, cli, interrupt_at, monkeypatch):
    broken_off("--checkpoint", "run.checkpoint", "--animate", "grow.gif")
    interrupt_at(2)
    with monkeypatch.context() as patch:
        patch.setattr(running, "save_animation", lambda *_: False)
        assert cli("resume", "run.checkpoint").code == 130
    outcome = cli("resume", "run.checkpoint")
    assert outcome.code == 0, outcome.err


def test_snapshots_from_before_the_break_stay(whole, broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint", "--save-every", "2")
    assert Path("out_0004.png").exists()
    shutil.copy("out_0004.png", "out_0006.png")  # as if it had been written after the last checkpoint
    assert cli("resume", "run.checkpoint").code == 0
    assert sorted(path.name for path in Path().glob("out*.png")) == [
        "out.png",
        *(f"out_000{number}.png" for number in (2, 4, 6, 8)),
    ]


def test_a_picture_for_another_program_is_not_printed_on_a_terminal(stylize, cli, interrupt_at, monkeypatch, folder):
    interrupt_at(4)
    stream = SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: False, write=lambda _: 0, flush=lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        run(["stylize", "photo.jpg", "painting.png", *LONG, "--coarse-network", "none", "-o", "-", "--checkpoint", "c"])
    interrupt_at(0)
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        outcome = cli("resume", "c")
    assert (outcome.code, "none reads it" in outcome.err) == (2, True)


def test_paths_are_kept_whole(broken_off, cli, folder, tmp_path, monkeypatch, whole):
    (tmp_path / "elsewhere").mkdir()
    broken_off("--checkpoint", "run.checkpoint", "--animate", "grow.gif")
    monkeypatch.chdir(tmp_path / "elsewhere")
    outcome = cli("resume", str(folder / "run.checkpoint"))
    assert outcome.code == 0, outcome.err
    assert "The animation begins where the run goes on" in outcome.err
    assert list(Path().iterdir()) == []
    assert (folder / "out.png").read_bytes() == whole


def test_where_its_disk_is_gone_it_writes_elsewhere(whole, broken_off, stylize, cli, interrupt_at):
    interrupt_at(4)
    Path("disk").mkdir()
    words = ("--checkpoint", "run.checkpoint", "--animate", "disk/grow.gif", "--format", "png", "-y")
    assert stylize(*LONG, *words, "-o", "disk/out.png").code == 130
    shutil.rmtree("disk")
    interrupt_at(0)
    outcome = cli("resume", "run.checkpoint")
    assert (outcome.code, "another -o" in outcome.err) == (2, False)
    assert "choose another --animate" in outcome.err
    outcome = cli("resume", "run.checkpoint", "--animate", "grow.webp")
    assert (outcome.code, "choose another -o" in outcome.err) == (2, True)
    Path("mine.png").write_text("mine")
    assert cli("resume", "run.checkpoint", "--animate", "grow.webp", "-o", "mine.png").code == 2
    assert Path("mine.png").read_text() == "mine"
    interrupt_at(2)
    assert cli("resume", "run.checkpoint", "--animate", "grow.webp", "-o", "elsewhere.jpg").code == 130
    interrupt_at(0)
    assert cli("resume", "run.checkpoint", "-o", "elsewhere.png").out == "elsewhere.png\n"
    assert Path("elsewhere.png").read_bytes() == whole
    with Image.open("elsewhere.jpg") as so_far, Image.open("grow.webp") as animation:
        assert (so_far.format, animation.format) == ("JPEG", "WEBP")


def test_that_files_might_be_replaced_was_not_said_of_others(broken_off, cli, monkeypatch):
    monkeypatch.setattr(keeper, "AUTOMATIC", 0.0)
    broken_off("-y")
    Path("mine.png").write_text("mine")
    outcome = cli("resume", "-o", "mine.png")
    assert (outcome.code, "'mine.png' exists already" in outcome.err) == (2, True)
    assert cli("resume", "-o", "mine.png", "-y").code == 0


def test_folders_that_are_not_there_are_refused(broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint")
    outcome = cli("resume", "run.checkpoint", "--inputs", "nowhere")
    assert (outcome.code, "--inputs is 'nowhere'" in outcome.err) == (2, True)


def test_two_runs_with_inputs_from_elsewhere_do_not_mix_them_up(folder, cli, interrupt_at, monkeypatch):
    short = ("--precision", "fp32", "--coarse-iterations", "0", "--coarse-network", "none")
    for name, checkpoint in (("photo.jpg", "run.1"), ("painting.png", "run.2")):
        data = Path(name).read_bytes()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
        interrupt_at(2)
        assert (
            cli(
                "stylize", "-", "painting.png", *LONG, *short, "-o", f"{checkpoint}.png", "--checkpoint", checkpoint
            ).code
            == 130
        )
    interrupt_at(0)
    assert cli("resume", "run.1").code == cli("resume", "run.2").code == 0


def test_a_run_that_fails_before_it_was_ever_kept_leaves_nothing_beside_its_checkpoint(stylize, folder, monkeypatch):
    monkeypatch.setattr("impasto.cli.running._watched", killed)
    monkeypatch.setattr("impasto.cli.preflight.file_of", lambda name: Path(name).read_bytes())
    with pytest.raises(SystemExit):
        stylize("-o", "out.png", "--checkpoint", "run.checkpoint", *LONG)
    assert [path.name for path in folder.iterdir() if "checkpoint" in path.name] == []


def test_the_newest_checkpoint_that_is_sound_is_taken(whole, broken_off, cli):
    broken_off("--checkpoint", "run.checkpoint")
    older = checkpoints.folder() / "older-00000000.checkpoint"
    older.parent.mkdir(parents=True, exist_ok=True)
    shutil.move("run.checkpoint", older)
    (checkpoints.folder() / "newer-00000000.checkpoint").write_bytes(b"nothing of ours")
    os.utime(older, (0, 0))
    assert cli("resume").code == 0
    assert Path("out.png").read_bytes() == whole
    assert "is no checkpoint" in cli("resume").err
