import math
import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from impasto.errors import OptionError
from impasto.networks import NETWORKS, VGG19, VGG19_TORCHVISION, Checksum, Network, get_network


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


def test_the_two_vgg19_share_their_layers_and_nothing_of_what_they_are_fed() -> None:
    assert VGG19.tensor_shapes == VGG19_TORCHVISION.tensor_shapes
    assert (VGG19.channel_order, VGG19_TORCHVISION.channel_order) == ("BGR", "RGB")
    black = [(0 * VGG19.scale - mean) / VGG19.deviation[0] for mean in VGG19.mean]
    other = VGG19_TORCHVISION
    white = [(other.scale - mean) / deviation for mean, deviation in zip(other.mean, other.deviation, strict=True)]
    assert black == [-103.939, -116.779, -123.68]
    assert white == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-4)  # as torchvision's own transform makes it


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
def test_each_network_says_where_it_comes_from_and_how_to_know_it(network: Network) -> None:
    assert network.licence
    if network.is_built_in:
        return
    parts = urlsplit(network.source)
    assert parts.scheme == "https"
    assert parts.path.endswith("/" + network.file_name)
    digits = {"md5": 32, "sha256": 64}[network.checksum.kind]
    assert re.fullmatch(rf"[0-9a-f]{{{digits}}}", network.checksum.digest)
    assert network.tensor_bytes < network.size < 10 * network.tensor_bytes


def test_the_name_of_torchvisions_file_has_its_checksum() -> None:
    assert VGG19_TORCHVISION.file_name == f"vgg19-{VGG19_TORCHVISION.sha256[:8]}.pth"


def test_a_checksum_may_be_known_by_its_first_digits_only() -> None:
    checksum = Checksum("sha256", "dcbb9e9d")
    assert checksum.matches("dcbb9e9dad569f")
    assert checksum.matches("DCBB9E9DAD569F")
    assert not checksum.matches("dcbb9e9")
    assert not checksum.matches("0dcbb9e9d")
    assert not Checksum("md5", "").matches("dcbb9e9d")  # nothing is known, so nothing is the published file


def test_places_in_a_sequential_are_those_of_torchvision() -> None:
    # From the table of torchvision.models.vgg19().features: a ReLU after each convolution, a pooling after each block.
    assert list(VGG19.sequential_names) == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert list(VGG19.sequential_names.values()) == [conv.name for _, conv in VGG19]


GUARDED = replace(VGG19, trust={"relu4_1": 0.5, "relu5_1": 0.0}, guard=("relu3_1", 0.25))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"relu1_1": 1, "relu2_1": 2}, {"relu1_1": 1, "relu2_1": 2}),
        ({"relu1_1": 1, "relu4_1": 1}, {"relu1_1": 4 / 3, "relu4_1": 2 / 3}),
        ({"relu1_1": 1, "relu4_1": 2, "relu5_1": 3}, {"relu1_1": 3, "relu4_1": 3, "relu5_1": 0}),
        ({"relu4_1": 0.2}, {"relu4_1": 0.2}),
        ({"relu5_1": 0.2}, {"relu5_1": 0.2}),
    ],
)
def test_layers_of_style_count_as_far_as_they_are_trusted(given: dict[str, float], expected: dict[str, float]) -> None:
    assert GUARDED.trusted(given) == pytest.approx(expected)
    assert VGG19.trusted(given) == given


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"relu4_2": 1}, {"relu4_2": 0.75, "relu3_1": 0.25}),
        ({"relu2_1": 1}, {"relu2_1": 1}),
        ({"relu3_1": 1}, {"relu3_1": 1}),
        (
            {"relu2_1": 1, "relu3_1": 1, "relu4_1": 2, "relu4_2": 2},
            {"relu2_1": 1, "relu3_1": 2, "relu4_1": 1.5, "relu4_2": 1.5},
        ),
    ],
)
def test_content_in_deep_layers_is_guarded_by_an_earlier_one(
    given: dict[str, float], expected: dict[str, float]
) -> None:
    assert GUARDED.guarded(given) == pytest.approx(expected)
    assert VGG19.guarded(given) == given


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"relu4_2": 2.0}, 1.5),
        ({"relu3_1": 1.0}, 1.0),
        ({"relu2_2": 1.0, "relu4_2": 1.0}, 1.5**0.5),
        ({"relu4_2": 0.0}, 1.0),
    ],
)
def test_the_style_counts_more_as_far_as_the_content_is_guarded(given: dict[str, float], expected: float) -> None:
    assert replace(GUARDED, balance=1.5).balanced(given) == pytest.approx(expected)
    assert VGG19.balanced(given) == 1


def test_the_students_guard_and_trust_are_about_layers_that_it_has() -> None:
    for network in NETWORKS.values():
        assert set(network.trust) <= set(network.layers)
        assert network.guard is None or network.guard[0] in network.layers
