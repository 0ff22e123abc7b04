from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import impasto.image.resize
from impasto.image.resize import crop_to_aspect, grown, resize, surrounded, without_margin

sides = st.integers(1, 200)
extreme = st.sampled_from([(1, 1), (1, 300), (300, 1), (2, 299), (17, 16)])
sizes = st.tuples(sides, sides) | extreme


@given(sizes, sizes)
def test_any_size_becomes_any_other_without_leaving_the_range(old: tuple[int, int], new: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *old, generator=torch.Generator().manual_seed(0)).round()  # black and white overshoot most
    resized = resize(image, new)
    assert resized.shape == (1, 3, *new)
    assert bool(((resized >= 0) & (resized <= 1)).all())


def test_a_picture_of_the_right_size_is_returned_as_it_is(photo: Tensor) -> None:
    assert resize(photo, (36, 48)) is photo


def test_the_input_is_left_as_it_is(photo: Tensor) -> None:
    before = photo.clone()
    resize(photo, (20, 20)).zero_()
    assert torch.equal(photo, before)


@pytest.mark.parametrize("size", [(18, 24), (72, 96), (5, 90)])
def test_the_filter_is_that_of_pillow_without_rounding_to_bytes(photo: Tensor, size: tuple[int, int]) -> None:
    array = (photo[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    reference = np.asarray(Image.fromarray(array).resize(size[::-1], Image.Resampling.LANCZOS)).astype(float)
    ours = resize(photo, size)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(ours - reference).max() <= 1.5
    assert not np.array_equal(ours, ours.round())


@pytest.mark.parametrize("size", [(7, 5), (80, 90), (1, 1)])
def test_a_flat_color_stays(size: tuple[int, int]) -> None:
    color = torch.tensor([0.1, 0.5, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(resize(color.expand(1, 3, 20, 30), size), color.expand(1, 3, *size))


def test_a_photo_that_shrank_and_grew_again_is_itself(photo: Tensor) -> None:
    small = resize(photo, (18, 24))
    assert (resize(small, (36, 48)) - photo).abs().mean() > 0.01
    torch.testing.assert_close(grown(small, photo), photo)
    whole = (photo * 255).round().to(torch.uint8)
    torch.testing.assert_close(grown(resize(whole, (18, 24)), whole), resize(whole, (36, 48)))


def test_what_grows_has_no_details_of_a_flat_photo_and_stays_in_range(photo: Tensor) -> None:
    small = resize(photo, (18, 24))
    torch.testing.assert_close(grown(small, torch.full_like(photo, 0.3)), resize(small, (36, 48)))
    stripes = torch.zeros(1, 3, 36, 48)
    stripes[..., ::2] = 1
    white = grown(torch.ones(1, 3, 18, 24), stripes)
    assert 0 <= float(white.min()) < float(white.max()) <= 1
    assert white.std() > 0.1


def test_height_comes_before_width_and_channels_keep_their_place() -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[:, 1, :4] = 1  # green above
    resized = resize(image, (4, 12))
    assert resized[0, 1, 0].min() > 0.9
    assert resized[0, 1, 3].max() < 0.1
    assert resized[0, [0, 2]].abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_type_stays(picture: Callable[..., Tensor], dtype: torch.dtype) -> None:
    assert resize(picture(20, 30).to(dtype), (10, 15)).dtype == dtype


@given(sizes, sizes)
def test_a_crop_is_the_largest_of_its_proportions_cut_from_the_middle(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    rows = torch.arange(old[0]).view(1, 1, -1, 1).expand(1, 3, *old)
    columns = torch.arange(old[1]).view(1, 1, 1, -1).expand(1, 3, *old)
    cropped = crop_to_aspect(rows, new)
    height, width = cropped.shape[-2:]
    assert height == old[0] or width == old[1]
    scale = min(old[0] / new[0], old[1] / new[1])
    assert height == pytest.approx(max(1, new[0] * scale), abs=0.5 + 1e-9)
    assert width == pytest.approx(max(1, new[1] * scale), abs=0.5 + 1e-9)
    for positions, length in ((cropped, old[0]), (crop_to_aspect(columns, new), old[1])):
        before, after = int(positions.min()), length - 1 - int(positions.max())
        assert abs(before - after) <= 1


def test_the_same_proportions_crop_nothing(photo: Tensor) -> None:
    assert torch.equal(crop_to_aspect(photo, (360, 480)), photo)


@pytest.mark.parametrize("size", [(30, 40), (37, 24), (30, 90), (12, 53), (61, 40)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_whole_numbers_in_strips_become_what_pillow_makes_of_floats(
    size: tuple[int, int], kind: type[np.generic], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (1, 3, 37, 53), dtype=kind)
    floats = numbers.astype(np.float32) / np.float32(np.iinfo(kind).max)
    expected = [Image.fromarray(plane).resize(size[::-1], Image.Resampling.LANCZOS) for plane in floats[0]]
    resized = resize(torch.from_numpy(numbers), size)
    torch.testing.assert_close(resized, torch.from_numpy(np.stack(expected))[None].clamp(0, 1), rtol=0, atol=2e-7)
    assert torch.equal(resized, resize(torch.from_numpy(floats), size))
    monkeypatch.setattr(impasto.image.resize, "STRIP", 3 * 53)
    assert torch.equal(resized, resize(torch.from_numpy(numbers), size))
    assert torch.equal(resize(torch.from_numpy(numbers), (37, 53)), torch.from_numpy(floats))


@pytest.mark.parametrize("margin", [0, 1, 4])
def test_a_margin_is_mirrored_and_can_be_taken_off(margin: int) -> None:
    image = torch.rand(1, 3, 5, 7)
    around = surrounded(image, margin)
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="reflect")
    assert np.array_equal(around.numpy(), expected)
    assert torch.equal(without_margin(around, margin), image)
