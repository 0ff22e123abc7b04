"""What the tests share: a tiny network with seeded weights, pictures drawn by formulas, and the trained weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.device import Machine
from impasto.errors import MissingWeightsError
from impasto.features import Extractor
from impasto.footprint import Footprint
from impasto.image.picture import Picture
from impasto.networks import NETWORKS, VGG19, Network
from impasto.pyramid import Level
from impasto.record import new_record
from impasto.spec import StyleSpec
from impasto.transfer import Transfer
from impasto.validation import build
from impasto.weights import load_weights

settings.register_profile("impasto", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("impasto")

Weights = dict[str, Tensor]

TINY = Network(
    name="tiny",
    blocks=((4, 4), (6, 6), (8,) * 4, (8,) * 4, (8,) * 4),
    channel_order=VGG19.channel_order,
    scale=VGG19.scale,
    mean=VGG19.mean,
    deviation=VGG19.deviation,
    source="https://example.org/tiny.h5",
    md5="0" * 32,
    licence="none",
)


def _he_initialized(network: Network) -> Weights:
    generator = torch.Generator().manual_seed(0)
    weights: Weights = {}
    for name, shape in network.tensor_shapes.items():
        values = torch.randn(shape, generator=generator)
        weights[name] = values * (2 / (9 * shape[1])) ** 0.5 if len(shape) == 4 else values
    return weights


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The tensors here are too small for more than one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> Network:
    """A network with the layers of VGG-19, but 4 to 8 channels wide."""
    return TINY


@pytest.fixture(scope="session")
def tiny_weights() -> Weights:
    """Its weights: He-scaled noise from a fixed seed."""
    return _he_initialized(TINY)


@pytest.fixture
def extractor(tiny: Network, tiny_weights: Weights) -> Extractor:
    """The tiny network in float64."""
    return Extractor(tiny, tiny_weights, dtype=torch.float64)


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests is seen by them, nor the network that comes with the package."""
    monkeypatch.delitem(NETWORKS, "compact")
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("IMPASTO_WEIGHTS_DIR", "KERAS_HOME", "TORCH_HOME"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))


@pytest.fixture
def install(bare_machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Weights], Path]:
    """Call it with weights: the tiny network stands in for VGG-19, with these in a cache of its own."""

    def install_weights(weights: Weights) -> Path:
        monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("IMPASTO_WEIGHTS_DIR", raising=False)
        monkeypatch.setitem(NETWORKS, TINY.name, TINY)
        path = tmp_path / "cache" / "weights" / f"{TINY.name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, path)
        return path

    return install_weights


@pytest.fixture
def installed(install: Callable[[Weights], Path], tiny_weights: Weights) -> Network:
    """The tiny network stands in for VGG-19."""
    install(tiny_weights)
    return TINY


@pytest.fixture(scope="session")
def vgg19() -> Weights:
    """The trained weights of VGG-19. Absent, the test is skipped; with IMPASTO_REQUIRE_WEIGHTS=1 it fails."""
    try:
        return load_weights(VGG19)
    except MissingWeightsError as error:
        if os.environ.get("IMPASTO_REQUIRE_WEIGHTS") == "1":
            pytest.fail(f"IMPASTO_REQUIRE_WEIGHTS=1, but: {error}", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def real_images() -> Path:
    """A folder with real pictures in ``content`` and ``style``, which stands beside the project's in development."""
    folder = Path(__file__).parents[2] / "shared" / "images"
    if not folder.is_dir():
        if os.environ.get("IMPASTO_REQUIRE_WEIGHTS") == "1":
            pytest.fail("IMPASTO_REQUIRE_WEIGHTS=1, but there is no folder ../shared/images", pytrace=False)
        pytest.skip("the folder ../shared/images with real pictures is not beside the project")
    return folder


@pytest.fixture
def picture() -> Callable[..., Tensor]:
    """``picture(height, width, seed=0)``: soft blotches with fine grain, 1 x 3 x H x W, float64 in (0, 1)."""

    def draw(height: int, width: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, 5, 4, dtype=torch.float64, generator=generator)
        soft = nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        grain = torch.rand(1, 3, height, width, dtype=torch.float64, generator=generator)
        return 0.05 + 0.75 * soft + 0.15 * grain

    return draw


@pytest.fixture
def photo(picture: Callable[..., Tensor]) -> Tensor:
    """A photo of 48 x 36 pixels, float32, values as an 8-bit file has them."""
    return picture(36, 48, seed=1).mul(255).round().div(255).float()


@pytest.fixture
def painting(picture: Callable[..., Tensor]) -> Tensor:
    """A painting of 40 x 56 pixels, float32."""
    return picture(56, 40, seed=2).float()


@pytest.fixture
def plain_stack() -> Callable[..., Callable[[Tensor], dict[str, Tensor]]]:
    """A network as a plain list of torch.nn modules: ``plain_stack(network, weights, padding, pooling, dtype)``.

    The result takes 1 x 3 x H x W in [0, 1] and returns all rectified layers by name.
    """

    def build(
        network: Network,
        weights: Weights,
        padding: str = "zeros",
        pooling: str = "max",
        dtype: torch.dtype = torch.float64,
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        modules: list[tuple[str, nn.Module]] = []
        channels = 3
        for block, widths in enumerate(network.blocks, start=1):
            if block > 1:
                modules.append(("", nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)))
            for index, width in enumerate(widths, start=1):
                conv = nn.Conv2d(channels, width, 3, padding=1, padding_mode=padding, dtype=dtype)
                conv.load_state_dict(
                    {kind: weights[f"conv{block}_{index}.{kind}"].to(dtype) for kind in ("weight", "bias")}
                )
                modules += [("", conv), (f"relu{block}_{index}", nn.ReLU())]
                channels = width

        def look(image: Tensor) -> dict[str, Tensor]:
            mean = torch.tensor([103.939, 116.779, 123.68], dtype=dtype).view(1, 3, 1, 1)
            signal = image[:, [2, 1, 0]].to(dtype) * 255 - mean
            seen = {}
            for name, module in modules:
                signal = module(signal)
                if name:
                    seen[name] = signal
            return seen

        return look

    return build


LEVELS = (
    Level((48, 64), (64, 48), 4, "tiny"),
    Level((96, 128), (128, 96), 5, "tiny"),
    Level((96, 128), (128, 96), 6, "tiny", tile=32, history=2, history_precision="bf16"),
)


@pytest.fixture
def make_transfer(
    tiny: Network, tiny_weights: dict[str, Tensor], picture: Callable[..., Tensor]
) -> Callable[..., Transfer]:
    def make(**options: Any) -> Transfer:
        spec = build(StyleSpec, {"network": "vgg19", "history": 3, **options})
        machine = Machine(torch.device("cpu"), torch.float32)
        photo, painting = (
            Picture(picture(*size, seed=seed).float()) for seed, size in enumerate([(96, 128), (128, 96)])
        )
        return Transfer(
            photo=photo,
            content=photo,
            style=painting,
            init=photo.pixels,
            size=(96, 128),
            spec=spec,
            machine=machine,
            levels=LEVELS,
            extractors={"tiny": Extractor(tiny, tiny_weights)},
            footprint=Footprint(spec, machine, {"tiny": tiny}, 0.0),
            record=new_record(spec, machine, LEVELS, (96, 128), {}, {"tiny": "0"}),
        )

    return make
