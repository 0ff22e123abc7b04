"""Where the result goes, in which format, what else is written, and when it has to be ready."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from impasto.cli import running
from impasto.cli.app import run
from impasto.estimate import Cost
from impasto.image.formats import FORMATS
from impasto.networks import NETWORKS
from impasto.result import Result


class Stream(io.TextIOWrapper):
    """A stream of text over bytes that can be looked at; a terminal only if told so."""

    def __init__(self, data: bytes = b"", *, terminal: bool = False) -> None:
        self.bytes = io.BytesIO(data)
        self.terminal = terminal
        super().__init__(self.bytes)

    def isatty(self) -> bool:
        return self.terminal


def written(path: str | io.BytesIO) -> tuple[str | None, tuple[int, int]]:
    with Image.open(path) as picture:
        return picture.format, picture.size


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_the_format_goes_by_the_extension_or_by_name(format, stylize, folder):
    for extension in format.extensions:
        assert stylize("-o", f"out{extension}").code == 0
        assert written(f"out{extension}") == (format.name, (32, 24))
    assert stylize("--format", format.key).out == f"photo_painting{format.extensions[0]}\n"
    assert stylize("-o", "noextension", "--format", format.key).code == 0
    assert written("noextension") == (format.name, (32, 24))


def test_a_name_that_another_run_takes_meanwhile_is_left_to_it(stylize, folder, monkeypatch):
    save, names = Result.save, []

    def late(self, path, **options):
        if not names:
            Path(path).write_bytes(b"of another run")
        names.append(Path(path).name)
        return save(self, path, **options)

    monkeypatch.setattr(Result, "save", late)
    assert stylize().out == "photo_painting_2.png\n"
    assert names == ["photo_painting.png", "photo_painting_2.png"]
    assert Path("photo_painting.png").read_bytes() == b"of another run"


def test_an_extension_and_another_format_are_refused(stylize, folder):
    outcome = stylize("-o", "out.png", "--format", "webp")
    assert (outcome.code, "out.png" in outcome.err, Path("out.png").exists()) == (2, True, False)
    assert stylize("-o", "out.jpg", "--format", "jpg").code == 0


@pytest.mark.parametrize("extension", ["jpg", "webp", "avif"])
def test_quality_decides_the_length(extension, stylize, folder):
    for quality in (10, 99):
        assert stylize("-o", f"{quality}.{extension}", "--quality", str(quality), "--no-metadata").code == 0
    assert Path(f"99.{extension}").stat().st_size > 1.2 * Path(f"10.{extension}").stat().st_size


@pytest.mark.parametrize("extension", ["png", "tiff", "gif"])
def test_a_quality_that_changes_nothing_is_said(extension, stylize, folder):
    outcome = stylize("-o", f"out.{extension}", "--quality", "50")
    assert outcome.code == 0
    assert "--quality changes nothing in" in outcome.err


def test_a_picture_too_large_for_its_format_is_refused_beforehand(stylize, folder):
    outcome = stylize("--size", "20000x16", "-o", "out.webp")
    assert outcome.code == 2
    assert "16,383 pixels a side" in outcome.err


def test_what_a_link_points_to_is_written(stylize, folder):
    Path("real.png").write_bytes(b"old")
    Path("link.png").symlink_to("real.png")
    assert stylize("-o", "link.png", "-y").code == 0
    assert Path("link.png").is_symlink()
    assert written("real.png") == ("PNG", (32, 24))


def test_a_name_that_is_no_unicode_is_printed_as_it_is(folder):
    name = b"out\xff.png"
    words = ["stylize", "photo.jpg", "painting.png", "-o", os.fsdecode(name), *SHORT]
    stream = Stream()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert run(words) == 0
    assert stream.bytes.getvalue() == name + b"\n"


def test_webp_of_quality_100_loses_nothing(stylize, folder):
    assert stylize("-o", "a.webp", "--quality", "100").code == 0
    assert stylize("-o", "a.png").code == 0
    with Image.open("a.webp") as one, Image.open("a.png") as other:
        assert one.convert("RGB").tobytes() == other.tobytes()


SHORT = ("--size", "32", "--num-iterations", "2", "--coarse-iterations", "0")


def test_the_picture_goes_to_standard_output(folder, monkeypatch):
    before, stream = set(folder.iterdir()), Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    assert run(["stylize", "photo.jpg", "painting.png", "-o", "-", "--format", "webp", *SHORT]) == 0
    assert written(io.BytesIO(stream.bytes.getvalue())) == ("WEBP", (32, 24))
    assert set(folder.iterdir()) == before


def test_a_terminal_gets_no_picture(folder, monkeypatch):
    stream = Stream(terminal=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert run(["stylize", "photo.jpg", "painting.png", "-o", "-", *SHORT]) == 2
    assert stream.bytes.getvalue() == b""


@pytest.mark.parametrize("role", ["content", "style"])
def test_a_picture_comes_from_standard_input(role, cli, folder, monkeypatch):
    names = {"content": "photo.jpg", "style": "painting.png"}
    monkeypatch.setattr(sys, "stdin", Stream(Path(names[role]).read_bytes()))
    outcome = cli("stylize", *("-" if name == role else names[name] for name in names), *SHORT)
    assert outcome.code == 0, outcome.err
    assert outcome.out == {"content": "stdin_painting.png\n", "style": "photo_stdin.png\n"}[role]
    # It is found again by what is in it.
    again = cli("rerun", outcome.out.strip(), "-o", "again.png")
    assert again.code == 0, again.err
    assert Path("again.png").read_bytes() == Path(outcome.out.strip()).read_bytes()


def test_a_default_name_that_another_run_takes_meanwhile_gives_way(stylize, folder, monkeypatch):
    original = running._compute

    def slow(*arguments):
        result = original(*arguments)
        Path("photo_painting.png").write_bytes(b"theirs")
        return result

    monkeypatch.setattr(running, "_compute", slow)
    assert stylize().out == "photo_painting_2.png\n"
    assert Path("photo_painting.png").read_bytes() == b"theirs"
    assert written("photo_painting_2.png") == ("PNG", (32, 24))


def test_no_metadata_leaves_nothing_but_the_picture(stylize, cli, folder):
    with Image.open("photo.jpg") as photo:
        exif = Image.Exif()
        exif[0x8298] = "(c) someone"
        photo.save("photo.jpg", exif=exif)
    assert stylize("-o", "kept.jpg").code == 0
    assert stylize("-o", "bare.jpg", "--no-metadata").code == 0
    assert b"(c) someone" in Path("kept.jpg").read_bytes()
    bare = Path("bare.jpg").read_bytes()
    assert b"someone" not in bare
    assert b"impasto" not in bare
    assert cli("inspect", "bare.jpg").code == 2
    with Image.open("kept.jpg") as kept, Image.open("bare.jpg") as picture:
        assert kept.tobytes() == picture.tobytes()


@pytest.mark.parametrize("extension", ["gif", "webp"])
def test_the_picture_coming_into_being_is_kept(extension, stylize, folder):
    outcome = stylize("-o", "out.png", "--animate", f"growing.{extension}")
    assert outcome.code == 0, outcome.err
    assert outcome.out == "out.png\n"
    assert f"'growing.{extension}'" in outcome.err
    with Image.open(f"growing.{extension}") as animation:
        assert animation.n_frames > 2
        assert animation.size == (32, 24)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--animate", "growing.avi"), 2, "growing.avi"),
        (("--animate", "nowhere/growing.gif"), 2, "There is no folder 'nowhere'"),
        (("--animate", "there.gif"), 2, "'there.gif' exists already"),
        (("--animate", "out.gif", "-o", "out.gif"), 2, "'out.gif' is the result as well"),
        (("--animate", "growing.mp4"), 3, "pip install 'impasto[video]'"),
    ],
)
def test_an_animation_that_cannot_be_is_refused_beforehand(words, code, message, stylize, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    Path("there.gif").write_bytes(b"mine")
    before = set(folder.iterdir())
    outcome = stylize("-o", "out.png", *words) if "-o" not in words else stylize(*words)
    assert outcome.code == code
    assert message in outcome.err
    assert set(folder.iterdir()) == before
    assert Path("there.gif").read_bytes() == b"mine"


@pytest.mark.parametrize("error", [MemoryError("no room"), KeyboardInterrupt(), OSError("disk")])
def test_an_animation_that_fails_does_not_cost_the_picture(error, stylize, folder, monkeypatch):
    def fail(self, format):
        raise error

    monkeypatch.setattr("impasto.animation.Recorder.encode", fail)
    outcome = stylize("-o", "out.png", "--animate", "growing.gif")
    assert (outcome.code, outcome.out) == (0, "out.png\n")
    assert written("out.png") == ("PNG", (32, 24))
    assert "animation" in outcome.err
    assert not Path("growing.gif").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_standard_output_does_not_cost_the_picture(folder, capfd, monkeypatch):
    with Path("/dev/full").open("wb") as full:
        stream = SimpleNamespace(isatty=lambda: False, buffer=full, flush=lambda: None, fileno=lambda: full.fileno())
        monkeypatch.setattr(sys, "stdout", stream)
        assert run(["stylize", "photo.jpg", "painting.png", "-o", "-", *SHORT]) == 1
    said = capfd.readouterr().err
    assert "Standard output cannot be written" in said
    refuge = Path(said.split("The picture is in '")[1].split("'")[0])
    assert written(refuge) == ("PNG", (32, 24))
    refuge.unlink()
    refuge.parent.rmdir()


def test_standard_output_that_is_closed_is_told_beforehand(stylize, monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", None)
    outcome = stylize("-o", "-")
    assert (outcome.code, "which is closed" in outcome.err) == (2, True)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when an evaluation is done: one second each."""
    time = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(running.time, "monotonic", lambda: time.seconds)
    monkeypatch.setattr(
        "impasto.estimate.measure_cost",
        lambda transfer: Cost(dict.fromkeys(NETWORKS, 1.0), dict.fromkeys(NETWORKS, 0.0)),
    )
    original = running._watched

    def watched(*arguments):
        for step in original(*arguments):
            time.seconds += time.each
            yield step

    time.each = 1.0
    monkeypatch.setattr(running, "_watched", watched)
    return time


def evaluations(cli, name: str) -> list[int]:
    import json

    return [level["iterations"] for level in json.loads(cli("inspect", name, "--json").out)["levels"]]


def test_a_time_decides_the_evaluations(cli, folder, clock):
    for seconds in (40, 20):
        name = f"{seconds}.png"
        assert (
            cli("stylize", "photo.jpg", "painting.png", "--size", "32", "--time", f"{seconds}s", "-o", name).code == 0
        )
        # The last half second is kept for writing the picture.
        assert sum(evaluations(cli, name)) == seconds - 1


def test_a_run_that_is_slower_than_thought_ends_in_time_with_a_picture(cli, folder, clock):
    clock.each = 4.0
    outcome = cli("stylize", "photo.jpg", "painting.png", "--size", "32", "--time", "40s", "-o", "out.png")
    assert outcome.code == 0
    assert outcome.out == "out.png\n"
    assert sum(evaluations(cli, "out.png")) == 9


@pytest.mark.parametrize("time", ["0", "-3s", "soon", "10 parsecs", "nan"])
def test_a_time_that_is_none_is_refused(time, stylize):
    outcome = stylize(f"--time={time}")
    assert outcome.code == 2
    assert "--time is" in outcome.err


def test_a_pyramid_is_written_and_made_again(stylize, cli, folder):
    pytest.importorskip("pyvips", reason="pyramids need the extra large")
    assert stylize("-o", "out.tif", "--pyramid").code == 0
    assert cli("rerun", "out.tif", "-o", "again.tif").code == 0
    assert Path("out.tif").read_bytes() == Path("again.tif").read_bytes()
    outcome = stylize("-o", "out.png", "--pyramid")
    assert (outcome.code, "--pyramid changes nothing in PNG" in outcome.err) == (0, True)


def test_a_pyramid_without_libvips_is_refused_before_the_run(stylize, monkeypatch):
    monkeypatch.setattr("impasto.image.giant.has_pyvips", lambda: False)
    outcome = stylize("-o", "out.tif", "--pyramid")
    assert (outcome.code, "impasto[large]" in outcome.err) == (3, True)
