"""What autograd is not to keep is computed once more, with the same values."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from impasto.again import SeenAgain
from impasto.chain import Chain
from impasto.networks import Network

Picture = Callable[..., Tensor]


def test_a_view_of_what_is_forgotten_comes_from_another_look() -> None:
    looks = []

    def see() -> Tensor:
        looks.append(1)
        return torch.arange(12.0).view(3, 4)

    again, start = SeenAgain(), torch.ones(4, requires_grad=True)
    with again.hooks():
        seen = torch.arange(12.0).view(3, 4)
        again.forget(seen, see)
        (seen.T[1:] * start[:3, None]).sum().backward()
    assert start.grad is not None
    assert start.grad.tolist() == [15.0, 18.0, 21.0, 0.0]
    assert looks


def test_what_lies_in_its_place_later_is_kept() -> None:
    again = SeenAgain()
    with again.hooks():
        seen = torch.ones(1000)
        again.forget(seen, pytest.fail)  # type: ignore[arg-type]
        del seen
        other = torch.full((1000,), 2.0, requires_grad=True)
        other.square().sum().backward()
    assert other.grad is not None
    assert other.grad.unique().tolist() == [4.0]


@pytest.mark.parametrize("is_student", [False, True])
def test_the_first_layer_is_forgotten_but_for_students(
    is_student: bool, tiny: Network, tiny_weights: dict[str, Tensor], picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = []
    monkeypatch.setattr(SeenAgain, "forget", lambda _self, tensor, _see: forgotten.append(tensor.shape))
    network = replace(tiny, teacher=tiny) if is_student else tiny
    chain = Chain(network, {name: tensor.double() for name, tensor in tiny_weights.items()})
    dict(chain.look(picture(16, 24).requires_grad_(), ("relu1_1", "relu2_1"), SeenAgain()))
    assert forgotten == ([] if is_student else [(1, 4, 16, 24)])


@pytest.mark.parametrize("layers", [("relu1_1", "relu1_2"), ("relu1_1", "relu1_2", "relu2_1"), ("relu1_2", "relu2_1")])
def test_it_is_the_right_layer_that_is_seen_again(
    layers: tuple[str, ...], tiny: Network, tiny_weights: dict[str, Tensor], picture: Picture
) -> None:
    chain = Chain(tiny, {name: tensor.double() for name, tensor in tiny_weights.items()})
    gradients = []
    for again in (None, SeenAgain()):
        pixels, total = picture(16, 24).requires_grad_(), torch.zeros(())
        with (again or SeenAgain()).hooks():
            for _, features in chain.look(pixels, layers, again):
                total = total + features.flatten(2).matmul(features.flatten(2).mT).square().sum()
        gradients += torch.autograd.grad(total, pixels)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("forgets", [False, True])
def test_the_first_layer_is_not_kept(
    forgets: bool, tiny: Network, tiny_weights: dict[str, Tensor], picture: Picture
) -> None:
    chain = Chain(tiny, {name: tensor.double() for name, tensor in tiny_weights.items()})
    pixels = picture(40, 56).requires_grad_()
    layers, again, total = ["relu1_1", "relu2_1"], SeenAgain() if forgets else None, torch.zeros(())
    with (again or SeenAgain()).hooks():
        for _, features in chain.look(pixels, layers, again):
            total = total + features.pow(3).sum()
    del features
    gc.collect()
    alive = [thing for thing in gc.get_objects() if type(thing) is Tensor and thing.shape == (1, 4, 40, 56)]
    assert bool(alive) != forgets
    (gradient,) = torch.autograd.grad(total, pixels)
    expected = sum(features.pow(3).sum() for features in chain(pixels, layers).values())
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(gradient, *torch.autograd.grad(expected, pixels), rtol=1e-12, atol=1e-12)
