"""The training is run from the root of the repository, and found there; a tiny teacher, and pictures to learn from."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from impasto.features import Extractor
from impasto.networks import Network
from training.pictures import Corpus


@pytest.fixture
def teacher(tiny: Network, tiny_weights: dict[str, Tensor]) -> Extractor:
    """The tiny network in float32."""
    return Extractor(tiny, tiny_weights)


@pytest.fixture
def small(tiny: Network) -> Network:
    """A student of it."""
    return replace(tiny, name="student", source="", blocks=((3, 3), (4, 4), (5,) * 4, (5,) * 4, (5,)), teacher=tiny)


@pytest.fixture
def corpus() -> Corpus:
    """Sixteen pictures of blurred noise."""
    generator = Generator().manual_seed(3)
    noise = torch.rand(16, 3, 13, 16, generator=generator)
    pictures = torch.nn.functional.interpolate(noise, size=(104, 128), mode="bicubic").clamp(0, 1)
    return Corpus([(picture * 255).byte() for picture in pictures])
