"""What each network is: its layers, shapes, preprocessing, source and licence. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from impasto.errors import OptionError, did_you_mean

__all__ = [
    "COMPACT",
    "NETWORKS",
    "VGG19",
    "VGG19_TORCHVISION",
    "Checksum",
    "Convolution",
    "Layout",
    "Network",
    "get_network",
    "preferred_network",
]

Layout = Literal["keras", "torch", "ours"]
"""How a network's source names and orders its tensors: ``block4_conv2``, ``features.21`` of a Sequential, or
``conv4_2``."""


@dataclass(frozen=True)
class Checksum:
    """What the published file has to have: a digest in hexadecimal, whole or its first digits."""

    kind: Literal["md5", "sha256"]
    digest: str

    def matches(self, digest: str) -> bool:
        """Whether the whole ``digest`` of a file, of this kind, is that of the published one."""
        return bool(self.digest) and digest.lower().startswith(self.digest)


@dataclass(frozen=True)
class Convolution:
    """A 3 x 3 convolution with bias, followed by a ReLU."""

    name: str
    inputs: int
    outputs: int

    @property
    def layer(self) -> str:
        """The name of the rectified output, for example ``relu4_2`` for ``conv4_2``."""
        return self.name.replace("conv", "relu")


@dataclass(frozen=True)
class Network:
    """A chain of blocks of 3 x 3 convolutions with a 2 x 2 pooling between blocks.

    An image in sRGB, [0, 1], is fed as ``(image * scale - mean) / deviation`` after its channels were put
    in ``channel_order``. ``source`` is the address of the published file, ``size`` its bytes (0: unknown), and one of
    ``md5`` and ``sha256`` its checksum; ``layout`` says how to read it. A network without a ``source`` is a part of the
    package. One with a ``teacher`` has, beside each layer, an affine map to the channels of the teacher's. Where it
    sees less than its teacher it counts less: ``trust`` says how far, for layers of style that do not count fully, and
    ``guard`` is a layer and the share that it has in the content wherever deeper layers are compared. As that holds the
    photo more firmly, ``balance`` then multiplies the weight of the style and divides that of the content.
    """

    name: str
    blocks: tuple[tuple[int, ...], ...]
    channel_order: str
    scale: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    source: str
    md5: str
    licence: str
    sha256: str = ""
    size: int = 0
    layout: Layout = "keras"
    teacher: Network | None = None
    trust: Mapping[str, float] = field(default_factory=dict, hash=False)
    guard: tuple[str, float] | None = None
    balance: float = 1.0

    def __iter__(self) -> Iterator[tuple[int, Convolution]]:
        """Yield (block number from 0, convolution) from the picture to the deepest layer."""
        inputs = 3
        for block, widths in enumerate(self.blocks):
            for index, outputs in enumerate(widths):
                yield block, Convolution(f"conv{block + 1}_{index + 1}", inputs, outputs)
                inputs = outputs

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers that can be looked at, shallowest first."""
        return tuple(convolution.layer for _, convolution in self)

    @property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each weight and bias by name, kernels as outputs x inputs x 3 x 3."""
        shapes: dict[str, tuple[int, ...]] = {}
        for _, conv in self:
            shapes[f"{conv.name}.weight"] = (conv.outputs, conv.inputs, 3, 3)
            shapes[f"{conv.name}.bias"] = (conv.outputs,)
            if self.teacher is not None:
                shapes[f"{conv.layer}.map"] = (self.teacher.channels(conv.layer), conv.outputs + 1)
        return shapes

    @property
    def forgets_first(self) -> bool:
        """Whether the output of the first convolution is rather computed again than kept: not of a narrow student."""
        return self.teacher is None

    @property
    def is_built_in(self) -> bool:
        """Whether the weights are a part of the package."""
        return not self.source

    def channels(self, layer: str) -> int:
        """How many numbers ``layer`` says of each position."""
        self.check_layer(layer)
        return next(conv.outputs for _, conv in self if conv.layer == layer)

    @property
    def file_name(self) -> str:
        """The name under which the weights are published."""
        return self.source.rpartition("/")[2]

    @property
    def checksum(self) -> Checksum:
        """The checksum of the published file."""
        return Checksum("sha256", self.sha256) if self.sha256 else Checksum("md5", self.md5)

    @property
    def tensor_bytes(self) -> int:
        """The bytes of all weights and biases in float32."""
        return 4 * sum(math.prod(shape) for shape in self.tensor_shapes.values())

    @property
    def sequential_names(self) -> dict[int, str]:
        """The convolutions by their place in a torch.nn.Sequential that holds each ReLU and pooling as a module.

        >>> VGG19.sequential_names[21]
        'conv4_2'
        """
        names: dict[int, str] = {}
        for number, (block, conv) in enumerate(self):
            names[2 * number + block] = conv.name
        return names

    def stride(self, layer: str) -> int:
        """How many pixels of the picture one position of ``layer`` stands for, along one axis."""
        self.check_layer(layer)
        return self._strides[layer]

    @cached_property
    def _strides(self) -> dict[str, int]:
        return {conv.layer: 1 << block for block, conv in self}

    def radius(self, layer: str) -> int:
        """How many pixels beyond those under a position of ``layer`` it sees, in each direction."""
        self.check_layer(layer)
        shallower = self.layers[: self.layers.index(layer) + 1]
        return sum(self._strides[each] for each in shallower)

    def megaflops_per_pixel(self, deepest: str) -> float:
        """Arithmetic of one forward pass to ``deepest``, in MFLOP per pixel of the picture."""
        total = 0.0
        for block, conv in self:
            total += 2 * 9 * conv.inputs * conv.outputs / 4**block / 1e6
            if conv.layer == deepest:
                break
        return total

    @property
    def values_per_pixel(self) -> float:
        """How many numbers all layers together say of each pixel of the picture."""
        return float(sum(conv.outputs / 4**block for block, conv in self))

    def width_of_target(self, layer: str) -> int:
        """The channels of the space in which features of ``layer`` are compared."""
        own = self.channels(layer)
        return own if self.teacher is None else min(own + 1, self.teacher.channels(layer))

    def trusted(self, style_layers: Mapping[str, float]) -> dict[str, float]:
        """Weights of style by layer, shared out anew by ``trust``; their sum stays. As they are, if none is trusted."""
        trusted = {layer: weight * self.trust.get(layer, 1.0) for layer, weight in style_layers.items()}
        if not any(trusted.values()):
            return dict(style_layers)
        scale = sum(style_layers.values()) / sum(trusted.values())
        return {layer: weight * scale for layer, weight in trusted.items()}

    def guarded(self, content_layers: Mapping[str, float]) -> dict[str, float]:
        """Weights of content by layer, of which deeper layers leave a share to ``guard``; their sum stays."""
        if self.guard is None:
            return dict(content_layers)
        (name, share), deeper = self.guard, self._guarded_layers
        guarded = {layer: weight * (1 - share if layer in deeper else 1) for layer, weight in content_layers.items()}
        given = share * sum(weight for layer, weight in content_layers.items() if layer in deeper)
        return guarded | {name: guarded.get(name, 0.0) + given} if given else guarded

    def balanced(self, content_layers: Mapping[str, float]) -> float:
        """By how much more the style counts: ``balance``, as far as ``content_layers`` are guarded."""
        deeper = sum(weight for layer, weight in content_layers.items() if layer in self._guarded_layers)
        return float(self.balance ** (deeper / max(sum(content_layers.values()), 1e-12)))

    @property
    def _guarded_layers(self) -> tuple[str, ...]:
        return () if self.guard is None else self.layers[self.layers.index(self.guard[0]) + 1 :]

    def check_layer(self, layer: str) -> None:
        """Raise OptionError unless ``layer`` is one of this network's."""
        if layer not in self.layers:
            raise OptionError(
                f"{self.name} has no layer '{layer}'.{did_you_mean(layer, self.layers)}"
                f" Its layers are {', '.join(self.layers)}.{self._where_else(layer)}"
            )

    def _where_else(self, layer: str) -> str:
        if self.teacher is None or layer not in self.teacher.layers:
            return ""
        name = self.teacher.name
        return f" {name} has '{layer}': use --network {name}, and --coarse-network none."


VGG19 = Network(
    name="vgg19",
    blocks=((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512)),
    channel_order="BGR",
    scale=255.0,
    mean=(103.939, 116.779, 123.68),
    deviation=(1.0, 1.0, 1.0),
    source=(
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    ),
    md5="253f8cb515780f3b799900260a226db6",
    licence="CC BY 4.0, Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of Oxford",
    size=80_134_624,
)

VGG19_TORCHVISION = Network(
    name="vgg19-torchvision",
    blocks=VGG19.blocks,
    channel_order="RGB",
    scale=1.0,
    mean=(0.485, 0.456, 0.406),
    deviation=(0.229, 0.224, 0.225),
    source="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    md5="",
    licence="BSD 3-Clause, the PyTorch contributors, as published with torchvision",
    sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    size=574_673_361,
    layout="torch",
)
"""The same layers, trained anew by torchvision: its features have other scales, so weights of layers do not carry over
from one to the other, except with ``normalization="relative"``, which divides each term by its target's own scale."""

COMPACT = Network(
    name="compact",
    blocks=((16, 16), (48, 48), (72,) * 4, (144,) * 4, (256,)),
    channel_order=VGG19.channel_order,
    scale=VGG19.scale,
    mean=VGG19.mean,
    deviation=VGG19.deviation,
    source="",
    md5="",
    licence="CC BY 4.0, the impasto contributors, distilled from VGG-19 of Karen Simonyan and Andrew Zisserman",
    layout="ours",
    teacher=VGG19,
    trust={"relu5_1": 0.3},
    guard=("relu3_1", 0.25),
    balance=1.35,
)
"""Less than a tenth of VGG-19's arithmetic, in the package. Its features are compared in VGG-19's own space, so that
all weights of losses, and the dial between them, mean what they mean there. Of relu5_1 it guesses more than it sees,
and what it does not see of relu4_2 it would change freely; ``trust`` and ``guard`` gave the best pictures, and
``balance`` puts the dial back (training/README.md)."""

NETWORKS: dict[str, Network] = {network.name: network for network in (VGG19, VGG19_TORCHVISION, COMPACT)}
"""Every network by name, the preferred one first."""


def preferred_network() -> Network:
    """The one that is used unless another is asked for, if its weights can be had."""
    return next(iter(NETWORKS.values()))


def get_network(name: str) -> Network:
    """Return the network of that name; raise OptionError naming the choices."""
    if name not in NETWORKS:
        raise OptionError(
            f"There is no network '{name}'.{did_you_mean(name, NETWORKS)} Choose from {', '.join(NETWORKS)}."
        )
    return NETWORKS[name]
