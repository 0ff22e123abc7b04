"""The network that comes with the package: whole, small, and near to VGG-19."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import impasto
from impasto.features import Extractor
from impasto.image.read import read_image
from impasto.image.resize import resize
from impasto.metrics import content_error, style_error
from impasto.networks import COMPACT, VGG19
from impasto.spec import scaled_to_long_side
from impasto.weights import find_weights, load_weights, metadata_of, verify_weights
from impasto.weights.search import BUILT_IN

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
LARGEST = 6_000_000
"""Bytes that the file may have."""


def test_it_is_found_wherever_nothing_else_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.delenv("IMPASTO_WEIGHTS_DIR", raising=False)
    assert find_weights(COMPACT) == BUILT_IN / "compact.safetensors"
    assert verify_weights(COMPACT) == (BUILT_IN / "compact.safetensors", True)
    assert list(tmp_path.iterdir()) == [], "nothing is copied"


def test_it_is_small_and_says_whose_it_is() -> None:
    file = BUILT_IN / "compact.safetensors"
    assert file.stat().st_size <= LARGEST
    assert metadata_of(file)["licence"] == COMPACT.licence
    card = file.with_suffix(".md").read_text()
    assert "CC BY 4.0" in card
    assert "Simonyan" in card


def test_a_file_beside_it_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "compact.safetensors"
    other.write_bytes((BUILT_IN / "compact.safetensors").read_bytes())
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", str(tmp_path))
    assert find_weights(COMPACT) == other


def test_it_sees_no_less_than_what_its_layers_promise() -> None:
    extractor = Extractor(COMPACT, load_weights(COMPACT))
    seen = extractor(torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)), COMPACT.layers)
    for layer, features in seen.items():
        stride = COMPACT.stride(layer)
        assert features.shape[2:] == (32 // stride, 48 // stride)
        assert bool(features.isfinite().all())
        assert float(features.std()) > 0
        mapped = extractor.space(layer).features(features)
        assert mapped.shape[1] == min(features.shape[1] + 1, VGG19.channels(layer))


@pytest.mark.weights
def test_it_guesses_what_vgg19_sees(vgg19: dict[str, Tensor], real_images: Path) -> None:
    weights = load_weights(COMPACT)
    teacher, student = Extractor(VGG19, vgg19), Extractor(COMPACT, weights)
    image = read_image(real_images / "content" / "tubingen.jpg")
    image = resize(image, scaled_to_long_side((image.shape[-2], image.shape[-1]), 256))
    seen, truth = student(image, TAPS), teacher(image, TAPS)
    for tap in TAPS:
        affine = weights[f"{tap}.map"]
        guess = torch.einsum("oc,bchw->bohw", affine[:, :-1], seen[tap]) + affine[:, -1].view(1, -1, 1, 1)
        error = float((guess - truth[tap]).square().sum() / truth[tap].square().sum())
        assert error < MOST[tap], tap


MOST = {"relu1_1": 0.05, "relu2_1": 0.2, "relu3_1": 0.35, "relu4_1": 0.35, "relu4_2": 0.45, "relu5_1": 0.7}
"""The squared error of a guess, relative: above what was measured, below what a network that sees little has."""


@pytest.mark.weights
def test_what_it_paints_is_near_to_the_painting_for_vgg19(vgg19: dict[str, Tensor], real_images: Path) -> None:
    content, style = real_images / "content" / "lion.jpg", real_images / "style" / "great_wave.jpg"
    result = impasto.stylize(content, style, network="compact", size=192, precision="fp32")
    judge = Extractor(VGG19, vgg19, padding="zeros")
    photo = resize(read_image(content), (result.tensor.shape[-2], result.tensor.shape[-1]))
    painting = read_image(style)
    painting = resize(painting, scaled_to_long_side((painting.shape[-2], painting.shape[-1]), 192))
    assert style_error(judge, result.tensor, painting) < 0.6 * style_error(judge, photo, painting)
    assert content_error(judge, result.tensor, photo) < 0.7 * content_error(judge, painting_like(photo), photo)


def painting_like(photo: Tensor) -> Tensor:
    """A picture with nothing of the photo in it."""
    return torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
