"""The file for the package: all that the network needs, in half precision, with a map for every layer."""

from __future__ import annotations

import torch
from safetensors import safe_open
from torch import Generator

from impasto.weights.tensors import check_unchanged, fits, read_safetensors
from training.fit import pruned
from training.ship import ship
from training.student import TAPS, mapped


def test_the_file_has_all_that_the_network_needs(teacher, small, corpus, tmp_path):
    pictures = [corpus.crops(4, 64, Generator().manual_seed(index)) for index in range(2)]
    student = pruned(small, teacher, pictures)
    ship(student, teacher, pictures, tmp_path / "student.safetensors")
    weights, metadata = read_safetensors(tmp_path / "student.safetensors")
    assert fits(weights, small)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert (metadata["network"], "CC BY 4.0" in metadata["licence"]) == ("student", True)
    wide = {name: tensor.float() for name, tensor in weights.items()}
    check_unchanged(wide, metadata, small, tmp_path / "student.safetensors")
    for tap in TAPS:
        torch.testing.assert_close(wide[f"{tap}.map"], student.maps[tap], rtol=1e-3, atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["student.safetensors"]


def test_layers_that_were_not_taught_have_the_best_map(teacher, small, corpus, tmp_path):
    pictures = [corpus.crops(4, 64, Generator().manual_seed(index)) for index in range(2)]
    student = pruned(small, teacher, pictures)
    ship(student, teacher, pictures, tmp_path / "student.safetensors")
    with safe_open(tmp_path / "student.safetensors", framework="pt") as file:
        for layer in ("relu1_2", "relu2_2", "relu3_3"):
            seen, truth = (
                student.extractor(torch.float32)(pictures[0], [layer])[layer],
                teacher(pictures[0], [layer])[layer],
            )
            guess = mapped(file.get_tensor(f"{layer}.map").float(), seen)
            blind = truth - truth.mean(dim=(0, 2, 3), keepdim=True)
            assert float((guess - truth).square().sum()) < 0.9 * float(blind.square().sum()), layer
