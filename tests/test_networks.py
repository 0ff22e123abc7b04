import math

import pytest

from impasto.errors import OptionError
from impasto.networks import NETWORKS, VGG19, Network, get_network


def test_vgg19_has_the_published_number_of_parameters() -> None:
    # The convolutional part, as Keras prints it for include_top=False.
    assert sum(math.prod(shape) for shape in VGG19.tensor_shapes.values()) == 20_024_384


def test_vgg19_has_sixteen_layers_named_by_block_and_index() -> None:
    assert len(VGG19.layers) == 16
    assert VGG19.layers[:3] == ("relu1_1", "relu1_2", "relu2_1")
    assert VGG19.layers[-1] == "relu5_4"


def test_each_convolution_takes_what_the_one_before_gives() -> None:
    outputs = 3
    for _, conv in VGG19:
        assert conv.inputs == outputs
        outputs = conv.outputs


@pytest.mark.parametrize(
    ("layer", "stride"), [("relu1_2", 1), ("relu2_1", 2), ("relu3_4", 4), ("relu4_2", 8), ("relu5_1", 16)]
)
def test_stride_doubles_with_each_block(layer: str, stride: int) -> None:
    assert VGG19.stride(layer) == stride


def test_arithmetic_counts_multiplications_and_additions_per_pixel() -> None:
    assert VGG19.megaflops_per_pixel("relu1_1") == pytest.approx(2 * 9 * 3 * 64 / 1e6)
    second_block = 2 * 9 * (3 * 64 + 64 * 64 + 64 * 128 / 4) / 1e6
    assert VGG19.megaflops_per_pixel("relu2_1") == pytest.approx(second_block)


def test_arithmetic_grows_with_depth(tiny: Network) -> None:
    costs = [tiny.megaflops_per_pixel(layer) for layer in tiny.layers]
    assert costs == sorted(set(costs))


def test_an_unknown_layer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(OptionError, match=r"vgg19 has no layer 'rellu4_2'\. Did you mean 'relu4_2'\?.*relu5_4"):
        VGG19.check_layer("rellu4_2")
    with pytest.raises(OptionError, match="relu6_1"):
        VGG19.stride("relu6_1")


def test_an_unknown_network_is_refused_with_the_choices() -> None:
    with pytest.raises(OptionError, match=r"no network 'vgg16'\. Did you mean 'vgg19'\?.*vgg19"):
        get_network("vgg16")


def test_networks_are_found_by_their_own_name() -> None:
    for name, network in NETWORKS.items():
        assert network.name == name
        assert get_network(name) is network
