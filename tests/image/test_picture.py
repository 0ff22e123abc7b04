from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.image.metadata import Metadata
from impasto.image.picture import Picture, fill_hidden, fill_hidden_
from impasto.image.resize import resize

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed))


@given(sizes, st.floats(0.02, 1), st.integers(0, 5))
def test_what_is_visible_stays_and_what_is_hidden_does_not_matter(
    size: tuple[int, int], share: float, seed: int
) -> None:
    alpha = (noise(1, *size, seed=seed) < share).float() * noise(1, *size, seed=seed + 9)
    one, other = noise(3, *size, seed=1), noise(3, *size, seed=2)
    other = torch.where(alpha > 0, one, other)
    filled = fill_hidden(one, alpha)
    assert torch.equal(filled, fill_hidden(other, alpha))
    assert torch.equal(filled[alpha.expand_as(one) > 0], one[alpha.expand_as(one) > 0])


@given(sizes, st.floats(0, 1), st.integers(0, 5))
def test_what_is_filled_in_lies_between_the_visible_colors(size: tuple[int, int], share: float, seed: int) -> None:
    alpha = (noise(1, *size, seed=seed) < share).float()
    filled = fill_hidden(noise(3, *size), alpha)
    visible = noise(3, *size)[alpha.expand_as(filled) > 0]
    low, high = (visible.min(), visible.max()) if visible.numel() else (1.0, 1.0)
    assert bool(((filled >= low - 1e-6) & (filled <= high + 1e-6)).all())
    assert bool(((filled >= 0) & (filled <= 1)).all())


@pytest.mark.parametrize("side", [1, 2, 7, 64, 2100])
def test_one_visible_pixel_colors_everything(side: int) -> None:
    pixels, alpha = torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side)
    place = side // 3
    pixels[..., place, place] = torch.tensor([0.9, 0.2, 0.6])
    alpha[..., place, place] = 1 / 255
    torch.testing.assert_close(
        fill_hidden(pixels, alpha), torch.tensor([0.9, 0.2, 0.6]).view(1, 3, 1, 1).expand_as(pixels)
    )


@pytest.mark.parametrize("side", [30, 51, 58, 67, 74])
def test_averages_of_white_are_not_brighter_than_white(side: int) -> None:
    alpha = (noise(1, side, side + 7, seed=side) > 0.8).float()
    assert float(fill_hidden(torch.ones(1, 3, side, side + 7), alpha).max()) <= 1


def test_colors_continue_those_beside_them() -> None:
    pixels, alpha = torch.zeros(1, 3, 16, 64), torch.zeros(1, 1, 16, 64)
    pixels[:, 0, :, :8] = alpha[..., :8] = 1  # red on the left
    pixels[:, 2, :, -8:] = alpha[..., -8:] = 1  # blue on the right
    filled = fill_hidden(pixels, alpha)[0]
    assert filled[0, 8, 9] > 0.8
    assert filled[2, 8, -10] > 0.8
    assert filled[0, 8].diff().max() < 1e-6  # ever less red from left to right


def test_nothing_visible_is_white() -> None:
    assert bool((fill_hidden(noise(3, 5, 6), torch.zeros(1, 1, 5, 6)) == 1).all())


def test_filling_changes_its_argument_only_in_place() -> None:
    pixels, alpha = noise(3, 5, 6), (noise(1, 5, 6) > 0.5).float()
    before = pixels.clone()
    filled = fill_hidden(pixels, alpha)
    assert torch.equal(pixels, before)
    assert fill_hidden_(pixels, alpha) is pixels
    assert torch.equal(pixels, filled)


def test_a_picture_changes_size_with_its_alpha_and_keeps_the_rest() -> None:
    picture = Picture(noise(3, 20, 30), noise(1, 20, 30), 16, b"profile", Metadata(b"exif"), remarks=("a",))
    smaller = picture.resized((10, 15))
    assert smaller.size == (10, 15)
    assert smaller.alpha is not None
    assert smaller.alpha.shape == (1, 1, 10, 15)
    assert (smaller.depth, smaller.profile, smaller.metadata, smaller.remarks) == (
        16,
        b"profile",
        Metadata(b"exif"),
        ("a",),
    )
    assert picture.cropped_to_aspect((20, 20)).size == (20, 20)
    assert picture.resized((20, 30)).pixels is picture.pixels


def test_on_white_is_what_paper_shows() -> None:
    picture = Picture(torch.zeros(1, 3, 1, 2), torch.tensor([0.0, 0.2]).view(1, 1, 1, 2))
    torch.testing.assert_close(picture.on_white()[0, 0, 0], torch.tensor([1.0, 0.8]))
    assert Picture(picture.pixels).on_white() is picture.pixels


def test_other_pixels_are_hidden_where_those_of_the_photo_were() -> None:
    alpha = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    picture = Picture(torch.zeros(1, 3, 1, 2), alpha, remarks=("a",))
    other = picture.with_pixels(torch.tensor([0.3, 0.7]).view(1, 1, 1, 2).expand(1, 3, 1, 2))
    assert torch.equal(other.pixels, torch.full((1, 3, 1, 2), 0.7))
    assert (other.origin, other.remarks) == (None, ())


def beside(
    color: tuple[float, ...], junk: tuple[float, ...], alpha: float, edge: int = 260, side: int = 512
) -> Picture:
    """``color``, opaque, on the left, and ``junk`` that hardly shows on the right."""
    pixels, opacity = torch.empty(1, 3, side, side), torch.ones(1, 1, side, side)
    pixels[..., :edge] = torch.tensor(color).view(1, 3, 1, 1)
    pixels[..., edge:] = torch.tensor(junk).view(1, 3, 1, 1)
    opacity[..., edge:] = alpha
    return Picture(pixels, opacity)


GREEN, MAGENTA = (0.0, 159 / 255, 0.0), (1.0, 0.0, 1.0)


@pytest.mark.parametrize("size", [(64, 64), (100, 90), (700, 700)])
@pytest.mark.parametrize("alpha", [1 / 255, 3 / 255, 20 / 255])
def test_a_color_that_hardly_shows_does_not_bleed_into_one_that_does(alpha: float, size: tuple[int, int]) -> None:
    resized = beside(GREEN, MAGENTA, alpha).resized(size)
    assert resized.alpha is not None
    seen = (resized.alpha > 0.4).expand_as(resized.pixels)
    off = (resized.pixels - torch.tensor(GREEN).view(1, 3, 1, 1)).abs()
    assert bool(seen.any())
    assert off[seen].max() < 2 * alpha  # the share that can be seen
    assert bool(((resized.pixels >= 0) & (resized.pixels <= 1)).all())


@pytest.mark.parametrize("size", [(64, 64), (37, 700)])
def test_one_color_stays_that_color_at_every_alpha(size: tuple[int, int]) -> None:
    """Lanczos goes below 0 beside an edge, and the quotient of two such numbers may be anything."""
    alpha = (noise(1, 128, 128) > 0.97) * noise(1, 128, 128, seed=1)
    pixels = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(1, 3, 128, 128)
    torch.testing.assert_close(Picture(pixels, alpha).resized(size).pixels, pixels[..., :1, :1].expand(1, 3, *size))


def test_what_is_hidden_after_a_change_of_size_continues_what_is_seen() -> None:
    picture = beside(GREEN, MAGENTA, 0.0)
    resized = picture.resized((64, 64))
    torch.testing.assert_close(resized.pixels, torch.tensor(GREEN).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    assert torch.equal(picture.pixels[..., 300:], beside(GREEN, MAGENTA, 0.0).pixels[..., 300:])


def test_an_opaque_picture_is_resized_as_it_is() -> None:
    pixels = noise(3, 40, 50)
    assert torch.equal(Picture(pixels).resized((17, 90)).pixels, resize(pixels, (17, 90)))
    torch.testing.assert_close(
        Picture(pixels, torch.ones(1, 1, 40, 50)).resized((17, 90)).pixels, resize(pixels, (17, 90))
    )
