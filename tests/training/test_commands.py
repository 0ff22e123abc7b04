"""The two commands of training/README.md, with a tiny VGG-19 and few pictures."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Generator

from impasto.image.write import to_pil
from impasto.weights.tensors import fits, read_safetensors
from training import __main__ as training
from training import held_out, lessons, ship, train

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="the training needs PyTorch 2.9 or later")

FEW = ("--device=cpu", "--warmup=2", "--lessons=2", "--passes=1", "--canvases=1", "--gradients-from=1")


@pytest.fixture
def pictures(tmp_path):
    """A folder of 32 pictures of noise."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    generator = Generator().manual_seed(0)
    for number in range(32):
        to_pil(torch.rand(1, 3, 96, 100, generator=generator)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(autouse=True)
def little(monkeypatch, tiny, tiny_weights, small):
    """One picture of 96 pixels a lesson, and the tiny network and its student instead of VGG-19 and compact."""
    monkeypatch.setattr(lessons, "SIDES", (96,))
    for module in (lessons, train, held_out):
        monkeypatch.setattr(module, "PIXELS", 96 * 96)
    monkeypatch.setattr(held_out, "SIDES", (96,))
    for module in (training, ship):
        monkeypatch.setattr(module, "VGG19", tiny)
        monkeypatch.setattr(module, "COMPACT", replace(small, licence="CC BY 4.0"))
        monkeypatch.setattr(module, "load_weights", lambda network: tiny_weights)


def test_one_command_trains_goes_on_and_another_one_ships(pictures, tmp_path, small, capsys):
    folder, target = tmp_path / "run", tmp_path / "student.safetensors"
    training.main([str(pictures), str(folder), "--rounds", "1", *FEW])
    training.main([str(pictures), str(folder), "--rounds", "2", *FEW])
    assert '{"changed": "rounds", "from": 1, "to": 2}' in capsys.readouterr().out
    lines = [json.loads(line) for line in (folder / train.FIGURES).read_text().splitlines()]
    assert [line["round"] for line in lines] == [1, 2]
    ship.main([str(folder), str(pictures), str(target)])
    assert fits(read_safetensors(target)[0], small)


def test_a_run_goes_on_only_with_what_it_began_with(pictures, tmp_path, monkeypatch, tiny_weights):
    words = [str(pictures), str(tmp_path / "run"), *FEW, "--start", "random", "--rounds"]
    training.main([*words, "1"])
    with monkeypatch.context() as patch:
        others = {name: 1.01 * tensor for name, tensor in tiny_weights.items()}
        patch.setattr(training, "load_weights", lambda network: others)
        with pytest.raises(SystemExit, match="begun with other weights of VGG-19: use those, or a new folder"):
            training.main([*words, "2"])
    to_pil(torch.zeros(1, 3, 96, 96)).save(pictures / "new.png")
    with pytest.raises(SystemExit, match="begun with other pictures"):
        training.main([*words, "2"])
    (pictures / "new.png").unlink()
    training.main([*words, "2"])


def test_figures_that_ctrl_c_prevented_are_made_up_for(pictures, tmp_path, monkeypatch, capsys):
    words = [str(pictures), str(tmp_path / "run"), *FEW, "--start", "random", "--rounds", "1"]

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(held_out.HeldOut, "figures", interrupted)
        with pytest.raises(SystemExit):
            training.main(words)
    assert "goes on after the last whole round" in capsys.readouterr().out
    training.main(words)
    training.main(words)
    (line,) = (tmp_path / "run" / train.FIGURES).read_text().splitlines()
    assert "held_out" in json.loads(line)
