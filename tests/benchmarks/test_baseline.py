"""The yardstick computes what preset ``classic`` computes."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice

import pytest
import torch
from torch import Tensor

from benchmarks.baseline import Baseline, Descent, picture_of, preprocessed
from impasto.features import Extractor
from impasto.networks import VGG19
from impasto.presets import resolve_spec
from impasto.targets import style_transfer_objective

Picture = Callable[..., Tensor]


@pytest.fixture
def random_weights() -> dict[str, Tensor]:
    """Numbers in the shapes of VGG-19, of such a size that features neither die nor explode."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=generator) * (2 / (9 * shape[1])) ** 0.5
        if len(shape) == 4
        else torch.zeros(shape)
        for name, shape in VGG19.tensor_shapes.items()
    }


def test_its_objective_is_that_of_the_preset_classic(random_weights: dict[str, Tensor], picture: Picture) -> None:
    content, style, pixels = (
        picture(*size, seed=seed).float() for seed, size in enumerate([(32, 48), (40, 32), (32, 48)])
    )
    baseline = Baseline(random_weights, content, style)
    start = preprocessed(pixels).requires_grad_()
    loss = baseline.loss(start)
    (gradient,) = torch.autograd.grad(loss, start)
    ours = style_transfer_objective(
        Extractor(VGG19, random_weights, padding="zeros"), content, style, resolve_spec("classic")
    )(pixels)
    assert float(ours.loss) == pytest.approx(float(loss.detach()), rel=1e-4)
    expected = gradient.flip(1) * 255
    assert (ours.gradient - expected).norm() < 1e-3 * expected.norm()


def test_its_steps_are_those_of_a_single_call_of_torch(random_weights: dict[str, Tensor], picture: Picture) -> None:
    baseline = Baseline(random_weights, picture(32, 32, seed=1).float(), picture(32, 32, seed=2).float())
    steps = list(islice(baseline.steps(), 8))
    pixels = preprocessed(baseline.content).requires_grad_()
    losses: list[float] = []

    def closure() -> Tensor:
        solver.zero_grad()
        loss = baseline.loss(pixels)
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    solver = torch.optim.LBFGS(
        [pixels], max_iter=8, max_eval=8, history_size=100, tolerance_grad=-1, tolerance_change=-1
    )
    solver.step(closure)
    assert [step.loss for step in steps] == pytest.approx(losses, rel=1e-4)
    assert steps[-1].loss < steps[0].loss
    assert float(baseline.loss(steps[-1].pixels).detach()) == pytest.approx(steps[-1].loss, rel=1e-5)
    assert bool(((steps[-1].picture >= 0) & (steps[-1].picture <= 1)).all())


def test_a_descent_that_was_put_away_goes_on_to_the_last_bit_the_same(
    random_weights: dict[str, Tensor], picture: Picture
) -> None:
    baseline = Baseline(random_weights, picture(32, 32, seed=1).float(), picture(32, 32, seed=2).float(), history=4)
    whole, begun, resumed = Descent(baseline), Descent(baseline), Descent(baseline)
    expected = [whole.step() for _ in range(12)][-1]
    for _ in range(7):
        begun.step()
    file = io.BytesIO()
    torch.save(begun.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file))
    last = [resumed.step() for _ in range(5)][-1]
    assert resumed.losses == whole.losses
    assert torch.equal(last.pixels, expected.pixels)


def test_pixels_are_preprocessed_and_brought_back(picture: Picture) -> None:
    image = picture(5, 7).float()
    torch.testing.assert_close(picture_of(preprocessed(image)), image)
