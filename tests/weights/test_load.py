"""Reading weights, and what is said when there are none or they are damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.errors import InputError, MissingWeightsError
from impasto.features import Extractor
from impasto.networks import VGG19, Network
from impasto.weights import import_weights, load_weights, verify_weights

from .conftest import assert_equal, in_sequence, write_keras
from .test_pickled import save

Weights = dict[str, Tensor]


def test_missing_weights_are_reported_with_the_way_to_get_them(cache: Path, tiny: Network) -> None:
    with pytest.raises(
        MissingWeightsError, match=r"(?s)tiny.*impasto weights get tiny.*https://example.org/tiny.h5.*weights import"
    ) as missing:
        load_weights(tiny)
    assert missing.value.exit_code == 3
    assert not cache.exists()  # nothing was even tried


@pytest.mark.parametrize("damage", ["short", "foreign", "empty"])
@pytest.mark.parametrize("read", [load_weights, verify_weights])
def test_damaged_weights_in_the_cache_are_reported(
    damage: str, read: Callable[[Network], object], cache: Path, tiny: Network, tiny_weights: Weights
) -> None:
    path = cache / "weights" / "tiny.safetensors"
    path.parent.mkdir(parents=True)
    save_file(tiny_weights if damage == "short" else {"conv1_1.weight": torch.zeros(1)}, path)
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-100])
    if damage == "empty":
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"(?s)tiny\.safetensors"):
        read(tiny)


def test_a_file_that_is_named_comes_before_all_others(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    doubled = {name: 2 * tensor for name, tensor in tiny_weights.items()}
    assert_equal(load_weights(tiny, file=write_keras(tmp_path / "mine.h5", doubled)), doubled)
    assert_equal(load_weights(tiny), tiny_weights)


def test_a_file_that_is_named_has_to_be_of_the_network(cache: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    path = write_keras(tmp_path / "mine.h5", tiny_weights)
    with pytest.raises(InputError, match=r"mine\.h5' has the shapes of tiny, not of vgg19.* use --network tiny"):
        load_weights(VGG19, file=path)
    with pytest.raises(InputError, match="no file"):
        load_weights(VGG19, file=tmp_path / "nowhere.h5")


def test_sound_weights_are_verified(cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="not on this machine"):
        verify_weights(tiny)
    _, kept = import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    assert verify_weights(tiny) == (kept, True)
    save_file(tiny_weights, kept)
    assert verify_weights(tiny) == (kept, False)


@pytest.mark.parametrize("read", [load_weights, verify_weights])
def test_a_single_bit_that_fell_over_is_found(
    read: Callable[[Network], object], cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    _, kept = import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    data = bytearray(kept.read_bytes())
    data[-3] ^= 1
    kept.write_bytes(data)
    with pytest.raises(
        InputError, match=r"tiny\.safetensors' have changed since they were kept: delete .*'impasto weights get tiny'"
    ):
        read(tiny)


def test_weights_without_a_fingerprint_are_read(cache: Path, tiny: Network, tiny_weights: Weights) -> None:
    path = cache / "weights" / "tiny.safetensors"
    path.parent.mkdir(parents=True)
    for metadata in (None, {"network": "tiny"}):
        save_file(tiny_weights, path, metadata)
        assert_equal(load_weights(tiny), tiny_weights)


def test_values_that_are_not_finite_are_found(cache: Path, tiny: Network, tiny_weights: Weights) -> None:
    path = cache / "weights" / "tiny.safetensors"
    path.parent.mkdir(parents=True)
    save_file(tiny_weights | {"conv5_4.bias": torch.full((8,), torch.nan)}, path)
    with pytest.raises(InputError, match="not finite"):
        verify_weights(tiny)


def torchvisions_features(network: Network) -> nn.Sequential:
    """The ``features`` of torchvision.models.vgg19, as wide as ``network``."""
    modules: list[nn.Module] = []
    channels = 3
    for widths in network.blocks:
        for width in widths:
            modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        modules.append(nn.MaxPool2d(2))
    return nn.Sequential(*modules)


@pytest.mark.parametrize("form", ["zip", "bare"])
def test_the_network_of_torchvision_sees_what_torchvisions_own_sees(
    form: str, narrow: Network, tiny_weights: Weights, tmp_path: Path, photo: Tensor
) -> None:
    states = {name: value for name, value in in_sequence(tiny_weights).items() if name.startswith("features.")}
    features = torchvisions_features(narrow)
    features.load_state_dict({name.removeprefix("features."): value for name, value in states.items()})
    import_weights(save(in_sequence(tiny_weights), tmp_path / "any.pth", form))

    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalized = (photo - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    with torch.no_grad():
        expected = {"relu1_1": features[:2](normalized), "relu4_2": features[:23](normalized)}
    seen = Extractor(narrow, load_weights(narrow), padding="zeros")(photo, list(expected))
    for layer, tensor in expected.items():
        assert torch.allclose(seen[layer], tensor, atol=1e-5), layer
        assert tensor.std() > 0


@pytest.mark.weights
def test_the_trained_weights_are_finite_and_those_of_vgg19(vgg19: Weights) -> None:
    assert {name: tuple(tensor.shape) for name, tensor in vgg19.items()} == VGG19.tensor_shapes
    assert all(bool(torch.isfinite(tensor).all()) for tensor in vgg19.values())
    # The first kernels are smooth color and edge filters, far from noise: neighbors resemble each other.
    first = vgg19["conv1_1.weight"]
    assert torch.corrcoef(torch.stack([first[..., :2].flatten(), first[..., 1:].flatten()]))[0, 1] > 0.1
