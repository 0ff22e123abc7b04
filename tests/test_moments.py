from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.moments import Moments, moments

shapes = st.tuples(st.integers(1, 7), st.integers(1, 12), st.integers(1, 12))


def random_features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, *shape, generator=generator, dtype=torch.float64).relu().to(dtype)


def assert_same(one: Moments, other: Moments) -> None:
    assert one.count == pytest.approx(other.count)
    torch.testing.assert_close(one.sum, other.sum)
    torch.testing.assert_close(one.second, other.second)


@given(shapes)
def test_the_gram_matrix_is_an_einsum_over_positions(shape: tuple[int, int, int]) -> None:
    features = random_features(*shape)
    expected = torch.einsum("bihw,bjhw->ij", features, features) / (shape[1] * shape[2])
    torch.testing.assert_close(moments(features).gram, expected)


@given(shapes, st.data())
def test_two_parts_merge_into_the_whole(shape: tuple[int, int, int], data: st.DataObject) -> None:
    features = random_features(*shape)
    axis = data.draw(st.sampled_from([2, 3]))
    cut = data.draw(st.integers(0, features.shape[axis]))
    first, second = features.split([cut, features.shape[axis] - cut], dim=axis)
    assert_same(moments(first) + moments(second), moments(features))


def test_merging_is_commutative_and_associative() -> None:
    a, b, c = (moments(random_features(4, 3, 5, seed=seed)) for seed in range(3))
    assert_same(a + b, b + a)
    assert_same((a + b) + c, a + (b + c))


def test_counting_twice_is_adding_to_itself() -> None:
    one = moments(random_features(4, 3, 5))
    assert_same(2 * one, one + one)
    assert_same(one * 2, 2 * one)


def test_counting_more_often_leaves_the_averages() -> None:
    one = moments(random_features(4, 3, 5))
    torch.testing.assert_close((3 * one).gram, one.gram)
    torch.testing.assert_close((3 * one).mean, one.mean)


def test_a_repeated_picture_has_the_gram_matrix_of_one() -> None:
    features = random_features(4, 3, 5)
    torch.testing.assert_close(moments(features.repeat(1, 1, 2, 3)).gram, moments(features).gram)


@given(shapes)
def test_mean_and_covariance_are_those_of_torch(shape: tuple[int, int, int]) -> None:
    features = random_features(*shape)
    seen = moments(features)
    torch.testing.assert_close(seen.mean, features.mean(dim=(0, 2, 3)))
    expected = torch.cov(features[0].flatten(1), correction=0).reshape(shape[0], shape[0])
    torch.testing.assert_close(seen.covariance, expected)


def test_the_gram_matrix_does_not_depend_on_the_memory_format() -> None:
    features = random_features(4, 3, 5)
    assert_same(moments(features.contiguous(memory_format=torch.channels_last)), moments(features))


def test_the_gradient_is_right() -> None:
    features = random_features(3, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: (moments(x).sum, moments(x).second), features)


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [(torch.float64, torch.float64), (torch.float32, torch.float32), (torch.bfloat16, torch.float64)],
)
def test_sums_are_kept_wide(dtype: torch.dtype, wide: torch.dtype) -> None:
    seen = moments(random_features(4, 6, 7, dtype=dtype))
    assert (seen.sum.dtype, seen.second.dtype) == (wide, wide)


@given(st.integers(1, 9), st.integers(1, 9))
def test_bfloat16_features_of_any_size_agree_with_float64(height: int, width: int) -> None:
    features = random_features(5, height, width, dtype=torch.bfloat16)
    exact, ours = moments(features.double()), moments(features)
    assert ours.count == exact.count
    torch.testing.assert_close(ours.sum.double(), exact.sum, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.second.double(), exact.second, rtol=5e-3, atol=1e-5)


def test_bfloat16_sums_over_many_positions_do_not_saturate() -> None:
    # A bfloat16 counter stops at 256, a float16 one overflows at 65504.
    features = random_features(6, 300, 400, dtype=torch.bfloat16)
    exact, ours = moments(features.double()).gram, moments(features).gram.double()
    assert (ours - exact).norm() / exact.norm() < 2e-3


def test_bfloat16_moments_are_differentiable() -> None:
    features = random_features(3, 5, 5, dtype=torch.bfloat16).requires_grad_()
    moments(features).second.sum().backward()
    exact = features.detach().double().requires_grad_()
    moments(exact).second.sum().backward()
    assert features.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(features.grad.double(), exact.grad, rtol=0.02, atol=0.02)


def random_mask(height: int, width: int, seed: int = 3) -> Tensor:
    """1 x 1 x H x W of 0 and 1, the first one 1."""
    mask = (torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed)) > 0.5).double()
    mask[..., 0, 0] = 1
    return mask


@given(shapes)
def test_hidden_positions_do_not_count(shape: tuple[int, int, int]) -> None:
    features, mask = random_features(*shape), random_mask(*shape[1:])
    visible = features[..., mask[0, 0] == 1][..., None]
    assert_same(moments(features, mask), moments(visible))


def test_what_stands_in_hidden_positions_does_not_change_a_bit() -> None:
    features, mask = random_features(4, 3, 5), random_mask(3, 5)
    other = torch.where(mask == 1, features, random_features(4, 3, 5, seed=1))
    one, two = moments(features, mask), moments(other, mask)
    assert one.count == two.count
    assert torch.equal(one.sum, two.sum)
    assert torch.equal(one.second, two.second)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_where_all_is_visible_nothing_changes(dtype: torch.dtype) -> None:
    features = random_features(4, 6, 7, dtype=dtype)
    one, other = moments(features, torch.ones(1, 1, 6, 7)), moments(features)
    assert one.count == other.count
    assert torch.equal(one.sum, other.sum)
    assert torch.equal(one.second, other.second)


@given(shapes, st.data())
def test_two_parts_of_a_half_transparent_picture_merge_into_the_whole(
    shape: tuple[int, int, int], data: st.DataObject
) -> None:
    features, visible = random_features(*shape), random_features(1, *shape[1:], seed=5).clamp(0, 1)
    axis = data.draw(st.sampled_from([2, 3]))
    cut = data.draw(st.integers(0, features.shape[axis]))
    sizes = [cut, features.shape[axis] - cut]
    parts = zip(features.split(sizes, dim=axis), visible.split(sizes, dim=axis), strict=True)
    first, second = (moments(*part) for part in parts)
    assert_same(first + second, moments(features, visible))


@given(shapes)
def test_a_position_counts_as_far_as_it_is_visible(shape: tuple[int, int, int]) -> None:
    features, weight = random_features(*shape), random_features(1, *shape[1:], seed=5).clamp(0, 1)
    seen = moments(features, weight)
    assert seen.count == pytest.approx(float(weight.sum()))
    torch.testing.assert_close(seen.sum, torch.einsum("bihw,bchw->i", features, weight))
    torch.testing.assert_close(seen.second, torch.einsum("bihw,bjhw,bchw->ij", features, features, weight))


def test_equal_transparency_everywhere_leaves_the_averages() -> None:
    features = random_features(4, 3, 5)
    seen = moments(features, torch.full((1, 1, 3, 5), 0.3, dtype=torch.float64))
    torch.testing.assert_close(seen.gram, moments(features).gram)
    torch.testing.assert_close(seen.mean, moments(features).mean)


def test_the_gradient_is_right_where_some_is_hidden() -> None:
    features = random_features(3, 2, 4).requires_grad_()
    visible = random_mask(2, 4) * 0.7
    assert torch.autograd.gradcheck(lambda x: (moments(x, visible).sum, moments(x, visible).second), features)
    moments(features, visible).second.sum().backward()
    assert features.grad is not None
    assert features.grad[(visible == 0).expand_as(features)].abs().max() == 0


def test_bfloat16_features_half_visible_agree_with_float64() -> None:
    features, visible = random_features(5, 9, 7, dtype=torch.bfloat16), random_features(1, 9, 7, seed=5).clamp(0, 1)
    exact, ours = moments(features.double(), visible), moments(features, visible.float())
    assert (ours.second.dtype, ours.sum.dtype) == (torch.float64, torch.float64)
    torch.testing.assert_close(ours.sum, exact.sum, rtol=1e-5, atol=1e-5)
    assert (ours.second - exact.second).norm() / exact.second.norm() < 5e-3


@pytest.mark.parametrize("stride", [1, 4, 16])
@pytest.mark.parametrize("hides", [False, True])
def test_in_bfloat16_parts_that_are_cut_between_blocks_add_up_to_the_same_bits(stride: int, hides: bool) -> None:
    height, width, cut = 700 // stride, 530 // stride, 256 // stride
    features = random_features(6, height, width, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    visible = random_features(1, height, width, seed=5).clamp(0, 1).float() if hides else None
    rows, columns = (slice(cut), slice(cut, None)), (slice(2 * cut), slice(2 * cut, None))
    parts = [
        moments(features[..., y, x], None if visible is None else visible[..., y, x], stride=stride)
        for x in columns
        for y in rows
    ]
    whole, total = moments(features, visible, stride=stride), parts[0] + parts[1] + parts[2] + parts[3]
    assert torch.equal(total.second, whole.second)
    assert torch.equal(total.sum, whole.sum)
    elsewhere = moments(features[..., :100, :], stride=stride) + moments(features[..., 100:, :], stride=stride)
    if not hides and stride == 1:
        assert not torch.equal(elsewhere.second, whole.second)


def test_blocks_are_as_precise_as_the_whole() -> None:
    features = random_features(6, 190, 170, dtype=torch.bfloat16)
    exact, whole, ours = moments(features.double()), moments(features), moments(features, stride=4)
    for each, once, wanted in ((ours.second, whole.second, exact.second), (ours.sum, whole.sum, exact.sum)):
        assert (each - wanted).norm() / wanted.norm() < max(5e-4, (once - wanted).norm() / wanted.norm())
