"""Careless command lines: each ends with a sentence that names the mistake, and with exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

BAD_PICTURES = {
    "missing.jpg": "There is no file 'missing.jpg'",
    "phot.jpg": "Did you mean 'photo.jpg'?",
    "nowhere/photo.jpg": "nor a folder 'nowhere'",
    "folder": "'folder' is a folder",
    "text.jpg": "'text.jpg' is not a JPEG or PNG picture",
    "empty.jpg": "'empty.jpg' is empty",
    "truncated.jpg": "'truncated.jpg' is damaged",
    "header.png": "'header.png' is",
    "picture.gif": "'picture.gif' is not a JPEG or PNG picture",
    "x" * 300 + ".jpg": "cannot be looked at (File name too long)",
}

BAD_WORDS: dict[str, tuple[str, ...]] = {
    "There is no folder 'nowhere'": ("-o", "nowhere/out.png"),
    "'folder.png' is a folder": ("-o", "folder.png"),
    "'out.tiff' has the extension '.tiff'": ("-o", "out.tiff"),
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
    "--network is 'vgg18'. Did you mean 'vgg19'? Choose from auto, vgg19.": ("--network", "vgg18"),
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
    Image.new("RGB", (64, 64)).save(folder / "picture.gif")
    return folder


@pytest.mark.parametrize("name", BAD_PICTURES, ids=lambda name: name[:20])
@pytest.mark.parametrize("role", ["content", "style"])
def test_bad_pictures(cli, bad_folder, name, role):
    words = (name, "painting.png") if role == "content" else ("photo.jpg", name)
    outcome = cli("stylize", *words)
    assert outcome.code == 2
    assert BAD_PICTURES[name] in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("message", BAD_WORDS)
def test_bad_words(cli, bad_folder, message):
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
