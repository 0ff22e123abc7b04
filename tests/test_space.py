"""Distances in the teacher's space, without its channels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.moments import moments
from impasto.space import OWN, TeachersSpace


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def space_of(affine: Tensor) -> TeachersSpace:
    return TeachersSpace.of_map(affine, device=torch.device("cpu"), dtype=affine.dtype)


def mapped(affine: Tensor, features: Tensor) -> Tensor:
    """A (f, 1) at each position, the plain way."""
    return torch.einsum("oc,bchw->bohw", affine[:, :-1], features) + affine[:, -1].view(1, -1, 1, 1)


@pytest.mark.parametrize("teachers", [3, 6, 20], ids=["fewer channels", "one more", "many more"])
def test_features_are_as_far_apart_as_in_the_teachers_space(teachers: int) -> None:
    affine, one, other = random(teachers, 6), random(1, 5, 4, 7, seed=1), random(1, 5, 4, 7, seed=2)
    space = space_of(affine)
    expected = (mapped(affine, one) - mapped(affine, other)).square().sum()
    torch.testing.assert_close((space.features(one) - space.features(other)).square().sum(), expected)
    torch.testing.assert_close(space.features(one).square().sum(), mapped(affine, one).square().sum())


@pytest.mark.parametrize("teachers", [3, 6, 20])
def test_gram_matrices_are_as_far_apart_as_in_the_teachers_space(teachers: int) -> None:
    affine, one, other = random(teachers, 6), random(1, 5, 4, 7, seed=1), random(1, 5, 9, 3, seed=2)
    space = space_of(affine)
    theirs = [moments(mapped(affine, features)).gram for features in (one, other)]
    ours = [space.statistics(moments(features)) for features in (one, other)]
    torch.testing.assert_close(space.energy(ours[0] - ours[1]), (theirs[0] - theirs[1]).square().sum())
    torch.testing.assert_close(space.energy(ours[0]), theirs[0].square().sum())


def test_a_map_that_changes_nothing_is_the_own_space() -> None:
    affine = torch.cat([torch.eye(5), torch.zeros(5, 1)], dim=1).double()
    space, features = space_of(affine), random(1, 5, 4, 4)
    expected = moments(features).gram.square().sum()
    for each in (space, OWN):
        torch.testing.assert_close(each.energy(each.statistics(moments(features))), expected)
    assert OWN.features(features) is features
    torch.testing.assert_close(OWN.statistics(moments(features)), moments(features).gram)


def test_bfloat16_features_stay_bfloat16() -> None:
    space = space_of(random(9, 6).float())
    assert space.features(random(1, 5, 4, 4).bfloat16()).dtype == torch.bfloat16
    assert space.energy(space.statistics(moments(random(1, 5, 4, 4).bfloat16()))).dtype == torch.float64


def test_the_factor_is_found_on_the_cpu_wherever_it_goes() -> None:
    """Apple's GPUs have no QR."""
    space = TeachersSpace.of_map(random(9, 6), device=torch.device("meta"), dtype=torch.float32)
    for matrix in (space.factor, space.metric):
        assert (matrix.device.type, matrix.dtype) == ("meta", torch.float32)
