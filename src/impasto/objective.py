"""How far a picture is from what is wanted, and which way leads there: evaluate(pixels) -> Evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from impasto.features import Extractor
from impasto.losses import PIXELS, ContentLoss, Loss, StyleLoss, TotalVariationLoss
from impasto.moments import moments
from impasto.spec import StyleSpec

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
    """One named loss and its weight."""

    name: str
    weight: float
    loss: Loss


@dataclass(frozen=True)
class Objective:
    """The weighted sum of named losses of what the extractor sees."""

    extractor: Extractor
    terms: tuple[Term, ...]

    def __call__(self, pixels: Tensor) -> Evaluation:
        """Evaluate at 1 x 3 x H x W, sRGB in [0, 1]."""
        with torch.enable_grad():
            pixels = pixels.detach().requires_grad_()
            seen = self.extractor(pixels, {layer for term in self.terms for layer in term.loss.layers})
            seen[PIXELS] = pixels
            weighted = {term.name: term.weight * term.loss.value(term.loss.summarize(seen)) for term in self.terms}
            loss = torch.stack([value.to(pixels.dtype) for value in weighted.values()]).sum()
            (gradient,) = torch.autograd.grad(loss, pixels)
        return Evaluation(loss.detach(), gradient, {name: value.detach() for name, value in weighted.items()})


def style_transfer_objective(extractor: Extractor, content: Tensor, style: Tensor, spec: StyleSpec) -> Objective:
    """Look once at the content and keep its deep features; look once at the style and keep its moments.

    ``content`` and ``style`` are 1 x 3 x H x W, sRGB in [0, 1], at the sizes at which they are to be compared. The dial
    ``spec.strength`` multiplies the two weights: by 1 and 1 at 0.5, by 0 and 8 at 1, as (1 - s)³ and s³ between.
    """
    with torch.no_grad():
        content_seen = extractor(content, spec.content_layers)
        style_seen = extractor(style, spec.style_layers)
    relative = spec.normalization == "relative"
    to_content = ContentLoss.relative if relative else ContentLoss.mean_squared
    to_style = StyleLoss.relative if relative else StyleLoss.mean_squared
    content_weight = spec.content_weight * (2 * (1 - spec.strength)) ** 3
    style_weight = spec.style_weight * (2 * spec.strength) ** 3
    # A relative term is an average over layers; neural-style-pt adds the layers up.
    content_sum = sum(spec.content_layers.values()) if relative else 1.0
    style_sum = sum(spec.style_layers.values()) if relative else 1.0
    smoothness = TotalVariationLoss(2, content.numel()) if relative else TotalVariationLoss(1, 1 / 255)
    terms = [
        Term(f"content {layer}", content_weight * weight / content_sum, to_content(layer, content_seen[layer]))
        for layer, weight in spec.content_layers.items()
    ]
    terms += [
        Term(f"style {layer}", style_weight * weight / style_sum, to_style(layer, moments(style_seen[layer])))
        for layer, weight in spec.style_layers.items()
    ]
    terms.append(Term("smoothness", spec.tv_weight, smoothness))
    return Objective(extractor, tuple(term for term in terms if term.weight > 0))


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
