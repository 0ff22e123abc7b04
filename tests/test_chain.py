"""The way back through the network, written by hand, against autograd's."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from impasto.chain import Chain
from impasto.networks import Network

Picture = Callable[..., Tensor]
TAPS = (
    ("relu5_1",),
    ("relu1_1",),
    ("relu1_2", "relu2_1"),
    ("relu1_1", "relu2_2", "relu3_1", "relu4_2"),
    ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"),
)


@pytest.fixture
def chain(tiny: Network, tiny_weights: dict[str, Tensor]) -> Chain:
    return Chain(tiny, {name: tensor.double() for name, tensor in tiny_weights.items()})


def learning(chain: Chain) -> Chain:
    """The same, left to autograd."""
    return replace(chain, weights={name: tensor.clone().requires_grad_() for name, tensor in chain.weights.items()})


def pulled(seen: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """The gradient in the pixels of a sum in which each value of each layer has a weight of its own."""
    generator = torch.Generator().manual_seed(1)
    total = sum((tensor * torch.randn(tensor.shape, generator=generator).to(tensor)).sum() for tensor in seen.values())
    assert isinstance(total, Tensor)
    (gradient,) = torch.autograd.grad(total, pixels, retain_graph=True)
    return gradient


@pytest.mark.parametrize("taps", TAPS, ids=lambda taps: taps[-1] + f"-{len(taps)}")
@pytest.mark.parametrize("size", [(32, 48), (17, 31), (16, 16), (33, 50), (16, 80), (80, 17)])
@pytest.mark.parametrize(("padding", "pooling"), list(product(("reflect", "replicate", "zeros"), ("max", "average"))))
def test_it_is_autograds(
    padding: str, pooling: str, size: tuple[int, int], taps: tuple[str, ...], chain: Chain, picture: Picture
) -> None:
    chain = replace(chain, padding=padding, pooling=pooling)
    pixels = (100 * picture(*size) - 50).requires_grad_()
    ours, expected = chain(pixels, taps), learning(chain)(pixels, taps)
    assert set(ours) == set(expected) == set(taps)
    for layer, tensor in expected.items():
        assert torch.equal(ours[layer], tensor), layer
    torch.testing.assert_close(pulled(ours, pixels), pulled(expected, pixels), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(17, 31), (16, 80), (16, 16)])
@pytest.mark.parametrize(("padding", "pooling"), list(product(("reflect", "replicate", "zeros"), ("max", "average"))))
def test_zeros_that_are_put_around_beforehand_change_nothing(
    padding: str, pooling: str, size: tuple[int, int], chain: Chain, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.chain._rounds", lambda _: True)
    test_it_is_autograds(padding, pooling, size, TAPS[-1], chain, picture)


def test_layers_from_which_nothing_comes_back_are_passed(chain: Chain, picture: Picture) -> None:
    pixels = picture(32, 32).requires_grad_()
    seen = chain(pixels, ["relu1_1", "relu3_1", "relu5_1"])
    (gradient,) = torch.autograd.grad(seen["relu3_1"].square().sum(), pixels)
    (expected,) = torch.autograd.grad(learning(chain)(pixels, ["relu3_1"])["relu3_1"].square().sum(), pixels)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


def test_the_way_can_be_gone_twice(chain: Chain, picture: Picture) -> None:
    pixels = picture(32, 32).requires_grad_()
    seen = chain(pixels, ["relu1_1", "relu4_2"])
    assert torch.equal(pulled(seen, pixels), pulled(seen, pixels))


def test_memory_is_held_to_its_bounds_before_each_convolution_there_and_back(
    chain: Chain, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    monkeypatch.setattr("impasto.chain.stay_within_bounds", lambda: looks.append(None))
    pixels = picture(32, 32).requires_grad_()
    seen = chain(pixels, ["relu2_1"])  # the third convolution
    there = len(looks)
    assert there >= 3
    pulled(seen, pixels)
    assert len(looks) - there >= 3


def test_gradients_that_come_in_stay_as_they_are(chain: Chain, picture: Picture) -> None:
    pixels = picture(32, 32).requires_grad_()
    seen = chain(pixels, ["relu2_1", "relu3_1"])
    given = [torch.randn_like(tensor) for tensor in seen.values()]
    before = [tensor.clone() for tensor in given]
    torch.autograd.grad(list(seen.values()), pixels, given)
    assert all(map(torch.equal, given, before))


def test_a_batch_comes_back_picture_by_picture(chain: Chain, picture: Picture) -> None:
    pixels = torch.cat([picture(32, 24, seed=seed) for seed in range(2)]).requires_grad_()
    (together,) = torch.autograd.grad(chain(pixels, ["relu4_1"])["relu4_1"].square().sum(), pixels)
    for each, gradient in zip(pixels.detach(), together, strict=True):
        alone = each[None].requires_grad_()
        (expected,) = torch.autograd.grad(chain(alone, ["relu4_1"])["relu4_1"].square().sum(), alone)
        torch.testing.assert_close(gradient[None], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_with_fewer_digits_it_errs_no_more_than_autograd(dtype: torch.dtype, chain: Chain, picture: Picture) -> None:
    pixels = (100 * picture(32, 48) - 50).requires_grad_()
    expected = pulled(chain(pixels, TAPS[-1]), pixels)
    rough = replace(chain, weights={name: tensor.to(dtype) for name, tensor in chain.weights.items()})
    signal = pixels.detach().to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    ours, autograds = (pulled(look(signal, TAPS[-1]), signal) for look in (rough, learning(rough)))
    assert ours.dtype == dtype
    assert (ours.double() - expected).norm() < 1.1 * (autograds.double() - expected).norm() + 1e-6 * expected.norm()


def test_a_way_back_that_was_broken_off_is_not_gone_on_with(
    chain: Chain, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = picture(32, 32).requires_grad_()
    seen = chain(pixels, ["relu1_1", "relu4_2"])
    expected = pulled(chain(pixels, ["relu1_1", "relu4_2"]), pixels)
    with monkeypatch.context() as patch:
        patch.setattr("impasto.chain._blank", out_of_memory)
        with pytest.raises(MemoryError):
            pulled(seen, pixels)
    assert torch.equal(pulled(seen, pixels), expected)


def out_of_memory(*_: object) -> Tensor:
    raise MemoryError


def test_writing_into_a_layer_is_noticed(chain: Chain, picture: Picture) -> None:
    pixels = picture(32, 32).requires_grad_()
    seen = chain(pixels, ["relu1_1", "relu3_1"])
    with torch.no_grad():
        seen["relu1_1"].zero_()
    with pytest.raises(RuntimeError, match="written into"):
        pulled({"relu3_1": seen["relu3_1"]}, pixels)


def test_weights_that_learn_get_gradients_of_any_order(chain: Chain, picture: Picture) -> None:
    name = "conv1_2.bias"
    pixels = (100 * picture(16, 16) - 50).requires_grad_()

    def steepness(bias: Tensor) -> Tensor:
        seen = replace(chain, weights={**chain.weights, name: bias})(pixels, ["relu2_1"])["relu2_1"]
        (gradient,) = torch.autograd.grad(seen.square().sum(), pixels, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(steepness, chain.weights[name].clone().requires_grad_())


def test_a_look_that_is_not_followed_back_leaves_nothing_behind(chain: Chain, picture: Picture) -> None:
    mine = replace(chain)
    trace = weakref.ref(mine)
    gc.disable()
    try:
        seen = mine(picture(32, 32).requires_grad_(), ["relu1_1", "relu3_1"])
        del mine, seen
        assert trace() is None, "only the collector of cycles would free what the way back needs"
    finally:
        gc.enable()
