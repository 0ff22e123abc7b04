from __future__ import annotations

from importlib.resources import files

import pytest
from PIL import Image

from impasto.cli import demo

SHORT = ("--size", "32", "--num-iterations", "1", "--coarse-iterations", "0", "--precision", "fp32")


@pytest.fixture
def small(folder, monkeypatch):
    """Small pictures in place of those in the package."""
    names = {"landscape": folder / "photo.jpg", "swirls": folder / "painting.png", "mosaic": folder / "photo.jpg"}
    asked = []
    monkeypatch.setattr(demo, "picture", lambda name, stack: asked.append(name) or names[name])
    return asked


def test_writes_into_the_current_folder_under_a_free_name(cli, small, folder):
    assert cli("demo", *SHORT).out == "impasto-demo.png\n"
    assert cli("demo", *SHORT).out == "impasto-demo_2.png\n"
    with Image.open("impasto-demo.png") as picture:
        assert picture.size == (32, 24)
    assert small[:2] == ["landscape", "swirls"]


def test_style_and_output(cli, small):
    assert cli("demo", "--style", "mosaic", "-o", "mine.jpg", *SHORT).out == "mine.jpg\n"
    assert small == ["landscape", "mosaic"]


def test_missing_weights(cli, no_weights):
    assert cli("demo", *SHORT).code == 3


@pytest.mark.parametrize("name", ["landscape", *demo.STYLES])
def test_the_package_has_the_pictures(name):
    data = (files("impasto") / "demo" / f"{name}.jpg").read_bytes()
    assert data.startswith(b"\xff\xd8")
