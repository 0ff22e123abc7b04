"""How far a picture is from what is wanted, and which way leads there: evaluate(pixels) -> Evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.errors import OptionError
from impasto.features import Extractor
from impasto.losses import PIXELS, ContentLoss, Loss, StyleLoss, TotalVariationLoss
from impasto.moments import moments
from impasto.spec import COARSEST_SIDE, StyleSpec

__all__ = ["Evaluate", "Evaluation", "Objective", "Term", "bounded", "style_transfer_objective"]


@dataclass(frozen=True)
class Evaluation:
    """What one look at the pixels gave: the loss (scalar), its gradient (as the pixels), and the weighted terms."""

    loss: Tensor
    gradient: Tensor
    weighted: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def terms(self) -> dict[str, float]:
        """Each term's share of the loss by name; waits for the device only when asked."""
        return {name: float(value) for name, value in self.weighted.items()}


Evaluate: TypeAlias = Callable[[Tensor], Evaluation]


@dataclass(frozen=True)
class Term:
    """One named loss and its weight; ``octave`` 1 looks at the picture at half its size, 2 at a quarter, and so on."""

    name: str
    weight: float
    loss: Loss
    octave: int = 0


@dataclass(frozen=True)
class Objective:
    """The weighted sum of named losses of what the extractor sees."""

    extractor: Extractor
    terms: tuple[Term, ...]

    def __call__(self, pixels: Tensor) -> Evaluation:
        """Evaluate at 1 x 3 x H x W, sRGB in [0, 1]."""
        weighted: dict[str, Tensor] = {}
        with torch.enable_grad():
            pixels = pixels.detach().requires_grad_()
            picture, reached = pixels, 0
            for octave, terms in self._by_octave():
                picture, reached = reduced(picture, octave - reached), octave
                seen = self.extractor(picture, {layer for term in terms for layer in term.loss.layers})
                seen[PIXELS] = picture
                for term in terms:
                    weighted[term.name] = term.weight * term.loss.value(term.loss.summarize(seen))
            loss = torch.stack([value.to(pixels.dtype) for value in weighted.values()]).sum()
            (gradient,) = torch.autograd.grad(loss, pixels)
        return Evaluation(loss.detach(), gradient, {name: value.detach() for name, value in weighted.items()})

    def _by_octave(self) -> list[tuple[int, list[Term]]]:
        octaves = sorted({term.octave for term in self.terms})
        return [(octave, [term for term in self.terms if term.octave == octave]) for octave in octaves]


def reduced(image: Tensor, octave: int) -> Tensor:
    """Halve the sides of B x 3 x H x W ``octave`` times by means of 2 x 2 pixels, which add over tiles."""
    for _ in range(octave):
        image = _Halved.apply(image)  # type: ignore[no-untyped-call]
    return image


class _Halved(torch.autograd.Function):
    """Means of 2 x 2 pixels, as F.avg_pool2d, which takes several times longer on a CPU."""

    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        ctx.shape = image.shape
        height, width = (side - side % 2 for side in image.shape[-2:])
        rows = image[..., 0:height:2, :width] + image[..., 1:height:2, :width]
        return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        height, width = (side - side % 2 for side in ctx.shape[-2:])
        quarter = gradient * 0.25
        result = gradient.new_zeros(ctx.shape) if ctx.shape[-2:] != (height, width) else gradient.new_empty(ctx.shape)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            result[..., row:height:2, column:width:2] = quarter
        return result


def style_transfer_objective(
    extractor: Extractor,
    content: Tensor,
    style: Tensor,
    spec: StyleSpec,
    *,
    content_alpha: Tensor | None = None,
    style_alpha: Tensor | None = None,
) -> Objective:
    """Look once at the content and keep its deep features; look once at the style and keep its moments.

    ``content`` and ``style`` are 1 x 3 x H x W, sRGB in [0, 1], at the sizes at which they are to be compared, and
    their alphas 1 x 1 x H x W: positions count as far as they are visible, in the content's features and in the moments
    of the result by the content's alpha, in the moments of the style by its own. The dial
    ``spec.strength`` multiplies the two weights: by 1 and 1 at 0.5, by 0 and 2.8 at 1, in proportion to (1 - s)^1.5 and
    s^1.5.

    Departure from the paper: both terms are averaged over ``spec.octaves`` sizes of the same picture. One size sees
    structures of up to some 100 pixels only, so that a larger picture would keep less of the photo's composition and
    of the painting's larger forms at the same strength. And relative terms of a student count as far as it sees
    (``Network.trusted``, ``Network.guarded``).
    """
    count = number_of_octaves(content, style, spec)
    photo, painting = _Seen(content, content_alpha), _Seen(style, style_alpha)
    terms = [
        term for octave in range(count) for term in _octave_terms(extractor, photo, painting, spec, octave, 1 / count)
    ]
    terms.append(Term("smoothness", spec.tv_weight, _smoothness(content, spec)))
    terms = [term for term in terms if term.weight > 0]
    if not terms:
        raise OptionError("All weights are 0, so nothing is wanted of the picture: raise one of them, or --strength.")
    return Objective(extractor, tuple(terms))


def number_of_octaves(content: Tensor, style: Tensor, spec: StyleSpec) -> int:
    """How many of ``spec.octaves`` leave both pictures ``COARSEST_SIDE`` pixels."""
    side = min(*content.shape[-2:], *style.shape[-2:])
    possible = [count for count in range(2, spec.octaves + 1) if side >= COARSEST_SIDE * 2 ** (count - 1)]
    return max(possible, default=1)


@dataclass(frozen=True)
class _Seen:
    """A picture that is looked at, and how visible its pixels are."""

    pixels: Tensor
    alpha: Tensor | None

    def visible(self, octave: int, stride: int) -> Tensor | None:
        """The visible share of each position of a layer, 1 x 1 x H x W; None where there is no transparency."""
        return None if self.alpha is None else F.avg_pool2d(self.alpha, 2**octave * stride)


def _octave_terms(
    extractor: Extractor, content: _Seen, style: _Seen, spec: StyleSpec, octave: int, share: float
) -> Iterator[Term]:
    """The content and style terms at one size, weighted by the dial and ``share``."""
    is_relative = spec.normalization == "relative"
    to_content = ContentLoss.relative if is_relative else ContentLoss.mean_squared
    to_style = StyleLoss.relative if is_relative else StyleLoss.mean_squared
    content_layers, style_layers = spec.content_layers, spec.style_layers
    if is_relative:
        # Terms in the units of neural-style-pt differ too much between layers to stand in for each other.
        network = extractor.network
        content_layers, style_layers = network.guarded(content_layers), network.trusted(style_layers)
    with torch.no_grad():
        content_seen = extractor(reduced(content.pixels, octave), content_layers)
        style_seen = extractor(reduced(style.pixels, octave), style_layers)
    # A relative term is an average over layers; neural-style-pt adds the layers up.
    content_sum = sum(content_layers.values()) if is_relative else 1.0
    style_sum = sum(style_layers.values()) if is_relative else 1.0
    content_weight = share * spec.content_weight * (2 * (1 - spec.strength)) ** 1.5 / max(content_sum, 1e-12)
    style_weight = share * spec.style_weight * (2 * spec.strength) ** 1.5 / max(style_sum, 1e-12)
    suffix = f" /{2**octave}" if octave else ""
    for layer, weight in content_layers.items():
        here = content.visible(octave, extractor.network.stride(layer))
        if _sees_anything(here):
            loss = to_content(layer, content_seen[layer], here, extractor.space(layer))
            yield Term(f"content {layer}{suffix}", content_weight * weight, loss, octave)
    for layer, weight in style_layers.items():
        stride = extractor.network.stride(layer)
        here, there = content.visible(octave, stride), style.visible(octave, stride)
        if _sees_anything(here) and _sees_anything(there):
            target = moments(style_seen[layer], there)
            yield Term(
                f"style {layer}{suffix}",
                style_weight * weight,
                to_style(layer, target, here, extractor.space(layer)),
                octave,
            )


def _sees_anything(visible: Tensor | None) -> bool:
    """Not so for an object at the border that a deep layer's last whole position leaves out."""
    return visible is None or bool(visible.any())


def _smoothness(content: Tensor, spec: StyleSpec) -> TotalVariationLoss:
    if spec.normalization == "relative":
        return TotalVariationLoss(power=2, scale=content.numel())
    return TotalVariationLoss(power=1, scale=1 / 255)


def bounded(evaluate: Evaluate) -> Evaluate:
    """Keep a minimization in [0, 1] by one-sided gradients: a minimum of the result is a picture as it can be saved.

    The picture is evaluated where it would be saved, at the nearest values in range, and where a value is out of
    range the gradient only ever pulls it back. (Clamping after a step instead would falsify the curvature that
    L-BFGS learns, and clamping the finished picture would change its loss.)
    """

    def evaluate_in_range(pixels: Tensor) -> Evaluation:
        inside = pixels.clamp(0, 1)
        evaluation = evaluate(inside)
        excess = pixels - inside
        outward = evaluation.gradient * excess < 0
        gradient = evaluation.gradient.masked_fill(outward, 0)
        return Evaluation(evaluation.loss, gradient, evaluation.weighted)

    return evaluate_in_range
