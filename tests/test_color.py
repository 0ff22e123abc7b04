from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from impasto import color as module
from impasto.color import (
    MOST_SHIFT,
    from_lab,
    luminance,
    match_color,
    match_lightness,
    to_gray,
    to_lab,
    with_colors_of,
)

Picture = Callable[..., Tensor]


def flat_colors(image: Tensor) -> Tensor:
    return image[0].flatten(1)


@pytest.mark.parametrize(("color", "expected"), [((1, 0, 0), 0.299), ((0, 1, 0), 0.587), ((0, 0, 1), 0.114)])
def test_luminance_of_the_primaries_is_that_of_bt601(color: tuple[int, int, int], expected: float) -> None:
    image = torch.tensor(color, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    assert luminance(image).shape == (1, 1, 4, 5)
    torch.testing.assert_close(luminance(image), torch.full((1, 1, 4, 5), expected))


def test_luminance_takes_a_batch_and_keeps_gray() -> None:
    gray = torch.rand(2, 1, 4, 5)
    torch.testing.assert_close(luminance(gray.expand(2, 3, 4, 5)), gray)


def test_matching_moves_mean_and_covariance(picture: Picture) -> None:
    # Tame pictures, so that nothing has to be clamped.
    image, target = 0.4 + 0.2 * picture(40, 30, seed=1), 0.45 + 0.1 * picture(30, 50, seed=2)
    moved = match_color(image, target)
    assert moved.shape == image.shape
    torch.testing.assert_close(flat_colors(moved).mean(1), flat_colors(target).mean(1), atol=1e-6, rtol=0)
    expected = torch.cov(flat_colors(target), correction=0)
    floor = 2e-5  # both covariances are regularized, which matters for these low contrasts
    torch.testing.assert_close(torch.cov(flat_colors(moved), correction=0), expected, atol=floor, rtol=0.02)


def test_matching_a_picture_to_itself_changes_nothing(picture: Picture) -> None:
    image = picture(20, 30)
    torch.testing.assert_close(match_color(image, image), image)


def test_a_flat_picture_takes_the_mean_color_and_no_noise(picture: Picture) -> None:
    target = picture(20, 30)
    moved = match_color(torch.full((1, 3, 8, 8), 0.3), target)
    expected = flat_colors(target).mean(1).float().view(1, 3, 1, 1).expand(1, 3, 8, 8)
    torch.testing.assert_close(moved, expected)


def test_the_result_stays_in_range_and_in_its_type() -> None:
    dark, bright = torch.rand(1, 3, 20, 20) * 0.1, torch.rand(1, 3, 20, 20).round()
    moved = match_color(dark, bright)
    assert moved.dtype == dark.dtype
    assert bool(((moved >= 0) & (moved <= 1)).all())


def lab_of(*color: float) -> Tensor:
    return to_lab(torch.tensor(color).float().view(1, 3, 1, 1)).flatten()


@pytest.mark.parametrize(
    ("color", "lab"),
    [  # Bruce Lindbloom's calculator, sRGB and D65
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 1, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 1), (32.2970, 79.1875, -107.8602)),
        ((0.5, 0.5, 0.5), (53.3890, 0, 0)),
        ((0.02, 0.02, 0.02), (1.3983, 0, 0)),
    ],
)
def test_lab_of_known_colors(color: tuple[float, ...], lab: tuple[float, ...]) -> None:
    torch.testing.assert_close(lab_of(*color), torch.tensor(lab).float(), atol=0.02, rtol=0)


def test_lab_and_back(picture: Picture) -> None:
    image = picture(20, 30)
    torch.testing.assert_close(from_lab(to_lab(image)), image, atol=1e-9, rtol=0)


def test_a_gray_picture_has_the_same_lightness(picture: Picture) -> None:
    image = picture(20, 30)
    gray = to_gray(image)
    assert bool((gray.amax(dim=1) - gray.amin(dim=1) < 1e-6).all())
    torch.testing.assert_close(to_lab(gray)[:, 0], to_lab(image)[:, 0], atol=1e-4, rtol=0)


def test_matching_lightness_moves_mean_and_deviation_only(picture: Picture) -> None:
    image, target = 0.3 + 0.4 * picture(20, 30, seed=1), 0.2 + 0.4 * picture(24, 28, seed=2)
    moved = to_lab(match_lightness(image, target))
    wanted = to_lab(target)[:, 0]
    torch.testing.assert_close(moved[:, 0].mean(), wanted.mean(), atol=1e-3, rtol=0)
    torch.testing.assert_close(moved[:, 0].std(correction=0), wanted.std(correction=0), atol=1e-3, rtol=0)
    assert float(moved[:, 1:].abs().max()) < 1e-3


def test_the_colors_of_the_photo_come_back_with_the_lightness_of_the_painting(picture: Picture) -> None:
    photo, painted = 0.4 + 0.2 * picture(20, 30, seed=1), 0.3 + 0.4 * picture(20, 30, seed=2)
    lab = to_lab(with_colors_of(painted, photo))
    torch.testing.assert_close(lab[:, 0], to_lab(painted)[:, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(lab[:, 1:], to_lab(photo)[:, 1:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("photo", [(1, 0, 0), (0, 0, 1), (1, 1, 0), (0.1, 0.9, 0.4)])
@pytest.mark.parametrize("lightness", [0.05, 0.5, 0.95])
def test_colors_that_cannot_be_stay_in_range_and_near(photo: tuple[float, ...], lightness: float) -> None:
    image = torch.tensor(photo).float().view(1, 3, 1, 1).expand(1, 3, 4, 4)
    found = with_colors_of(torch.full((1, 3, 4, 4), lightness), image)
    assert bool(((found >= 0) & (found <= 1)).all())
    shift = (to_lab(found) - to_lab(image))[:, 1:].mean(dim=(2, 3)).abs().max()
    assert float(shift) <= MOST_SHIFT + 0.5


def test_a_photo_with_its_own_lightness_is_itself(picture: Picture) -> None:
    photo = picture(20, 30).float()
    torch.testing.assert_close(with_colors_of(photo, photo), photo, atol=1e-4, rtol=0)


@pytest.mark.parametrize("match", [match_color, match_lightness])
def test_what_is_hidden_does_not_count(match: Callable[..., Tensor], picture: Picture) -> None:
    image, target = picture(20, 30, seed=1), picture(24, 28, seed=2)
    visible, wanted = torch.zeros(1, 1, 20, 30).double(), torch.zeros(1, 1, 24, 28).double()
    visible[..., :10], wanted[..., :8, :] = 1, 1
    expected = match(image[..., :10], target[..., :8, :])
    torch.testing.assert_close(match(image, target, visible, wanted)[..., :10], expected)


def test_matching_by_a_known_matrix() -> None:
    colors = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    colors = torch.linalg.inv(torch.linalg.cholesky(torch.cov(colors, correction=0))) @ (
        colors - colors.mean(1)[:, None]
    )
    factor = torch.tensor([[0.05, 0, 0], [0.02, 0.06, 0], [-0.01, 0.03, 0.04]], dtype=torch.float64)
    image = (0.5 + 0.05 * colors).view(1, 3, 40, 100)
    target = (0.4 + factor @ colors).view(1, 3, 40, 100)
    torch.testing.assert_close(match_color(image, target), target, atol=2e-3, rtol=0)


def _much_painted(picture: Picture, height: int, width: int) -> tuple[Tensor, Tensor]:
    """A light picture and a photo so colorful that both lightness and chroma have to give way."""
    return 0.7 + 0.3 * picture(height, width, seed=1), (picture(height, width, seed=2) > 0.45).double()


CHANGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gray": lambda painted, photo: to_gray(photo),
    "lightness": lambda painted, photo: match_lightness(painted, photo, painted[:, :1], photo[:, 1:2]),
    "color": lambda painted, photo: match_color(painted, photo, painted[:, :1], photo[:, 1:2]),
    "colors of the photo": with_colors_of,
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("rows", [1, 7, 39])
def test_in_strips_colors_are_the_same_as_at_once(
    name: str, rows: int, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = _much_painted(picture, 40, 30)
    at_once = CHANGES[name](*pictures)
    monkeypatch.setattr(module, "STRIP", rows * 30)
    torch.testing.assert_close(CHANGES[name](*pictures), at_once, atol=1e-6, rtol=0)


class Largest(TorchDispatchMode):
    """Keeps where the tensors of more than so many values are that are made inside."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values, self.places = values, set[int]()

    def __torch_dispatch__(self, function: Any, types: Any, words: Any = (), options: Any = None) -> Any:
        made = function(*words, **(options or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().nbytes() > self.values * tensor.itemsize:
                self.places.add(tensor.untyped_storage().data_ptr())
        return made


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_is_larger_than_a_strip_but_the_result(
    name: str, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = _much_painted(picture, 40, 30)
    monkeypatch.setattr(module, "STRIP", 4 * 30)
    with Largest(3 * 4 * 30) as largest:
        result = CHANGES[name](*pictures)
    given = {tensor.untyped_storage().data_ptr() for tensor in pictures}
    assert largest.places - given == {result.untyped_storage().data_ptr()}
