"""Figures of finished pictures: those of ``impasto.metrics``, of what people see, and never of another network."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

import impasto
from impasto.cli.figures import LABELS
from impasto.features import Extractor
from impasto.metrics import Figures, measure
from impasto.networks import NETWORKS, VGG19_TORCHVISION

from ..weights.conftest import write_keras
from .conftest import TINY, Cli, write_picture
from .test_weights import kept, published, server

__all__ = ["kept", "published", "server"]  # the fixtures


def of(cli: Cli, *arguments: str) -> list[dict[str, float]]:
    """The figures as a program reads them."""
    outcome = cli("evaluate", "photo.jpg", "painting.png", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_figures_are_those_of_the_library_with_zero_padding(cli, folder, kept, scale):
    write_picture(folder / "out.png", (64, 48), horizontal=True)
    (found,) = of(cli, "out.png", "--style-scale", str(scale))
    extractor = Extractor(TINY, load_file(kept), padding="zeros")
    pictures = [impasto.read_image(name) for name in ("out.png", "photo.jpg", "painting.png")]
    assert found == {"output": "out.png", **measure(extractor, *pictures, style_scale=scale).as_dict()}


def test_the_photo_and_the_painting_have_no_error_against_themselves(cli, folder):
    photo, painting = of(cli, "photo.jpg", "painting.png")
    assert (photo["output"], photo["content_error"], photo["ssim"]) == ("photo.jpg", 0, pytest.approx(1))
    assert (painting["output"], painting["style_error"], painting["color_cast"]) == ("painting.png", 0, 0)
    assert photo["style_error"] > 0
    assert painting["content_error"] > 0


def test_every_figure_has_a_name():
    assert list(LABELS) == list(Figures.__dataclass_fields__)


def test_a_few_pictures_have_a_column_each(cli, folder):
    found = of(cli, "photo.jpg", "painting.png")
    outcome = cli("evaluate", "photo.jpg", "painting.png", "photo.jpg", "painting.png")
    head, empty, names, *lines = outcome.out.splitlines()
    assert (outcome.code, empty) == (0, "")
    assert head == "Figures of vgg19: lower is nearer or cleaner; of SSIM, higher is nearer."
    assert names.split() == ["photo.jpg", "painting.png"]
    assert len(lines) == len(LABELS)
    for line, (key, label) in zip(lines, LABELS.items(), strict=True):
        assert line.startswith(f"{label} ")
        assert line.removeprefix(label).split() == [f"{figures[key]:.4f}" for figures in found]
    assert {len(line) for line in lines} == {len(names)}


def test_many_pictures_have_a_row_each(cli, folder):
    found = of(cli, "photo.jpg", "painting.png")
    names = ["photo.jpg"] * 4 + ["painting.png"]
    _, _, head, *lines = cli("evaluate", "photo.jpg", "painting.png", *names).out.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert head.split() == " ".join(LABELS.values()).split()
    assert lines[4].split()[1:] == [f"{found[1][key]:.4f}" for key in LABELS]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("phot.jpg", "There is no file 'phot.jpg'. Did you mean 'photo.jpg'?"),
        ("text.png", "'text.png' is not a JPEG, PNG"),
        ("http://example.org/a.jpg", "is an address on the network"),
    ],
)
def test_pictures_that_cannot_be_read_are_named(cli, no_weights, place, name, message):
    Path("text.png").write_text("no picture")
    arguments = ["photo.jpg", "painting.png", "photo.jpg", "photo.jpg"]
    arguments[place] = name
    outcome = cli("evaluate", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_a_picture_that_vgg19_cannot_see_is_refused(cli, folder):
    write_picture(folder / "small.png", (64, 15))
    outcome = cli("evaluate", "photo.jpg", "painting.png", "small.png")
    assert outcome.code == 2
    assert "'small.png' has 64 x 15 pixels, and its short side has to have 16 at least" in outcome.err
    write_picture(folder / "small.png", (16, 16))
    assert of(cli, "small.png")


def test_a_painting_that_would_be_too_small_is_refused(cli, folder):
    outcome = cli("evaluate", "photo.jpg", "painting.png", "photo.jpg", "--style-scale", "0.2")
    assert outcome.code == 2
    assert "The painting would be read at 13 x 13 pixels" in outcome.err
    assert "a larger --style-scale" in outcome.err


def test_what_does_not_fit_into_memory_is_refused(cli, folder, monkeypatch):
    monkeypatch.setattr("impasto.free_memory.memory_bytes", lambda: (600_000_000, None))
    assert cli("evaluate", "photo.jpg", "painting.png", "photo.jpg").code == 0
    outcome = cli("evaluate", "photo.jpg", "painting.png", "photo.jpg", "--style-scale", "6")
    assert outcome.code == 2
    assert "64 x 48 pixels beside a painting of 384 x 384, takes about 1 GiB of memory" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--style-scale", "0"), "--style-scale is '0': expected a number from 0.1 to 10."),
        (("--style-scale", "big"), "--style-scale is 'big': expected a number from 0.1 to 10."),
        (("--max-pixels", "3071"), "'photo.jpg' has 64 x 48 pixels, more than the 3,071 allowed"),
        (("--network", "compact"), "--network is 'compact', and figures are those of VGG-19. Choose from vgg19,"),
        (("--network", "auto"), "--network is 'auto', and figures are those of VGG-19."),
        (("--network", "vgg91"), "Did you mean 'vgg19'?"),
        (("--weights", "photo.jpg"), "'photo.jpg'"),
    ],
)
def test_options_that_cannot_be(cli, folder, words, message):
    outcome = cli("evaluate", "photo.jpg", "painting.png", "photo.jpg", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


@pytest.mark.parametrize("words", [(), ("--offline",), ("--network", "vgg19", "--offline")])
def test_missing_weights_are_not_downloaded_unasked(cli, published, server, words):
    outcome = cli("evaluate", "photo.jpg", "painting.png", "photo.jpg", *words)
    assert (outcome.code, outcome.out) == (3, "")
    assert "The weights of vgg19 are not on this machine" in outcome.err
    assert "impasto weights get vgg19" in outcome.err
    assert server.seen == []


def test_a_network_that_is_named_is_downloaded(cli, published, kept):
    assert of(cli, "photo.jpg", "--network", "vgg19")
    assert kept.is_file()


def test_no_other_network_takes_its_place(cli, folder, kept, monkeypatch):
    other = replace(VGG19_TORCHVISION, blocks=TINY.blocks)
    monkeypatch.setitem(NETWORKS, other.name, other)
    here = of(cli, "painting.png")
    kept.rename(kept.with_name("vgg19-torchvision.safetensors"))
    assert cli("evaluate", "photo.jpg", "painting.png", "painting.png").code == 3
    assert of(cli, "painting.png", "--network", "vgg19-torchvision") != here


def test_weights_from_a_file(cli, folder, kept):
    expected = of(cli, "painting.png")
    write_keras(folder / "tiny.h5", load_file(kept))
    kept.unlink()
    assert of(cli, "painting.png", "--weights", "tiny.h5") == expected


def test_what_is_transparent_is_measured_on_white_and_that_is_said(cli, folder):
    with Image.open("photo.jpg") as photo:
        photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save("cutout.png")
    white = Image.new("RGBA", photo.size, "white")
    Image.alpha_composite(white, photo).convert("RGB").save("white.png")
    outcome = cli("evaluate", "photo.jpg", "painting.png", "cutout.png", "white.png", "--json")
    cutout, on_white = json.loads(outcome.out)
    assert outcome.err == "'cutout.png' is transparent in parts, and is measured as it looks on white.\n"
    for key in ("content_error", "ssim", "style_error", "color_cast"):
        assert cutout[key] == pytest.approx(on_white[key], rel=0.02)
    (opaque,) = of(cli, "photo.jpg")
    assert cutout["content_error"] > opaque["content_error"] + 0.04


def test_what_is_cut_off_the_photo_is_said(cli, folder):
    write_picture(folder / "square.png", (48, 48))
    write_picture(folder / "rounded.png", (63, 48))
    outcome = cli("evaluate", "photo.jpg", "painting.png", "square.png", "rounded.png")
    assert outcome.code == 0
    assert "'square.png' has other proportions than the photo, of which 25% is cut off" in outcome.err
    assert "rounded.png" not in outcome.err


def test_a_picture_from_another_program(cli, folder, monkeypatch):
    expected = of(cli, "painting.png")
    with Path("painting.png").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert of(cli, "-") == [{**expected[0], "output": "-"}]
    outcome = cli("evaluate", "-", "painting.png", "-")
    assert outcome.code == 2
    assert "Only one picture can come from standard input" in outcome.err


def test_names_are_safe_to_show(cli, folder):
    shutil.copy("painting.png", "red\x1b[31m.png")
    outcome = cli("evaluate", "photo.jpg", "painting.png", "red\x1b[31m.png")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out + outcome.err


def test_weights_of_another_network_are_refused_with_what_to_do(cli, folder, tmp_path):
    student = str(tmp_path / "package" / "compact.safetensors")
    outcome = cli("evaluate", "photo.jpg", "painting.png", "photo.jpg", "--weights", student)
    assert outcome.code == 2
    assert "has compact, and figures are those of VGG-19: leave it out" in outcome.err


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_what_was_measured_is_printed_before_the_error(words, cli, folder):
    Image.effect_noise((64, 48), 80).convert("RGB").save(folder / "broken.jpg")
    whole = (folder / "broken.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: 3 * len(whole) // 4])
    outcome = cli("evaluate", "photo.jpg", "painting.png", "painting.png", "broken.jpg", *words)
    assert outcome.code == 2
    assert "broken.jpg" in outcome.err
    assert "painting.png" in outcome.out
    assert "broken.jpg" not in outcome.out
