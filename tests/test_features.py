from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.features import Extractor
from impasto.networks import VGG19, Network

Weights = dict[str, Tensor]
Picture = Callable[..., Tensor]
Look = Callable[[Tensor], dict[str, Tensor]]
PADDINGS = ("zeros", "replicate", "reflect")
POOLINGS = ("max", "average")


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_every_layer_is_that_of_a_plain_stack_of_modules(
    padding: str,
    pooling: str,
    tiny: Network,
    tiny_weights: Weights,
    plain_stack: Callable[..., Look],
    picture: Picture,
) -> None:
    image = picture(38, 53)
    ours = Extractor(tiny, tiny_weights, dtype=torch.float64, padding=padding, pooling=pooling)  # type: ignore[arg-type]
    seen = ours(image, tiny.layers)
    for layer, expected in plain_stack(tiny, tiny_weights, padding, pooling)(image).items():
        torch.testing.assert_close(seen[layer], expected, msg=lambda text, layer=layer: f"{layer}: {text}")


@pytest.mark.weights
@pytest.mark.parametrize("padding", PADDINGS)
def test_every_layer_of_vgg19_is_that_of_a_plain_stack_of_modules(
    padding: str, vgg19: Weights, plain_stack: Callable[..., Look], picture: Picture
) -> None:
    image = picture(48, 64).float()
    seen = Extractor(VGG19, vgg19, padding=padding)(image, VGG19.layers)  # type: ignore[arg-type]
    for layer, expected in plain_stack(VGG19, vgg19, padding, dtype=torch.float32)(image).items():
        assert (seen[layer] - expected).norm() < 1e-5 * expected.norm(), layer


def test_only_the_layers_asked_for_are_returned(extractor: Extractor, picture: Picture) -> None:
    assert set(extractor(picture(32, 32), ["relu4_2", "relu1_1"])) == {"relu1_1", "relu4_2"}
    assert extractor(picture(32, 32), []) == {}


def test_the_network_is_followed_no_deeper_than_asked(extractor: Extractor, picture: Picture) -> None:
    # One pixel is enough for the first block, and not for a pooling.
    assert extractor(picture(1, 1), ["relu1_1", "relu1_2"])["relu1_2"].shape == (1, 4, 1, 1)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 400), (33, 16)])
@pytest.mark.parametrize("padding", PADDINGS)
def test_a_layer_is_as_large_as_its_stride_says(
    size: tuple[int, int], padding: str, tiny: Network, tiny_weights: Weights, picture: Picture
) -> None:
    ours = Extractor(tiny, tiny_weights, padding=padding)  # type: ignore[arg-type]
    for layer, tensor in ours(picture(*size).float(), tiny.layers).items():
        stride = tiny.stride(layer)
        assert tensor.shape[-2:] == (size[0] // stride, size[1] // stride)
        assert bool((tensor >= 0).all())


def test_an_unknown_layer_is_refused(extractor: Extractor, picture: Picture) -> None:
    with pytest.raises(OptionError, match="relu4_2"):
        extractor(picture(32, 32), ["relu4_22"])


def test_pixels_become_blue_green_red_minus_the_means(extractor: Extractor) -> None:
    image = torch.tensor([10, 20, 30]).view(1, 3, 1, 1).double() / 255
    expected = torch.tensor([30 - 103.939, 20 - 116.779, 10 - 123.68]).view(1, 3, 1, 1).double()
    torch.testing.assert_close(extractor.preprocess(image), expected, atol=1e-5, rtol=0)


def test_a_batch_is_seen_picture_by_picture(extractor: Extractor, picture: Picture) -> None:
    images = [picture(32, 32, seed=seed) for seed in range(2)]
    together = extractor(torch.cat(images), ["relu3_1"])["relu3_1"]
    torch.testing.assert_close(together, torch.cat([extractor(image, ["relu3_1"])["relu3_1"] for image in images]))


@pytest.mark.parametrize("padding", ["replicate", "reflect"])
def test_a_flat_picture_shows_no_frame(padding: str, tiny: Network, tiny_weights: Weights) -> None:
    ours = Extractor(tiny, tiny_weights, dtype=torch.float64, padding=padding)  # type: ignore[arg-type]
    for layer, tensor in ours(torch.full((1, 3, 32, 48), 0.3).double(), tiny.layers).items():
        spread = tensor.amax(dim=(2, 3)) - tensor.amin(dim=(2, 3))
        assert spread.max() < 1e-9 * tensor.abs().max(), layer


def test_zero_padding_draws_a_frame(tiny: Network, tiny_weights: Weights) -> None:
    ours = Extractor(tiny, tiny_weights, dtype=torch.float64, padding="zeros")
    seen = ours(torch.full((1, 3, 32, 48), 0.3).double(), ["relu2_1"])["relu2_1"]
    assert (seen.amax(dim=(2, 3)) - seen.amin(dim=(2, 3))).max() > 0.01 * seen.max()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_the_gradient_in_the_pixels_is_right(
    padding: str, pooling: str, tiny: Network, tiny_weights: Weights, picture: Picture
) -> None:
    ours = Extractor(tiny, tiny_weights, dtype=torch.float64, padding=padding, pooling=pooling)  # type: ignore[arg-type]
    image = picture(16, 20).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: tuple(ours(x, ["relu1_1", "relu3_2", "relu5_1"]).values()), image, fast_mode=True
    )


def test_bfloat16_is_close_to_float64(
    extractor: Extractor, tiny: Network, tiny_weights: Weights, picture: Picture
) -> None:
    image = picture(32, 48)
    ours = Extractor(tiny, tiny_weights, dtype=torch.bfloat16)(image.float(), tiny.layers)
    for layer, exact in extractor(image, tiny.layers).items():
        assert ours[layer].dtype == torch.bfloat16
        assert (ours[layer].double() - exact).norm() < 0.05 * exact.norm(), layer


def test_looking_leaves_picture_and_weights_as_they_are(tiny: Network, tiny_weights: Weights, picture: Picture) -> None:
    image, before = picture(32, 32).float(), {name: tensor.clone() for name, tensor in tiny_weights.items()}
    copy = image.clone()
    Extractor(tiny, tiny_weights)(image, tiny.layers)
    assert torch.equal(image, copy)
    assert all(torch.equal(tiny_weights[name], tensor) for name, tensor in before.items())
