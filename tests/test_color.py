from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.color import luminance, match_color

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
