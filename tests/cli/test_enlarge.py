"""A finished picture gone on with: larger, or longer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from impasto.record import Record

TWO_NETWORKS = ("--size", "64", "--num-iterations", "3", "--coarse-iterations", "2", "--precision", "fp32")


@pytest.fixture
def painted(cli, folder) -> Path:
    assert cli("stylize", "photo.jpg", "painting.png", *TWO_NETWORKS, "-o", "painted.png").code == 0
    return Path("painted.png")


def record_of(path: str) -> dict:
    with Image.open(path) as image:
        return json.loads(image.info["impasto"])


def test_a_picture_becomes_larger_from_where_it_was(painted, cli):
    outcome = cli("enlarge", "painted.png", "--size", "256")
    assert (outcome.code, outcome.out) == (0, "painted_256.png\n"), outcome.err
    with Image.open("painted_256.png") as image:
        assert image.size == (256, 192)
    record = record_of("painted_256.png")
    assert record["inputs"]["init"]["name"] == "painted.png"
    assert [(level["size"], level["network"]) for level in record["levels"]] == [
        ([128, 96], "vgg19"),
        ([256, 192], "compact"),
        ([256, 192], "vgg19"),
    ]


def distance(one: str, other: str) -> float:
    """Mean difference of two pictures in gray, at the size of the first."""
    with Image.open(one) as ours, Image.open(other) as theirs:
        pair = ours.convert("L"), theirs.resize(ours.size, Image.Resampling.LANCZOS).convert("L")
    return sum(abs(a - b) for a, b in zip(*(image.tobytes() for image in pair), strict=True)) / len(pair[0].tobytes())


@pytest.mark.parametrize("color", ["style", "content"])
def test_it_begins_with_the_picture(color, cli, folder):
    words = (*TWO_NETWORKS, "--color", color, "--strength", "0.9", "--num-iterations", "30")
    assert cli("stylize", "photo.jpg", "painting.png", *words, "-o", "painted.png").code == 0
    assert distance("painted.png", "photo.jpg") > 1  # so that there is something to begin with
    outcome = cli("enlarge", "painted.png", "--num-iterations", "1", "-o", "same.png")  # which changes nothing yet
    assert outcome.code == 0, outcome.err
    assert distance("painted.png", "same.png") < 0.5
    assert cli("enlarge", "painted.png", "--size", "128", "--num-iterations", "1", "-o", "larger.png").code == 0
    assert distance("painted.png", "larger.png") < 0.5 * distance("painted.png", "photo.jpg")


def test_what_is_enlarged_has_the_photos_details(cli, folder):
    noise = np.random.default_rng(0).integers(64, 192, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save("fine.png")
    assert cli("stylize", "fine.png", "painting.png", *TWO_NETWORKS, "-o", "painted.png").code == 0
    words = ("--size", "128", "--num-iterations", "1", "-o", "larger.png")
    assert cli("enlarge", "painted.png", *words).code == 0
    with Image.open("painted.png") as painted, Image.open("larger.png") as larger:
        size, small = larger.size, painted.size
        added = pixels(larger) - pixels(painted.resize(size, Image.Resampling.LANCZOS))
    photo = Image.fromarray(noise)
    coarse = photo.resize(small, Image.Resampling.LANCZOS).resize(size, Image.Resampling.LANCZOS)
    assert np.corrcoef(added.ravel(), (pixels(photo) - pixels(coarse)).ravel())[0, 1] > 0.8


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=float)


def test_what_a_picture_began_with_is_not_needed(painted, cli):
    assert cli("enlarge", "painted.png", "--size", "128", "-o", "once.png").code == 0
    painted.unlink()
    assert cli("enlarge", "once.png", "--size", "256", "-o", "twice.png").code == 0


def test_a_picture_made_on_a_machine_with_a_gpu_is_enlarged_without_one(painted, cli, monkeypatch):
    original = Record.model_validate_json

    def on_a_gpu(text, *arguments, **options):
        return original(text.replace('"device":"cpu"', '"device":"cuda"'), *arguments, **options)

    monkeypatch.setattr(Record, "model_validate_json", on_a_gpu)
    assert cli("enlarge", "painted.png", "--size", "128").code == 0


def test_without_a_size_it_goes_on_for_longer(painted, cli):
    outcome = cli("enlarge", "painted.png", "--num-iterations", "40", "-o", "longer.png", "--progress", "json")
    assert outcome.code == 0, outcome.err
    (level,) = record_of("longer.png")["levels"]
    assert (level["size"], level["network"], level["iterations"]) == ([64, 48], "vgg19", 40)
    steps = [json.loads(line) for line in outcome.err.splitlines() if '"step"' in line]
    assert steps[-1]["loss"] < record_of("painted.png")["loss"]


def test_an_enlarged_picture_can_be_made_again_and_enlarged_again(painted, cli):
    assert cli("enlarge", "painted.png", "--size", "128", "-o", "once.png").code == 0
    assert cli("rerun", "once.png", "-o", "again.png").code == 0
    assert Path("once.png").read_bytes() == Path("again.png").read_bytes()
    assert cli("enlarge", "once.png", "--size", "256", "-o", "twice.png").code == 0
    assert record_of("twice.png")["inputs"]["init"]["name"] == "once.png"


@pytest.mark.parametrize("size", ["32", "0", "nonsense", "100x100", "original"])
def test_other_sizes_are_refused(size, painted, cli):
    outcome = cli("enlarge", "painted.png", "--size", size)
    assert (outcome.code, "--size is" in outcome.err) == (2, True)


def test_a_picture_that_another_program_has_changed_is_refused(painted, cli):
    with Image.open(painted) as image:
        image.rotate(90, expand=True).save("turned.png", pnginfo=settings_of(image))
        image.resize((128, 96)).save("larger.png", pnginfo=settings_of(image))
    for name in ("turned.png", "larger.png"):
        outcome = cli("enlarge", name, "--size", "96")
        assert (outcome.code, "another program has changed it" in outcome.err) == (2, True), outcome.err


def settings_of(image: Image.Image) -> PngInfo:
    text = PngInfo()
    text.add_itxt("impasto", image.info["impasto"])
    return text


def test_the_photo_itself_is_enlarged_as_it_is(cli, folder):
    assert cli("stylize", "photo.jpg", "painting.png", *TWO_NETWORKS, "--strength", "0", "-o", "plain.png").code == 0
    outcome = cli("enlarge", "plain.png", "--num-iterations", "7", "--progress", "json")
    assert outcome.code == 0
    assert '"of": 1' in outcome.err.replace('"of":1', '"of": 1')


def test_inputs_that_are_elsewhere_are_named(painted, cli, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "photo.jpg").rename(tmp_path / "elsewhere" / "other.jpg")
    outcome = cli("enlarge", "painted.png", "--size", "128")
    assert (outcome.code, "--inputs" in outcome.err) == (2, True)
    assert cli("enlarge", "painted.png", "--size", "128", "--inputs", str(tmp_path / "elsewhere")).code == 0


def test_a_picture_without_settings_is_refused(cli, folder):
    outcome = cli("enlarge", "photo.jpg", "--size", "128")
    assert (outcome.code, "no settings" in outcome.err) == (2, True)
