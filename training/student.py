"""The student: a narrow VGG and, for each tap, an affine map from its channels to VGG-19's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from impasto.features import Extractor, Features
from impasto.networks import COMPACT, VGG19, Network

__all__ = ["TAPS", "Student", "network_of_shape"]

PIXEL = 60.0
"""The order of the pixels as VGG-19 takes them, from 0 to 255 less the mean."""

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


@dataclass(frozen=True)
class Student:
    """``kernels`` are outputs x (inputs * 9), ``biases`` outputs, ``slopes`` VGG-19's channels x (own channels + 1).

    ``units`` are by how much VGG-19's features exceed the student's, whose own are about 1, at each tap: slopes times
    units are the maps, and all that is learned is of the same order.
    """

    network: Network
    kernels: dict[str, Tensor]
    biases: dict[str, Tensor]
    slopes: dict[str, Tensor]
    units: dict[str, float]

    @classmethod
    def random(cls, network: Network, generator: Generator) -> Student:
        """He et al. (2015) for the kernels; maps that give every channel of VGG-19 a little of each of ours."""
        kernels, biases, slopes = {}, {}, {}
        for _, conv in network:
            spread = (2 / (9 * conv.inputs)) ** 0.5
            kernels[conv.name] = spread * torch.randn(conv.outputs, conv.inputs * 9, generator=generator)
            biases[conv.name] = torch.zeros(conv.outputs)
        wide, narrow = _channels(network.teacher or VGG19), _channels(network)
        for tap in TAPS:
            slopes[tap] = torch.randn(wide[tap], narrow[tap] + 1, generator=generator) / narrow[tap] ** 0.5
        kernels[next(iter(kernels))] /= PIXEL
        return cls(network, kernels, biases, slopes, dict.fromkeys(TAPS, 100.0))

    @property
    def parameters(self) -> dict[str, Tensor]:
        """All that is learned, by name."""
        named = {f"{name}.weight": tensor for name, tensor in self.kernels.items()}
        named |= {f"{name}.bias": tensor for name, tensor in self.biases.items()}
        return named | {f"{tap}.slopes": tensor for tap, tensor in self.slopes.items()}

    @property
    def maps(self) -> dict[str, Tensor]:
        """The affine map of each tap to VGG-19's channels, C' x (C + 1); differentiable."""
        return {tap: self.units[tap] * slopes for tap, slopes in self.slopes.items()}

    def weights(self) -> dict[str, Tensor]:
        """What an Extractor takes: kernels as outputs x inputs x 3 x 3, and biases."""
        weights = {f"{name}.weight": kernel.view(len(kernel), -1, 3, 3) for name, kernel in self.kernels.items()}
        return weights | {f"{name}.bias": bias for name, bias in self.biases.items()}

    def extractor(self, dtype: torch.dtype) -> Extractor:
        """The network as it is used; differentiable with respect to kernels and biases."""
        weights = self.weights()
        return Extractor(self.network, weights, device=next(iter(weights.values())).device, dtype=dtype)

    def mapped(self, seen: Features) -> Features:
        """Features of the taps -> what VGG-19 would see there."""
        maps = self.maps
        return {tap: mapped(maps[tap], seen[tap]) for tap in TAPS}

    @classmethod
    def restored(cls, network: Network, parameters: dict[str, Tensor], units: dict[str, float]) -> Student:
        """From what ``parameters`` and ``units`` gave."""
        kinds = ("weight", "bias", "slopes")
        kernels, biases, slopes = (
            {name.rpartition(".")[0]: tensor for name, tensor in parameters.items() if name.endswith(f".{kind}")}
            for kind in kinds
        )
        return cls(network, kernels, biases, slopes, units)

    def to(self, device: torch.device | str) -> Student:
        """A copy on ``device`` whose parameters can be learned."""

        def learned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.detach().to(device, copy=True).requires_grad_() for name, tensor in tensors.items()}

        return replace(
            self,
            kernels=learned(self.kernels),
            biases=learned(self.biases),
            slopes=learned(self.slopes),
            units=dict(self.units),
        )

    def load(self, parameters: dict[str, Tensor]) -> None:
        """Take over other values, in place."""
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(parameters[name])


def network_of_shape(shape: str) -> Network:
    """The network that the package ships, with other channels: those of each convolution, block by block.

    They are written as 16x2/48x2/72x4/144x4/256, or 16,16/32,32/...; raises ValueError for what is neither.
    """
    blocks = []
    for block in shape.split("/"):
        widths: list[int] = []
        for part in block.split(","):
            width, _, count = part.partition("x")
            widths += [int(width)] * int(count or 1)
        blocks.append(tuple(widths))
    return replace(COMPACT, blocks=tuple(blocks))


def mapped(affine: Tensor, features: Tensor) -> Tensor:
    """Apply C' x (C + 1) to B x C x H x W: B x C' x H x W, in the features' precision."""
    matrix, shift = affine[:, :-1].to(features.dtype), affine[:, -1].to(features.dtype)
    return torch.nn.functional.conv2d(features, matrix[:, :, None, None], shift)


def _channels(network: Network) -> dict[str, int]:
    return {conv.layer: conv.outputs for _, conv in network}
