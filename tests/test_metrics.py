"""Each figure against an oracle of a few lines, or against pictures whose figure is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance
from torch import Tensor

from impasto import metrics
from impasto.color import from_lab
from impasto.features import Extractor
from impasto.image.resize import resize

Picture = Callable[..., Tensor]


@pytest.fixture
def pair(picture: Picture) -> tuple[Tensor, Tensor]:
    return picture(64, 48, seed=1), picture(64, 48, seed=2)


def test_a_picture_has_no_error_against_itself(extractor: Extractor, pair: tuple[Tensor, Tensor]) -> None:
    image = pair[0]
    assert metrics.content_error(extractor, image, image) == 0
    assert metrics.style_error(extractor, image, image) == 0
    assert metrics.sliced_wasserstein(extractor, image, image) == 0
    assert metrics.color_cast(image, image) == 0
    assert metrics.ssim(image, image) == pytest.approx(1)


def test_content_error_is_the_relative_squared_error_of_relu4_2(
    extractor: Extractor, pair: tuple[Tensor, Tensor]
) -> None:
    ours, wanted = (extractor(image, ["relu4_2"])["relu4_2"] for image in pair)
    expected = float(((ours - wanted) ** 2).sum() / (wanted**2).sum())
    assert metrics.content_error(extractor, *pair) == pytest.approx(expected, rel=1e-4)


def test_style_error_is_the_mean_relative_error_of_five_gram_matrices(
    extractor: Extractor, pair: tuple[Tensor, Tensor]
) -> None:
    errors = []
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        features = [extractor(image, [layer])[layer] for image in pair]
        ours, wanted = (torch.einsum("bihw,bjhw->ij", f, f) / f[0, 0].numel() for f in features)
        errors.append(float((ours - wanted).norm() / wanted.norm()))
    assert metrics.style_error(extractor, *pair) == pytest.approx(sum(errors) / 5, rel=1e-4)


def test_a_thin_picture_and_its_painting_are_reduced_by_the_same_factor(extractor: Extractor, picture: Picture) -> None:
    output, painting = picture(96, 24, seed=1), picture(96, 96, seed=2)
    found = metrics.measure(extractor, output, picture(96, 24, seed=3), painting)
    by_1_5 = metrics.style_error(extractor, resize(output, (64, 16)), resize(painting, (64, 64)))
    assert found.style_error_half == found.style_error_quarter == pytest.approx(by_1_5, rel=1e-5)
    assert found.style_error_half != pytest.approx(found.style_error, rel=1e-3)


def test_style_error_does_not_depend_on_where_things_are(extractor: Extractor, picture: Picture) -> None:
    image = picture(32, 32).repeat(1, 1, 6, 6)
    moved = image.roll((16, 16), dims=(-2, -1))
    assert metrics.style_error(extractor, moved, image) < 0.25 * metrics.style_error(extractor, 1 - image, image)


def test_quantiles_give_the_wasserstein_distance_of_scipy() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(size=4000), generator.exponential(size=4000)
    rows = [metrics._quantiles(torch.from_numpy(values)[None], count=4000) for values in (ours, theirs)]
    distance = float((rows[0] - rows[1]).abs().mean())
    assert distance == pytest.approx(wasserstein_distance(ours, theirs), rel=1e-6)


def gray(lightness: float, height: int = 8, width: int = 8) -> Tensor:
    """A flat gray of that CIE L."""
    y = ((lightness + 16) / 116) ** 3
    return torch.full((1, 3, height, width), 1.055 * y ** (1 / 2.4) - 0.055, dtype=torch.float64)


def test_color_cast_of_two_grays_is_the_difference_of_their_lightness() -> None:
    assert metrics.color_cast(gray(70), gray(45, 20, 30)) == pytest.approx(25, abs=1e-6)
    assert metrics.color_cast(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)) == pytest.approx(100, abs=1e-6)


def test_color_cast_sees_the_mean_and_not_what_it_is_made_of() -> None:
    halves = torch.cat([gray(30), gray(70)], dim=-1)
    assert metrics.color_cast(halves, gray(50)) == pytest.approx(0, abs=1e-6)


def mean_lab(image: Tensor) -> np.ndarray:
    """The mean CIE Lab by the chromaticities of sRGB's primaries and of D65, and the thresholds of CIE 15 as 6 / 29."""
    xy = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06], [0.3127, 0.3290]])
    xyz = np.column_stack([xy, 1 - xy.sum(axis=1)]) / xy[:, 1:]
    white, primaries = xyz[3], xyz[:3].T
    matrix = primaries * np.linalg.solve(primaries, white)
    values = image[0].permute(1, 2, 0).numpy()
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    t = linear @ matrix.T / white
    x, y, z = np.moveaxis(np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29), -1, 0)
    return np.array([np.mean(116 * y - 16), np.mean(500 * (x - y)), np.mean(200 * (y - z))])


def test_color_cast_is_the_distance_of_the_mean_lab(picture: Picture) -> None:
    output, painting = picture(40, 30, seed=1), picture(25, 50, seed=2) ** 3
    expected = np.linalg.norm(mean_lab(output) - mean_lab(painting))
    assert expected > 10
    assert metrics.color_cast(output, painting) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("size", [(200, 300), (20, 10), (1, 1)])
def test_a_picture_without_color_and_one_of_one_color_have_no_grain(size: tuple[int, int], picture: Picture) -> None:
    assert metrics.color_grain(picture(*size)[:, :1].expand(1, 3, *size)) == pytest.approx(0, abs=1e-3)
    assert metrics.color_grain(torch.tensor([0.2, 0.9, 0.5])[:, None, None].expand(1, 3, *size)) == pytest.approx(
        0, abs=1e-6
    )


def test_color_grain_is_that_of_the_calmest_part() -> None:
    lab = torch.full((1, 3, 160, 160), 50.0, dtype=torch.float64)
    lab[:, 1:] = torch.randn(2, 160, 160, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    everywhere = metrics.color_grain(from_lab(lab))
    assert 1 < everywhere < 2**0.5  # two channels of deviation 1, of which the blur leaves some
    lab[:, 1:, 40:] *= 10
    assert metrics.color_grain(from_lab(lab)) == pytest.approx(everywhere, rel=0.1)
    lab[:, 1:, :40] *= 10
    assert metrics.color_grain(from_lab(lab)) == pytest.approx(10 * everywhere, rel=0.1)


def test_ssim_agrees_with_gaussian_windows_of_scipy(pair: tuple[Tensor, Tensor]) -> None:
    weights = np.array([0.299, 0.587, 0.114])
    a, b = ((image[0].permute(1, 2, 0).numpy() @ weights) for image in pair)

    def blur(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, radius=5, mode="nearest")

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, covariance = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    below = (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
    assert metrics.ssim(*pair) == pytest.approx(float((above / below).mean()), abs=1e-9)


def test_border_energy_is_one_for_even_noise_and_large_for_a_frame(picture: Picture) -> None:
    noise = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(0))
    assert metrics.border_energy(noise) == pytest.approx(1, abs=0.1)
    framed = 0.5 + 0.02 * noise
    framed[..., :4, :] = 1
    assert metrics.border_energy(framed) > 5


def test_a_picture_without_an_inside_has_an_even_border() -> None:
    assert metrics.border_energy(torch.rand(1, 3, 20, 300)) == 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_only_saturated_pixels_that_stand_alone_are_specks(value: float) -> None:
    image = torch.full((1, 3, 10, 10), 0.5)
    assert metrics.speck_share(image) == 0
    image[0, 1, 4, 4] = value
    image[0, :, 0, 0] = value
    assert metrics.speck_share(image) == pytest.approx(0.02)
    image[0, 1, 4, 5] = value  # two that touch are no specks
    assert metrics.speck_share(image) == pytest.approx(0.01)


def test_measure_brings_photo_and_painting_to_size(extractor: Extractor, picture: Picture) -> None:
    output, photo, painting = picture(64, 96, seed=1), picture(128, 192, seed=2), picture(150, 100, seed=3)
    found = metrics.measure(extractor, output, photo, painting, style_scale=0.5)
    small_painting = resize(painting, (48, 32))
    assert found.content_error == metrics.content_error(extractor, output, resize(photo, (64, 96)))
    assert found.style_error == metrics.style_error(extractor, output, small_painting)
    halves = resize(output, (32, 48)), resize(small_painting, (24, 16))
    assert found.style_error_half == metrics.style_error(extractor, *halves)
    assert found.color_cast == metrics.color_cast(output, small_painting)
    assert set(found.as_dict()) == set(metrics.Figures.__dataclass_fields__)
