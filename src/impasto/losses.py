"""Losses in two halves: a summary that adds over positions, and a small function of it.

``summarize(seen)`` looks at features (and the picture itself, under "pixels") and is additive over positions: scalars
for content and smoothness, Moments for style. ``value(summary)`` is cheap. Adding up summaries of tiles before
taking the value gives exactly the loss of the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.device import widest
from impasto.features import Features
from impasto.moments import Moments, moments
from impasto.space import OWN, Space

__all__ = ["PIXELS", "ContentLoss", "Loss", "StyleLoss", "TotalVariationLoss"]

PIXELS = "pixels"
"""The key under which a loss finds the picture itself, 1 x 3 x H x W in [0, 1]."""


class Loss(Protocol):
    """A differentiable summary, and a function of it.

    A loss that is ``additive`` can be taken of tiles.
    """

    additive: ClassVar[bool]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers it looks at; none if only at the pixels."""
        ...

    def summarize(self, seen: Features) -> Any:
        """What is seen -> a summary; if additive, one for which summary(a + b) = summary(a) + summary(b)."""
        ...

    def value(self, summary: Any) -> Tensor:
        """The summary of the whole picture -> the loss, a scalar, at least 0."""
        ...


@dataclass(frozen=True)
class ContentLoss:
    """Σ (F - F*)² / ``scale`` over channels and positions of one layer (Gatys et al. 2016, equation 1).

    The paper takes half the plain sum. ``scale`` = the number of values makes it the mean squared error of
    neural-style-pt; ``scale`` = Σ F*² makes it relative, so that neither the layer nor the size of the picture matters.
    ``visible``, 1 x 1 x H x W in [0, 1], says how much each position counts in all of these sums, and ``space`` in
    which features are compared: ``target`` is a feature map of that space, or what finds it each time.
    """

    layer: str
    target: Tensor | Callable[[], Tensor]
    scale: float
    visible: Tensor | None = None
    space: Space = OWN

    additive: ClassVar[bool] = True

    @classmethod
    def relative(cls, layer: str, photo: Tensor, visible: Tensor | None = None, space: Space = OWN) -> ContentLoss:
        """1 for a picture of which the layer sees nothing; ``photo`` are the features of the photo."""
        target = space.features(photo)
        scale = max(float(_Squares.apply(target, visible)), 1e-12)  # type: ignore[no-untyped-call]
        return cls(layer, target, scale, visible, space)

    @classmethod
    def mean_squared(cls, layer: str, photo: Tensor, visible: Tensor | None = None, space: Space = OWN) -> ContentLoss:
        """Mean squared error."""
        channels = space.channels(photo.shape[1])
        positions = float(_weighted(torch.ones_like(photo[:, :1]), visible).sum(dtype=widest(photo.device)))
        return cls(layer, space.features(photo), positions * channels, visible, space)

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def summarize(self, seen: Features) -> Tensor:
        target = self.target if isinstance(self.target, Tensor) else self.target()
        difference = self.space.features(seen[self.layer]) - target
        return _Squares.apply(difference, self.visible)  # type: ignore[no-any-return, no-untyped-call]

    def value(self, summary: Tensor) -> Tensor:
        return summary / self.scale


class _Squares(torch.autograd.Function):
    """Σ d² of 1 x C x H x W, each position as far as it is visible, in the precision of sums. What autograd would keep
    for its gradient are copies of d in float32."""

    @staticmethod
    def forward(ctx: Any, difference: Tensor, visible: Tensor | None) -> Tensor:
        ctx.save_for_backward(difference, visible)
        wide = torch.float64 if difference.dtype == torch.float64 else torch.float32
        lengths = torch.linalg.vector_norm(difference, dim=1, keepdim=True, dtype=wide)
        return _weighted(lengths.square(), visible).sum(dtype=widest(difference.device))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        difference, visible = ctx.saved_tensors
        factor = 2 * gradient  # a single number, which widens nothing
        if visible is not None:
            factor = factor * visible.to(difference.device, torch.promote_types(difference.dtype, torch.float32))
        return (difference * factor).to(difference.dtype), None


def _weighted(values: Tensor, visible: Tensor | None) -> Tensor:
    return values if visible is None else values * visible.to(values.device, values.dtype)


@dataclass(frozen=True)
class StyleLoss:
    """Σ (G - G*)² / ``scale`` over the entries of one layer's Gram matrices (Gatys et al. 2016, equations 3 to 5).

    G is the mean outer product over positions, so that the painting may have any size; the paper takes the sum, and
    divides the squares by 4 C² N². ``scale`` = Σ G*² makes the loss relative: no layer's width or range matters.
    neural-style-pt divides G by C as well and takes the mean over C² entries: ``scale`` = C⁴.
    ``visible``, 1 x 1 x H x W in [0, 1], says how much each position of the picture counts, and ``space`` in which
    features are compared: ``target`` are statistics of that space. ``stride`` is that of the layer in pixels, where
    parts of a picture are to add up to the last bit.
    """

    layer: str
    target: Tensor
    scale: float
    visible: Tensor | None = None
    space: Space = OWN
    stride: int | None = None

    additive: ClassVar[bool] = True

    @classmethod
    def relative(cls, layer: str, painting: Moments, visible: Tensor | None = None, space: Space = OWN) -> StyleLoss:
        """The squared relative error of the Gram matrix; ``painting`` are the moments of the painting."""
        target = space.statistics(painting)
        return cls(layer, target, max(float(space.energy(target)), 1e-12), visible, space)

    @classmethod
    def mean_squared(
        cls, layer: str, painting: Moments, visible: Tensor | None = None, space: Space = OWN
    ) -> StyleLoss:
        """The mean squared error of the Gram matrix divided by channels x positions."""
        channels = space.channels(painting.second.shape[0])
        return cls(layer, space.statistics(painting), float(channels) ** 4, visible, space)

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def summarize(self, seen: Features) -> Moments:
        return moments(seen[self.layer], self.visible, self._count, self.stride)

    @cached_property
    def _count(self) -> float | None:
        """The positions that are visible, found out once."""
        return None if self.visible is None else float(self.visible.sum(dtype=widest(self.visible.device)))

    def value(self, summary: Moments) -> Tensor:
        return self.space.energy(self.space.statistics(summary) - self.target) / self.scale


@dataclass(frozen=True)
class TotalVariationLoss:
    """Σ |p(x+1, y) - p(x, y)|ᵏ + |p(x, y+1) - p(x, y)|ᵏ, divided by ``scale``.

    Rudin, Osher and Fatemi (1992) take the length of the gradient. ``power`` = 1 is the anisotropic sum of
    neural-style-pt, whose pixels go to 255: ``scale`` = 1/255. ``power`` = 2 has a gradient everywhere, which L-BFGS
    needs to learn curvature; ``scale`` = the number of values makes it a mean. ``size`` are the (height, width) whose
    pixels are compared with the next ones: smaller than what is seen for a tile that has a neighbor there. What a color
    differs from gray, the mean of its channels, is multiplied by ``chroma`` first.
    """

    power: Literal[1, 2]
    scale: float
    size: tuple[int, int] | None = None
    chroma: float = 1.0

    layers: ClassVar[tuple[str, ...]] = ()
    additive: ClassVar[bool] = True

    def summarize(self, seen: Features) -> Tensor:
        pixels = seen[PIXELS]
        height, width = self.size or pixels.shape[-2:]
        variation: Tensor = _Variation.apply(  # type: ignore[no-untyped-call]
            pixels, self.power, height, width, self.chroma
        )
        return variation

    def value(self, summary: Tensor) -> Tensor:
        return summary / self.scale


class _Variation(torch.autograd.Function):
    """Σ |d|ᵏ over the differences d of neighbors. Its gradient is written once; autograd fills and adds images."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, power: int, height: int, width: int, chroma: float) -> Tensor:
        pixels = _colored(pixels, chroma)
        across, down = pixels[..., :height, :].diff(dim=-1), pixels[..., :width].diff(dim=-2)
        ctx.power, ctx.shape, ctx.chroma = power, pixels.shape, chroma
        ctx.save_for_backward(across, down)
        lengths = (torch.linalg.vector_norm(each, power, dim=-1) for each in (across, down))
        return torch.stack([each.pow(power).sum(dtype=widest(pixels.device)) for each in lengths]).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        across, down = ctx.saved_tensors
        along, below = (2 * gradient * each if ctx.power == 2 else gradient * each.sign() for each in (across, down))
        result = across.new_zeros(ctx.shape)
        beside, under = result[..., : along.shape[-2], :], result[..., : below.shape[-1]]
        beside[..., 1:] += along
        beside[..., :-1] -= along
        under[..., 1:, :] += below
        under[..., :-1, :] -= below
        return _colored(result, ctx.chroma), None, None, None, None


def _colored(pixels: Tensor, chroma: float) -> Tensor:
    """With ``chroma`` times as much color; a symmetric linear map, and so its own gradient."""
    if chroma == 1:
        return pixels
    return torch.lerp(pixels.mean(1, keepdim=True).expand_as(pixels), pixels, chroma)
