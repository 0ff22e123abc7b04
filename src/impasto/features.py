"""What the network sees: an image in, the rectified outputs of named layers out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from impasto.again import SeenAgain
from impasto.chain import Chain, Padding, Pooling
from impasto.networks import Network
from impasto.space import OWN, Space, TeachersSpace

__all__ = ["Extractor", "Features"]

Features = dict[str, Tensor]


class Extractor:
    """A network with its weights: ``extractor(image, ["relu4_2"])`` -> {"relu4_2": B x C x H/8 x W/8}.

    The convolutions compute in ``dtype``; bfloat16 where the hardware has it, float64 in tests. Memory is
    channels_last, which the convolutions of CPUs and GPUs prefer.

    The papers pad every convolution with zeros. That draws a frame around the picture, as if it were set in black; and
    repeating the outermost values tints the border. So ``padding`` mirrors them unless something else is asked for.
    ``pooling`` is the network's own, max, or the average that Gatys et al. (2015, section "Methods") found to look
    slightly better.
    """

    def __init__(
        self,
        network: Network,
        weights: dict[str, Tensor],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        padding: Padding = "reflect",
        pooling: Pooling = "max",
    ) -> None:
        self.network = network
        self.device = torch.device(device)
        self.dtype = dtype
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        layers = {name: tensor for name, tensor in weights.items() if not name.endswith(".map")}
        self.weights = {name: self._place(tensor) for name, tensor in layers.items()}
        self.chain = Chain(network, self.weights, padding, pooling)
        maps = {name.removesuffix(".map"): tensor for name, tensor in weights.items() if name.endswith(".map")}
        self._spaces = {
            layer: TeachersSpace.of_map(affine, device=self.device, dtype=wide) for layer, affine in maps.items()
        }
        # The statistics of the training pictures stay in the picture's own precision.
        mean, deviation = (torch.tensor(each, dtype=torch.float64) for each in (network.mean, network.deviation))
        self._scale = (network.scale / deviation).to(wide).to(self.device).view(1, 3, 1, 1)
        self._shift = (-mean / deviation).to(wide).to(self.device).view(1, 3, 1, 1)

    def _place(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device, self.dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def __call__(self, image: Tensor, layers: Iterable[str]) -> Features:
        """Look at B x 3 x H x W, sRGB in [0, 1]; return the named layers, no deeper than needed.

        Each layer is B x C x (H / stride) x (W / stride), at least 0, in the extractor's dtype. H and W have to be at
        least the stride of the deepest layer.
        """
        return dict(self.look(image, layers))

    def look(
        self, image: Tensor, layers: Iterable[str], again: SeenAgain | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """The same, one layer after the other: each can be made use of, and let go, before the next one is seen. For
        ``again`` see ``Chain.look``."""
        wanted = set(layers)
        for layer in wanted:
            self.network.check_layer(layer)
        return self.chain.look(self.preprocess(image), wanted, again)

    def space(self, layer: str) -> Space:
        """Where features of ``layer`` are compared: in the teacher's space, for a network that has one."""
        return self._spaces.get(layer, OWN)

    def preprocess(self, image: Tensor) -> Tensor:
        """sRGB in [0, 1] -> what the network was trained on: its channel order, its range, its zero."""
        if self.network.channel_order == "BGR":
            image = image.flip(1)
        scaled = torch.addcmul(self._shift, image, self._scale)
        return scaled.to(self.dtype, memory_format=torch.channels_last)
