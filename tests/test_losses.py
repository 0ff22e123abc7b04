from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.losses import PIXELS, ContentLoss, Loss, StyleLoss, TotalVariationLoss
from impasto.moments import Moments, moments

LAYER = "relu1_1"


def features(*shape: int, seed: int = 0) -> Tensor:
    """Rectified, most of them away from the kink."""
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).abs() + 0.1


TARGET = features(4, 5, 6, seed=9)
LOSSES: dict[str, tuple[Loss, str]] = {
    "content, relative": (ContentLoss.relative(LAYER, TARGET), LAYER),
    "content, mean squared": (ContentLoss.mean_squared(LAYER, TARGET), LAYER),
    "style, relative": (StyleLoss.relative(LAYER, moments(TARGET)), LAYER),
    "style, mean squared": (StyleLoss.mean_squared(LAYER, moments(TARGET)), LAYER),
    "smoothness, squares": (TotalVariationLoss(2, 100.0), PIXELS),
    "smoothness, more in color": (TotalVariationLoss(2, 100.0, chroma=3.0), PIXELS),
    "smoothness, absolute": (TotalVariationLoss(1, 1 / 255), PIXELS),
}


def value(loss: Loss, key: str, seen: Tensor) -> Tensor:
    return loss.value(loss.summarize({key: seen}))


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_right(name: str) -> None:
    loss, key = LOSSES[name]
    assert torch.autograd.gradcheck(lambda x: value(loss, key, x), features(4, 5, 6).requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_a_scalar_above_zero(name: str) -> None:
    loss, key = LOSSES[name]
    result = value(loss, key, features(4, 5, 6))
    assert result.shape == ()
    assert result > 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_names_the_layers_it_looks_at(name: str) -> None:
    loss, key = LOSSES[name]
    assert loss.layers == (() if key == PIXELS else (key,))


@pytest.mark.parametrize("name", [name for name in LOSSES if "smoothness" not in name])
def test_a_loss_is_zero_at_its_target_and_so_is_its_gradient(name: str) -> None:
    loss, key = LOSSES[name]
    seen = TARGET.clone().requires_grad_()
    result = value(loss, key, seen)
    result.backward()
    assert result == 0
    assert seen.grad is not None
    assert seen.grad.abs().max() == 0


@pytest.mark.parametrize("kind", [ContentLoss, StyleLoss])
def test_a_relative_loss_is_one_where_nothing_is_seen(kind: type[ContentLoss] | type[StyleLoss]) -> None:
    loss: Loss = (
        ContentLoss.relative(LAYER, TARGET) if kind is ContentLoss else StyleLoss.relative(LAYER, moments(TARGET))
    )
    torch.testing.assert_close(value(loss, LAYER, torch.zeros_like(TARGET)), torch.tensor(1.0).double())


@given(st.floats(1e-3, 1e3))
def test_a_relative_loss_does_not_depend_on_the_range_of_the_layer(factor: float) -> None:
    seen = features(4, 5, 6)
    makers: list[Callable[[Tensor], Loss]] = [
        lambda target: ContentLoss.relative(LAYER, target),
        lambda target: StyleLoss.relative(LAYER, moments(target)),
    ]
    for make in makers:
        torch.testing.assert_close(value(make(TARGET * factor), LAYER, seen * factor), value(make(TARGET), LAYER, seen))


@pytest.mark.parametrize("kind", ["content", "style"])
def test_a_layer_that_sees_nothing_in_the_target_gives_a_finite_loss(kind: str) -> None:
    black = torch.zeros(1, 4, 5, 6)
    loss: Loss = ContentLoss.relative(LAYER, black) if kind == "content" else StyleLoss.relative(LAYER, moments(black))
    assert value(loss, LAYER, black) == 0
    assert torch.isfinite(value(loss, LAYER, black + 0.01))


def test_content_is_the_mean_squared_error_of_torch() -> None:
    seen = features(4, 5, 6)
    expected = torch.nn.functional.mse_loss(seen, TARGET)
    torch.testing.assert_close(value(ContentLoss.mean_squared(LAYER, TARGET), LAYER, seen), expected)


def test_style_is_the_mean_squared_error_of_gram_matrices_divided_by_their_numbers() -> None:
    def gram(x: Tensor) -> Tensor:
        flat = x[0].flatten(1)
        return flat @ flat.T / x.numel()

    seen = features(4, 7, 3)
    expected = torch.nn.functional.mse_loss(gram(seen), gram(TARGET))
    torch.testing.assert_close(value(StyleLoss.mean_squared(LAYER, moments(TARGET)), LAYER, seen), expected)


def test_style_forgets_where_things_are() -> None:
    shuffled = TARGET.flatten(2)[..., torch.randperm(30, generator=torch.Generator().manual_seed(0))].view_as(TARGET)
    assert value(StyleLoss.relative(LAYER, moments(TARGET)), LAYER, shuffled) < 1e-20
    assert value(ContentLoss.relative(LAYER, TARGET), LAYER, shuffled) > 0.1


@given(st.integers(1, 4))
def test_the_summary_of_style_adds_over_parts(cut: int) -> None:
    loss, seen = StyleLoss.relative(LAYER, moments(TARGET)), features(4, 5, 6)
    parts = [loss.summarize({LAYER: part}) for part in (seen[:, :, :cut], seen[:, :, cut:])]
    torch.testing.assert_close(loss.value(parts[0] + parts[1]), value(loss, LAYER, seen))


@given(st.integers(1, 4))
def test_the_summary_of_content_adds_over_parts(cut: int) -> None:
    whole, seen = ContentLoss.relative(LAYER, TARGET), features(4, 5, 6)
    parts = [
        ContentLoss(LAYER, TARGET[:, :, rows], whole.scale).summarize({LAYER: seen[:, :, rows]})
        for rows in (slice(0, cut), slice(cut, None))
    ]
    torch.testing.assert_close(whole.value(parts[0] + parts[1]), value(whole, LAYER, seen))


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1), (4, 5)])
def test_total_variation_is_the_sum_over_neighbors(power: int, size: tuple[int, int]) -> None:
    pixels = torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for y in range(size[0]):
        for x in range(size[1]):
            for channel in pixels[0]:
                expected += abs(float(channel[y, x] - channel[y - 1, x])) ** power if y else 0
                expected += abs(float(channel[y, x] - channel[y, x - 1])) ** power if x else 0
    assert float(value(TotalVariationLoss(power, 0.5), PIXELS, pixels)) == pytest.approx(2 * expected)


def test_color_varies_more_than_gray_if_it_counts_more() -> None:
    gray = torch.rand(1, 1, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).expand(1, 3, 6, 7)
    color = gray * torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64)[:, None, None]
    plain, colored = (TotalVariationLoss(2, 1.0, chroma=chroma) for chroma in (1.0, 3.0))
    assert float(value(colored, PIXELS, gray)) == pytest.approx(float(value(plain, PIXELS, gray)))
    assert float(value(colored, PIXELS, gray + color)) == pytest.approx(
        float(value(plain, PIXELS, gray)) + 9 * float(value(plain, PIXELS, color))
    )


def test_a_flat_picture_has_no_variation_and_a_finite_gradient() -> None:
    for power in (1, 2):
        pixels = torch.full((1, 3, 4, 5), 0.5, requires_grad=True)
        value(TotalVariationLoss(power, 1.0), PIXELS, pixels).backward()
        assert pixels.grad is not None
        assert pixels.grad.abs().max() == 0


VISIBLE = torch.rand(1, 1, 5, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64).round(decimals=1)
VISIBLE[..., :2] = 0


def half_hidden(name: str, visible: Tensor | None = VISIBLE) -> Loss:
    target = moments(TARGET, visible)
    return {
        "content, relative": ContentLoss.relative(LAYER, TARGET, visible),
        "content, mean squared": ContentLoss.mean_squared(LAYER, TARGET, visible),
        "style, relative": StyleLoss.relative(LAYER, target, visible),
        "style, mean squared": StyleLoss.mean_squared(LAYER, target, visible),
    }[name]


WITH_LAYERS = [name for name in LOSSES if "smoothness" not in name]


@pytest.mark.parametrize("name", WITH_LAYERS)
def test_what_stands_in_hidden_positions_changes_neither_loss_nor_gradient(name: str) -> None:
    loss, seen = half_hidden(name), features(4, 5, 6).requires_grad_()
    other = torch.where(VISIBLE > 0, seen.detach(), features(4, 5, 6, seed=7)).requires_grad_()
    values = [value(loss, LAYER, given) for given in (seen, other)]
    gradients = [torch.autograd.grad(result, given)[0] for result, given in zip(values, (seen, other), strict=True)]
    assert torch.equal(*values)
    assert torch.equal(*gradients)
    assert gradients[0][(VISIBLE == 0).expand_as(seen)].abs().max() == 0
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("name", WITH_LAYERS)
def test_the_gradient_is_right_where_some_is_hidden(name: str) -> None:
    loss = half_hidden(name)
    assert torch.autograd.gradcheck(lambda x: value(loss, LAYER, x), features(4, 5, 6).requires_grad_())


@pytest.mark.parametrize("name", WITH_LAYERS)
def test_where_all_is_visible_nothing_changes(name: str) -> None:
    seen, everywhere = features(4, 5, 6), torch.ones(1, 1, 5, 6)
    assert torch.equal(value(half_hidden(name, everywhere), LAYER, seen), value(half_hidden(name, None), LAYER, seen))


@pytest.mark.parametrize("name", WITH_LAYERS)
def test_the_visible_part_alone_gives_the_same_loss(name: str) -> None:
    mask = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    mask[..., :4] = 1
    loss, seen = half_hidden(name, mask), features(4, 5, 6)
    target, part = TARGET[..., :4], seen[..., :4]
    alone: dict[str, Loss] = {
        "content, relative": ContentLoss.relative(LAYER, target),
        "content, mean squared": ContentLoss.mean_squared(LAYER, target),
        "style, relative": StyleLoss.relative(LAYER, moments(target)),
        "style, mean squared": StyleLoss.mean_squared(LAYER, moments(target)),
    }
    torch.testing.assert_close(value(loss, LAYER, seen), value(alone[name], LAYER, part))


@given(st.integers(1, 4))
def test_summaries_of_half_transparent_parts_add_up(cut: int) -> None:
    style, content, seen = half_hidden("style, relative"), half_hidden("content, relative"), features(4, 5, 6)

    def summaries(rows: slice) -> tuple[Moments, Tensor]:
        visible, part = VISIBLE[:, :, rows], {LAYER: seen[:, :, rows]}
        of_content = ContentLoss(LAYER, TARGET[:, :, rows], 1.0, visible)
        return StyleLoss(LAYER, TARGET, 1.0, visible).summarize(part), of_content.summarize(part)

    (above, upper), (below, lower) = summaries(slice(0, cut)), summaries(slice(cut, None))
    torch.testing.assert_close(style.value(above + below), value(style, LAYER, seen))
    torch.testing.assert_close(content.value(upper + lower), value(content, LAYER, seen))
