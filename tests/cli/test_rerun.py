"""A picture made again from the settings in it: the same bytes, or one thing changed."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from impasto.image.deep import encode_deep
from impasto.image.metadata import Metadata

NAMES = ("png", "jpg", "webp", "avif", "tiff", "gif")


def same(one: str | Path, other: str | Path) -> bool:
    return Path(one).read_bytes() == Path(other).read_bytes()


def blank_with_settings_of(path: str, target: Path) -> Path:
    """A PNG of one pixel that has nothing of ``path`` but its settings."""
    with Image.open(path) as image:
        text = image.info["impasto"]
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", text)
    Image.new("L", (1, 1)).save(target, pnginfo=info)
    return target


@pytest.mark.parametrize("extension", NAMES)
def test_the_same_bytes_come_out_again(extension, stylize, cli, folder):
    assert stylize("-o", f"out.{extension}").code == 0
    outcome = cli("rerun", f"out.{extension}")
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip() == {"tiff": "out_rerun.tif"}.get(extension, f"out_rerun.{extension}")
    assert same(f"out.{extension}", outcome.out.strip())
    assert "may not come out the same" not in outcome.err


def test_a_blank_picture_with_the_settings_is_enough(stylize, cli, folder, tmp_path):
    assert stylize("-o", "out.png", "--color", "content", "--init", "noise", "--seed", "7").code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    blank = blank_with_settings_of("out.png", elsewhere / "blank.png")
    (folder / "photo.jpg").rename(folder / "renamed.jpg")
    outcome = cli("rerun", str(blank), "--inputs", str(folder), "-o", str(elsewhere / "again.png"))
    assert outcome.code == 0, outcome.err
    assert same("out.png", elsewhere / "again.png")


@pytest.mark.parametrize(
    "words",
    [
        ("--optimizer", "adam"),
        ("--color", "match", "--style-scale", "0.8"),
        ("--init", "start.png", "--quality", "70"),
        ("--size", "40x30", "--coarse-iterations", "2"),
        ("--network", "vgg19", "--threads", "2", "--pooling", "average"),
        ("--strength", "0"),
        ("--strength", "0.9", "--style-layers", "relu1_1=2,relu3_1", "--seed", "3"),
    ],
    ids=lambda words: words[0],
)
def test_whatever_the_options_were(words, stylize, cli, folder):
    shutil.copy("painting.png", "start.png")
    assert stylize("-o", "out.png", *words).code == 0
    outcome = cli("rerun", "out.png", "-o", "again.png")
    assert outcome.code == 0, outcome.err
    assert same("out.png", "again.png")


@pytest.mark.parametrize("command", ["rerun", "enlarge"])
def test_a_name_of_no_format_is_refused(command, stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    outcome = cli(command, "out.png", "-o", "again.heic")
    assert (outcome.code, outcome.err) == (
        2,
        "impasto: 'again.heic' has the extension '.heic'. HEIC can be read, but not written. Use one of"
        " .png, .jpg, .jpeg, .webp, .avif, .tif, .tiff, .gif.\n",
    )
    assert not (folder / "again.heic").exists()


@pytest.mark.parametrize("extension", ["png", "tiff", "webp"])
def test_transparency_profile_and_depth_come_out_again(extension, stylize, cli, folder):
    values = np.random.default_rng(0).integers(0, 65536, (48, 64, 3), dtype=np.uint16)
    alpha = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode_deep(values, alpha, "PNG", profile=profile, metadata=Metadata(), settings=None)
    Path("photo.jpg").write_bytes(data)  # whatever it is called
    assert stylize("-o", f"out.{extension}").code == 0
    assert cli("rerun", f"out.{extension}", "-o", f"again.{extension}").code == 0
    assert same(f"out.{extension}", f"again.{extension}")


def test_an_extra_that_is_missing_is_said(stylize, cli, folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("impasto.record._installed", lambda name: "3.0")
        assert stylize("-o", "out.png").code == 0
    monkeypatch.setattr("impasto.record._installed", lambda name: "none")
    outcome = cli("rerun", "out.png", "-o", "again.png")
    assert "may not come out the same: pyvips was 3.0 and is none" in outcome.err


@pytest.mark.parametrize("name", ["noise", "content"])
def test_a_start_whose_file_is_called_like_a_choice(name, stylize, cli, folder):
    shutil.copy("painting.png", name)
    assert stylize("-o", "out.png", "--init", f"./{name}").code == 0
    assert cli("rerun", "out.png", "-o", "again.png").code == 0
    assert same("out.png", "again.png")
    assert cli("rerun", "out.png", "--set", "init=style", "-o", "other.png").code == 0
    assert json.loads(cli("inspect", "other.png", "--json").out)["style"]["init"] == "style"


def test_a_picture_above_the_usual_limit_is_made_again(stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    assert "more than the 1,000 allowed" in stylize("-o", "no.png", "--max-pixels", "1000").err
    assert "more than the 1,000 allowed" in cli("rerun", "out.png", "--set", "max_pixels=1000").err
    assert cli("rerun", "out.png", "-o", "again.png").code == 0
    assert same("out.png", "again.png")


def test_threads_that_are_not_there_are_not_used(stylize, cli, folder, monkeypatch):
    assert stylize("-o", "out.png", "--threads", "2").code == 0
    monkeypatch.setattr("impasto.device.usable_cores", lambda: 1)
    outcome = cli("rerun", "out.png", "-o", "again.png")
    assert "threads was 2 and is 1" in outcome.err


def test_a_picture_from_a_pipe_is_made_again(stylize, cli, folder, monkeypatch):
    assert stylize("-o", "out.png").code == 0
    stream = SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(Path("out.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    outcome = cli("rerun", "-")
    assert outcome.out == "stdin_rerun.png\n", outcome.err
    assert same("out.png", "stdin_rerun.png")


def test_a_run_that_ended_early_is_repeated_as_far_as_it_went(stylize, cli, folder, monkeypatch):
    from impasto.cli import running

    def only_two(steps, *_):
        yield next(steps)
        yield next(steps)

    with monkeypatch.context() as patch:
        patch.setattr(running, "_until_interrupted", only_two)
        assert stylize("-o", "out.png").code == 0
    assert cli("rerun", "out.png", "-o", "again.png").code == 0
    assert same("out.png", "again.png")
    assert json.loads(cli("inspect", "out.png", "--json").out)["levels"][0]["iterations"] == 2


def test_one_thing_can_be_changed(stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    outcome = cli("rerun", "out.png", "--set", "strength=0.9", "--set", "num-iterations=2", "-o", "other.png")
    assert outcome.code == 0, outcome.err
    settings = json.loads(cli("inspect", "other.png", "--json").out)
    assert (settings["style"]["strength"], settings["levels"][-1]["iterations"]) == (0.9, 2)
    assert stylize("--strength", "0.9", "--num-iterations", "2", "-o", "direct.png").code == 0
    assert same("other.png", "direct.png")


def test_a_changed_size_is_planned_anew(stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    assert cli("rerun", "out.png", "--set", "size=48", "-o", "other.webp").code == 0
    with Image.open("other.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (48, 36))


def test_versions_that_differ_are_said(stylize, cli, folder, monkeypatch):
    assert stylize("-o", "out.png").code == 0
    monkeypatch.setattr("impasto.record.environment", lambda device: {"torch": "9.9"})
    outcome = cli("rerun", "out.png", "-o", "again.png")
    assert outcome.code == 0
    assert "The picture may not come out the same: torch was" in outcome.err
    assert "and is 9.9" in outcome.err


def test_other_weights_are_said(stylize, cli, folder, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    assert stylize("-o", "out.png").code == 0
    path = tmp_path / "cache" / "weights" / "vgg19.safetensors"
    save_file({name: tensor + torch.finfo(tensor.dtype).eps for name, tensor in load_file(path).items()}, path)
    outcome = cli("rerun", "out.png", "-o", "again.png")
    assert "The picture may not come out the same: weights of vgg19 was" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("photo.jpg",), "'photo.jpg' has no settings in it"),
        (("nothing.png",), "There is no file 'nothing.png'"),
        (("out.png", "--set", "strenth=1"), "there is no option 'strenth'. Did you mean 'strength'?"),
        (("out.png", "--set", "strength"), "expected NAME=VALUE"),
        (("out.png", "--set", "strength=2"), "--strength is '2': expected a number from 0 to 1."),
        (("out.png", "-o", "out.png"), "'out.png' exists already: add -y"),
        (("out.png", "-o", "photo.jpg", "-y"), "'photo.jpg' is one of the inputs"),
    ],
)
def test_what_cannot_be_is_said(words, message, stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    outcome = cli("rerun", *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_an_input_that_is_not_there_is_named(stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    with Path("painting.png").open("ab") as file:
        file.write(b"changed")
    assert "--inputs is 'nowhere', and there is no such folder" in cli("rerun", "out.png", "--inputs", "nowhere").err
    outcome = cli("rerun", "out.png", "--inputs", ".")
    assert outcome.code == 2
    assert "The style 'painting.png' (SHA-256" in outcome.err
    assert "--inputs" in outcome.err


def test_a_network_that_is_unknown_here_is_said(stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    with Image.open("out.png") as image:
        text = image.info["impasto"].replace('"network":"vgg19"', '"network":"vgg20"')
        info = PngImagePlugin.PngInfo()
        info.add_itxt("impasto", text)
        image.save("later.png", pnginfo=info)
    outcome = cli("rerun", "later.png", "-o", "again.png")
    assert outcome.code == 2
    assert "There is no network 'vgg20'. Did you mean 'vgg19'?" in outcome.err


def test_inspect_prints_what_decided_the_picture(stylize, cli, folder):
    assert stylize("-o", "out.png", "--strength", "0.7").code == 0
    shown = cli("inspect", "out.png")
    assert shown.code == 0
    for line in (
        "name: photo.jpg",
        "strength: 0.7",
        "size: 32 x 24",
        "32 x 24, painting 32 x 32: 3 evaluations of vgg19",
    ):
        assert any(" ".join(found.split()) == line for found in shown.out.splitlines()), line
    settings = json.loads(cli("inspect", "out.png", "--json").out)
    assert settings["style"]["strength"] == 0.7
    assert set(settings["inputs"]) == {"content", "style"}


def test_inspect_sends_no_commands_to_the_terminal(stylize, cli, folder):
    assert stylize("-o", "out.png").code == 0
    with Image.open("out.png") as image:
        text = image.info["impasto"].replace("photo.jpg", "\\u001b]0;owned\\u0007\\u009b\\u202e.jpg")
        info = PngImagePlugin.PngInfo()
        info.add_itxt("impasto", text)
        image.save("hostile.png", pnginfo=info)
    Path("photo.jpg").unlink()
    for words in (("inspect", "hostile.png"), ("inspect", "hostile.png", "--json"), ("rerun", "hostile.png")):
        outcome = cli(*words)
        assert "owned" in outcome.out + outcome.err
        assert not any(letter in outcome.out + outcome.err for letter in "\x1b\x9b\u202e")


def test_inspect_does_not_import_torch(folder, stylize):
    import subprocess
    import sys

    assert stylize("-o", "out.png").code == 0
    code = (
        "import sys; from impasto.cli.app import run; code = run(['inspect', 'out.png']);"
        " print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
