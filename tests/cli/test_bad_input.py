"""Careless command lines: each ends with a sentence that names the mistake, and with exit code 2."""

from __future__ import annotations

import functools
import io
import os
import random
import struct
import sys
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image, ImageFile

KNOWN = "is not a JPEG, PNG, WebP, AVIF, TIFF, GIF or HEIC picture"

BAD_PICTURES = {
    "missing.jpg": "There is no file 'missing.jpg'",
    "phot.jpg": "Did you mean 'photo.jpg'?",
    "nowhere/photo.jpg": "nor a folder 'nowhere'",
    "folder": "'folder' is a folder",
    "text.jpg": f"'text.jpg' {KNOWN}",
    "text.png": f"'text.png' {KNOWN}",
    "drawing.svg": f"'drawing.svg' {KNOWN}",
    "picture.bmp": f"'picture.bmp' {KNOWN}",
    "empty.jpg": "'empty.jpg' is empty",
    "truncated.jpg": "'truncated.jpg' is damaged",
    "header.png": "'header.png' is",
    "float.tif": "'float.tif' has 32 bits a channel",
    "huge.png": "'huge.png' has 30000 x 30000 pixels, more than the 178,000,000 allowed: reduce it first",
    "bomb.png": "'bomb.png' claims 10000 x 10000 pixels in 29",
    "http://example.org/photo.jpg": "'http://example.org/photo.jpg' is an address on the network",
    "https://example.org/photo.jpg?size=large": "is an address on the network",
    "file:///home/me/photo.jpg": "is an address on the network",
    "s3://bucket/photo.jpg": "is an address on the network",
    "data:image/png;base64,iVBORw0KGgo=": "is an address on the network",
    r"C:\photos\photo.jpg": r"There is no file 'C:\photos\photo.jpg'",
    "C:/photos/photo.jpg": "There is no file 'C:/photos/photo.jpg'",
    r"\\server\photos\photo.jpg": "There is no file",
    "~nobody-at-all/photo.jpg": "names a home folder that is not there",
    "x" * 300 + ".jpg": "cannot be looked at (File name too long)",
}

BAD_WORDS: dict[str, tuple[str, ...]] = {
    "There is no folder 'nowhere'": ("-o", "nowhere/out.png"),
    "'folder.png' is a folder": ("-o", "folder.png"),
    "'out.bmp' has the extension '.bmp'": ("-o", "out.bmp"),
    "Use one of .png, .jpg, .jpeg, .webp, .avif, .tif, .tiff, .gif, or give --format.": ("-o", "out.xyz"),
    "HEIC can be read, but not written.": ("-o", "out.heic"),
    "'s3://bucket/out.png' is an address on the network": ("-o", "s3://bucket/out.png"),
    "'pipe.png' is a device or a pipe": ("-o", "pipe.png", "-y"),
    "--format is 'ngp'. Did you mean 'png'? Choose from png, jpeg, webp, avif, tiff, gif.": ("--format", "ngp"),
    "--format is 'heic'. Choose from png, jpeg, webp, avif, tiff, gif.": ("--format", "heic"),
    "--format is ''.": ("--format", ""),
    "--quality is '0': expected a whole number from 1 to 100.": ("--quality", "0"),
    "--quality is '101': expected a whole number from 1 to 100.": ("--quality", "101"),
    "--quality is 'high': expected a whole number from 1 to 100.": ("--quality", "high"),
    "--max-pixels is '0': expected a whole number from 1": ("--max-pixels", "0"),
    "'photo.jpg' has 64 x 48 pixels, more than the 3,071 allowed": ("--max-pixels", "3071"),
    "'http://example.org/a.png' is an address on the network": ("--init", "http://example.org/a.png"),
    "--checkpoint is '': a file name is empty": ("--checkpoint", ""),
    "--animate is '': a file name is empty": ("--animate", ""),
    "--weights is '': a file name is empty": ("--weights", ""),
    "'~nobody-here/x' names a home folder that is not there": ("--checkpoint", "~nobody-here/x"),
    "'~nobody-here/x.gif' names a home folder that is not there": ("--animate", "~nobody-here/x.gif"),
    "'pipe.png' is a device or a pipe: give --checkpoint the name of a file.": ("--checkpoint", "pipe.png", "-y"),
    "which is another file and would be lost: choose another name.": ("--checkpoint", "look.toml", "-y"),
    "Too many levels of symbolic links": ("--checkpoint", "circle", "-y"),
    "'circle.gif' cannot be written (Too many levels": ("--animate", "circle.gif", "-y"),
    "Did you mean '.png'?": ("-o", "out.pngg"),
    "'out' has no extension": ("-o", "out"),
    "File name too long": ("-o", "x" * 300 + ".png"),
    "is too long: choose a shorter -o.": ("-o", "x" * 245 + ".png"),
    "--size is '8': each side has to be from 16 to 65500 pixels.": ("--size", "8"),
    "--size is 'big': expected the long side in pixels (512)": ("--size", "big"),
    "the short side has to have 16 pixels at least. Use --size": ("--size", "17"),
    "--strength is '2': expected a number from 0 to 1.": ("--strength", "2"),
    "--strength is 'nan': expected a number from 0 to 1.": ("--strength", "nan"),
    "--strength is '-1': expected a number from 0 to 1.": ("--strength", "-1"),
    "--content-weight is '-1': expected a number, 0 or more.": ("--content-weight", "-1"),
    "--style-weight is 'inf': expected a number, 0 or more.": ("--style-weight", "inf"),
    "--tv-weight is 'much': expected a number, 0 or more.": ("--tv-weight", "much"),
    "All weights are 0": ("--content-weight=0", "--style-weight=0", "--tv-weight=0"),
    "--style-scale is '0': expected a number from 0.1 to 10.": ("--style-scale", "0"),
    "--learning-rate is '0': expected a number above 0, up to 1.": ("--learning-rate", "0"),
    "--num-iterations is '0': expected a whole number from 1 to 1,000,000.": ("--num-iterations", "0"),
    "--num-iterations is '1.5': expected a whole number": ("--num-iterations", "1.5"),
    "--coarse-iterations has '-1': expected a number, 0 or more.": ("--coarse-iterations", "2,-1"),
    "--history is '0': expected a whole number from 1 to 1,000.": ("--history", "0"),
    "--seed is '-1': expected a whole number from 0 to 2^63 - 1.": ("--seed", "-1"),
    "--threads is 'all': expected a whole number from 1 to 1,024.": ("--threads", "all"),
    "--save-every is '0': expected a whole number, 1 or more.": ("--save-every", "0"),
    "--style-layers is '': expected at least one layer": ("--style-layers", ""),
    "--style-layers is 'relu1_1=0': expected at least one layer": ("--style-layers", "relu1_1=0"),
    "--style-layers has 'x' for relu1_1: expected a number.": ("--style-layers", "relu1_1=x"),
    "vgg19 has no layer 'rleu4_2'. Did you mean 'relu4_2'?": ("--content-layers", "rleu4_2"),
    "--network is 'vgg18'. Did you mean 'vgg19'? Choose from auto, vgg19, vgg19-torchvision, compact.": (
        "--network",
        "vgg18",
    ),
    "There is no preset 'fin'. Did you mean 'fine'?": ("--preset", "fin"),
    "--optimizer is 'lbgfs'. Did you mean 'lbfgs'? Choose from lbfgs, adam.": ("--optimizer", "lbgfs"),
    "--pooling is 'mean'. Choose from max, average.": ("--pooling", "mean"),
    "--padding is 'reflct'. Did you mean 'reflect'?": ("--padding", "reflct"),
    "--normalization is 'clasic'. Did you mean 'classic'?": ("--normalization", "clasic"),
    "--device is 'cdua'. Did you mean 'cuda'?": ("--device", "cdua"),
    "--precision is 'fp23'. Did you mean 'fp32'?": ("--precision", "fp23"),
    "--progress is 'jsn'. Did you mean 'json'?": ("--progress", "jsn"),
    "--init is 'noisy'. Did you mean 'noise'?": ("--init", "noisy"),
    "--init is 'folder'. Choose from content, style, noise, or give a picture.": ("--init", "folder"),
    "No such option: --strenght. Did you mean '--strength'?": ("--strenght", "1"),
    "Option '--size' requires an argument.": ("--size",),
    "The output goes after -o.": ("out.png",),
}


@pytest.fixture
def bad_folder(folder: Path) -> Path:
    """The folder of the other tests with everything in it that is not a picture."""
    (folder / "folder").mkdir()
    (folder / "folder.png").mkdir()
    (folder / "text.jpg").write_text("This is not a picture.")
    (folder / "empty.jpg").touch()
    data = (folder / "photo.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) * 2 // 3])
    (folder / "header.png").write_bytes((folder / "painting.png").read_bytes()[:20])
    (folder / "text.png").write_text("This is not a picture either.")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>')
    Image.new("RGB", (64, 64)).save(folder / "picture.bmp")
    Image.new("F", (64, 64)).save(folder / "float.tif")
    (folder / "huge.png").write_bytes(black_png(30_000))
    (folder / "bomb.png").write_bytes(black_png(10_000))
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    (folder / "look.toml").write_text("strength = 0.5")
    for name in ("circle", "circle.gif"):
        with suppress(OSError):  # as Windows has it for most people
            (folder / name).symlink_to(name)
    return folder


@functools.cache
def black_png(side: int) -> bytes:
    """A square of zeros, in less than a megabyte: a byte of the file for a thousand of memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    stream, channels = zlib.compressobj(9), 1 if side > 20_000 else 3
    pixels = b"".join(stream.compress(bytes(1 + channels * side)) for _ in range(side)) + stream.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, channels - 1, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", BAD_PICTURES, ids=lambda name: name[:20])
@pytest.mark.parametrize("role", ["content", "style"])
def test_bad_pictures(cli, bad_folder, name, role):
    words = (name, "painting.png") if role == "content" else ("photo.jpg", name)
    outcome = cli("stylize", *words)
    assert outcome.code == 2
    assert BAD_PICTURES[name] in outcome.err
    assert outcome.err.startswith("impasto: ")
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


@pytest.mark.parametrize("message", BAD_WORDS)
def test_bad_words(cli, bad_folder, message):
    if "pipe" in message and not (bad_folder / "pipe.png").exists():
        pytest.skip("there are no pipes with a name on this system")
    before = set(bad_folder.iterdir())
    outcome = cli("stylize", "photo.jpg", "painting.png", *BAD_WORDS[message])
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("impasto: ")
    assert outcome.out == ""
    assert set(bad_folder.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stylise", "photo.jpg", "painting.png"), "Did you mean 'stylize'? See 'impasto --help'."),
        (("photo.jpg", "painting.png"), "Did you mean 'impasto stylize photo.jpg painting.png'?"),
        (("stylize",), "Missing argument 'CONTENT'."),
        (("stylize", "photo.jpg"), "Missing argument 'STYLE'. See 'impasto stylize --help'."),
        (("weights", "imprt"), "Did you mean 'import'?"),
        (("weights", "import"), "Missing argument 'FILE'"),
        (("demo", "--style", "mosaik"), "--style is 'mosaik'. Did you mean 'mosaic'?"),
        (("--versoin",), "Did you mean '--version'?"),
    ],
)
def test_bad_commands(cli, folder, words, message):
    outcome = cli(*words)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_painting_too_narrow(cli, folder):
    Image.new("RGB", (600, 10)).save("narrow.png")
    outcome = cli("stylize", "photo.jpg", "narrow.png")
    assert outcome.code == 2
    assert "its short side has to have 16 at least" in outcome.err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write and read everything")
def test_files_without_permission(cli, folder):
    (folder / "closed").mkdir(mode=0o500)
    outcome = cli("stylize", "photo.jpg", "painting.png", "-o", "closed/out.png")
    assert (outcome.code, "Nothing may be written" in outcome.err) == (2, True)
    (folder / "photo.jpg").chmod(0)
    outcome = cli("stylize", "photo.jpg", "painting.png")
    assert (outcome.code, "may not be read" in outcome.err) == (2, True)


def test_a_full_disk(cli, folder, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    outcome = cli("stylize", "photo.jpg", "painting.png")
    assert outcome.code == 2
    assert "make room" in outcome.err


QUICK = ("--size", "32", "--num-iterations", "1", "--coarse-iterations", "0", "--precision", "fp32")


@pytest.mark.parametrize("name", ["huge.png", "bomb.png"])
def test_a_bomb_is_refused_before_memory_is_spent(cli, bad_folder, monkeypatch, name):
    assert (bad_folder / name).stat().st_size < 1_000_000
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self))
    tracemalloc.start()
    outcome = cli("stylize", name, "painting.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.code == 2
    assert decoded == []
    assert peak < 8e6


@pytest.fixture
def stdin(monkeypatch):
    """Call it with bytes: they come from standard input."""

    def send(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return send


BAD_STREAMS = {
    "nothing": (b"", "Nothing came from standard input: check the program before the |."),
    "text": (b"curl: (6) Could not resolve host", f"the picture that was given {KNOWN}"),
    "header": (b"\x89PNG\r\n\x1a\n", f"the picture that was given {KNOWN}"),
    "truncated": (None, "the picture that was given is damaged ("),
}


@pytest.mark.parametrize("kind", BAD_STREAMS)
@pytest.mark.parametrize("role", ["content", "style"])
def test_bad_pictures_from_standard_input(cli, folder, stdin, kind, role):
    data, message = BAD_STREAMS[kind]
    before = set(folder.iterdir())
    stdin((folder / "photo.jpg").read_bytes()[:-200] if data is None else data)
    outcome = cli("stylize", *(("-", "painting.png") if role == "content" else ("photo.jpg", "-")))
    assert outcome.code == 2
    assert message in outcome.err
    assert set(folder.iterdir()) == before


def test_standard_input_twice(cli, folder, stdin):
    stdin((folder / "photo.jpg").read_bytes())
    outcome = cli("stylize", "-", "-")
    assert (outcome.code, "Only one picture can come from standard input" in outcome.err) == (2, True)


@pytest.mark.parametrize("closed", [False, True])
def test_standard_input_that_nobody_writes_to(cli, folder, monkeypatch, closed):
    terminal = io.TextIOWrapper(io.BytesIO(b"x"))
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", None if closed else terminal)
    outcome = cli("stylize", "-", "painting.png")
    assert (outcome.code, "nothing sends one: give a file." in outcome.err) == (2, True)


def test_a_picture_from_standard_input(cli, folder, stdin):
    stdin((folder / "photo.jpg").read_bytes())
    outcome = cli("stylize", "-", "painting.png", *QUICK)
    assert (outcome.code, outcome.out) == (0, "stdin_painting.png\n")


@pytest.mark.parametrize(
    "name", ["photo.gif", "photo.tif", "photo.webp", "photo.avif", "mislabeled.jpg", "no extension"]
)
def test_pictures_of_all_formats_whatever_their_names(cli, folder, name):
    format = {"mislabeled.jpg": "PNG", "no extension": "TIFF"}.get(
        name, Image.registered_extensions().get(Path(name).suffix)
    )
    with Image.open("photo.jpg") as photo:
        photo.save(name, format)
    for words in ((name, "painting.png"), ("photo.jpg", name)):
        outcome = cli("stylize", *words, *QUICK, "-y", "-o", "out.png")
        assert (outcome.code, outcome.out) == (0, "out.png\n")


def test_heic_without_its_extra_is_told_with_the_command(cli, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    outcome = cli("stylize", "photo.heic", "painting.png")
    assert outcome.code == 3
    assert "'photo.heic' is HEIC, and reading it takes an extra: run\n    pip install 'impasto[heic]'\n" in outcome.err


def damaged(data: bytes, number: int) -> bytes:
    """The picture cut short, with bits flipped, or with another header, as ``number`` decides."""
    dice = random.Random(number)
    changed = bytearray(data)
    if number % 3 == 0:
        return data[: dice.randrange(1, len(data))]
    for _ in range(dice.choice((1, 5, 50))):
        changed[dice.randrange(len(changed) if number % 3 == 1 else 100)] ^= 1 << dice.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("number", range(36))
def test_damaged_pictures_are_painted_or_refused(cli, folder, number):
    name = ("photo.jpg", "painting.png")[number % 2]
    (folder / name).write_bytes(damaged((folder / name).read_bytes(), number))
    before = set(folder.iterdir())
    outcome = cli("stylize", "photo.jpg", "painting.png", *QUICK, "-o", "out.png")
    if outcome.code == 0:
        assert set(folder.iterdir()) == before | {folder / "out.png"}
        return
    assert outcome.code == 2
    assert outcome.err.startswith(f"impasto: '{name}' ")
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
    assert set(folder.iterdir()) == before


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_a_name_that_is_no_unicode(cli, folder):
    name = os.fsdecode(b"caf\xe9.jpg")
    (folder / "photo.jpg").rename(name)
    outcome = cli("stylize", name, "painting.png", *QUICK)
    assert (outcome.code, outcome.out) == (0, "caf_painting.png\n")


@pytest.mark.parametrize(
    "name", ["Füße & Straße.jpg", "-photo.jpg", "a b\tc.jpg", "photo [1].jpg", "100%.jpg", "\U0001f3a8.jpg"]
)
def test_names_of_all_kinds(cli, folder, name):
    (folder / "photo.jpg").rename(folder / name)
    outcome = cli("stylize", *QUICK, "--", name, "painting.png")
    assert (outcome.code, outcome.out) == (0, f"{Path(name).stem}_painting.png\n")
