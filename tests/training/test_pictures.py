"""Pictures to learn from: read, cut and disturbed, the same ones for the same seed."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Generator

from training.pictures import Corpus, disturbed


@pytest.fixture
def folder(tmp_path):
    for index in range(40):
        Image.linear_gradient("L").rotate(9 * index).convert("RGB").resize((128, 100)).save(
            tmp_path / f"{index:02}.png"
        )
    return tmp_path


def test_every_sixteenth_picture_is_held_out(folder):
    taught, held_out = Corpus.read(folder)
    assert (len(taught.pictures), len(held_out.pictures)) == (37, 3)
    assert not any(torch.equal(one, other) for one in held_out.pictures for other in taught.pictures)


def test_pictures_that_are_held_out_are_neighbors(tmp_path):
    for index in range(480):
        Image.new("RGB", (96, 96), (index // 2, 0, 0)).save(tmp_path / f"{index:03}.png")
    held_out = Corpus.read(tmp_path)[1]
    reds = [int(picture[0, 0, 0]) for picture in held_out.pictures]
    assert reds[:5] == [0, 0, 1, 24, 24]
    assert len(reds) == 30


def test_what_cannot_be_read_is_left_out_and_said(folder, capsys):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    Image.new("RGB", (50, 50)).save(folder / "small.png")
    taught, held_out = Corpus.read(folder)
    assert len(taught.pictures) + len(held_out.pictures) == 40
    assert "broken.png" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_pictures_is_refused_in_a_sentence(name, tmp_path):
    with pytest.raises(SystemExit, match=r"There is no folder|has 0 pictures"):
        Corpus.read(tmp_path / name)


@pytest.mark.parametrize("side", [32, 96, 128])
def test_crops_are_pictures_of_the_side_that_was_asked_for(side, corpus):
    crops = corpus.crops(6, side, Generator().manual_seed(0))
    assert crops.shape == (6, 3, side, side)
    assert 0 <= float(crops.min()) < float(crops.max()) <= 1
    assert torch.equal(crops, corpus.crops(6, side, Generator().manual_seed(0)))
    assert not torch.equal(crops, corpus.crops(6, side, Generator().manual_seed(1)))


def test_disturbed_pictures_are_pictures_and_most_are_others(corpus):
    crops = corpus.crops(40, 32, Generator().manual_seed(0))
    changed = disturbed(crops, Generator().manual_seed(1))
    assert changed.shape == crops.shape
    assert bool(changed.isfinite().all())
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert 25 < sum(not torch.equal(one, other) for one, other in zip(crops, changed, strict=True)) <= 40
