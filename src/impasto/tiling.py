"""The loss at one size and its gradient: of the whole picture at once, or of one tile after the other, exactly.

What a loss knows of a picture is a summary that adds over tiles, so d loss / d summary is the same for all of them.
Pass 1 looks at the tiles without gradient and adds their summaries up; then d loss / d summary is taken once, of small
tensors; pass 2 looks at each tile again and goes back from its own summary with that gradient. Only a tile's core is
summarized, and its gradient reaches over the padded tile, where it is added; or tiles are wider on the way back, and
have all of the gradient of their cores. At any time there are the features of one padded tile only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.again import SeenAgain
from impasto.device import sent, widest
from impasto.features import Extractor, Features
from impasto.grid import Tile
from impasto.losses import PIXELS, Loss
from impasto.moments import Moments
from impasto.terms import Octave, Term

__all__ = ["Sum", "at_once", "evaluate_octave", "in_tiles", "look_at"]

Values = dict[str, Tensor]


def evaluate_octave(extractor: Extractor, picture: Tensor, octave: Octave) -> tuple[Values, Tensor]:
    """The weighted value of each term at 1 x 3 x H x W, sRGB in [0, 1], and the gradient of their sum."""
    if not octave.terms:
        return {}, torch.zeros_like(picture)
    return (at_once if len(octave.tiles) == 1 else in_tiles)(extractor, picture, octave)


def at_once(extractor: Extractor, picture: Tensor, octave: Octave) -> tuple[Values, Tensor]:
    """The same by a single look at the picture, whose features are kept for the way back."""
    with torch.enable_grad():
        seen = sent(picture.detach(), extractor.device).requires_grad_()
        summaries = summarized(extractor, seen, octave.tiles[0], {term.name: term.loss for term in octave.terms})
        values = {term.name: term.weight * term.loss.value(summaries[term.name]) for term in octave.terms}
        (gradient,) = torch.autograd.grad(_total(values), seen)
    return {name: value.detach() for name, value in values.items()}, gradient.to(picture.device)


def in_tiles(extractor: Extractor, picture: Tensor, octave: Octave) -> tuple[Values, Tensor]:
    """The same by two looks at each tile.

    The picture may be elsewhere than the extractor, which gets a tile at a time.
    """
    device = extractor.device
    sums = {term.name: Sum() for term in octave.terms}
    for number, tile in enumerate(octave.tiles):
        losses = {term.name: term.parts[number] for term in octave.terms}
        with torch.no_grad():
            for name, summary in summarized(extractor, sent(tile.padded(picture), device), tile, losses).items():
                sums[name].add(summary)
    slopes = {term.name: _slopes(term, sums[term.name]) for term in octave.terms}
    gradient = torch.zeros_like(picture)
    for number, (tile, wider) in enumerate(zip(octave.tiles, octave.tiles_back, strict=True)):
        losses = {term.name: term.parts_back[number] for term in octave.terms}
        with torch.enable_grad():
            part = sent(wider.padded(picture).detach(), device).requires_grad_()
            here = _back(summarized(extractor, part, wider, losses), slopes, part)
        if wider is tile:
            tile.padded(gradient).add_(here.to(gradient.device))
        else:
            tile.part(gradient, 1).copy_(tile.core_of_padded(here, wider).to(gradient.device))
    return {term.name: term.weight * term.loss.value(sums[term.name].summary) for term in octave.terms}, gradient


def summarized(extractor: Extractor, padded: Tensor, tile: Tile, losses: Mapping[str, Loss]) -> dict[str, Any]:
    """What the ``losses`` know of the core of ``tile``, each as soon as its layers are seen; by name.

    As the way back goes the other way round, the gradient in a layer is made when all behind it is done.
    """
    seen, waiting = {PIXELS: tile.bordered(padded)}, dict(losses)
    layers = {layer for loss in losses.values() for layer in loss.layers}
    summaries, again = _ready(waiting, seen), SeenAgain()
    with again.hooks():
        for layer, features in look_at(extractor, padded, tile, layers, again):
            seen[layer] = features
            summaries |= _ready(waiting, seen)
    return summaries


def _ready(waiting: dict[str, Loss], seen: Features) -> dict[str, Any]:
    """The summaries that can be taken now; what is not needed for those that are waiting then is let go."""
    ready = [name for name, loss in waiting.items() if seen.keys() >= set(loss.layers)]
    summaries = {name: waiting.pop(name).summarize(seen) for name in ready}
    wanted = {PIXELS, *(layer for loss in waiting.values() for layer in loss.layers)}
    for layer in seen.keys() - wanted:
        del seen[layer]
    return summaries


def look_at(
    extractor: Extractor, padded: Tensor, tile: Tile, layers: Collection[str], again: SeenAgain | None = None
) -> Iterator[tuple[str, Tensor]]:
    """What the core of ``tile`` has of the named layers, one after the other."""
    for layer, features in extractor.look(padded, layers, again) if layers else ():
        yield layer, tile.core(features, extractor.network.stride(layer))


class Sum:
    """A summary that grows tile by tile, in float64 where the device has it; that of a single tile stays as it is."""

    def __init__(self) -> None:
        self.summary: Any = None

    def add(self, summary: Any) -> None:
        """Add the summary of a tile."""
        self.summary = summary if self.summary is None else _widened(self.summary) + _widened(summary)


def _widened(summary: Any) -> Any:
    """A Tensor or Moments in the precision of sums."""
    return summary.to(widest((summary.second if isinstance(summary, Moments) else summary).device))


def _slopes(term: Term, total: Sum) -> list[Tensor | None]:
    """d weighted value / d each tensor of the summary; None where that does not matter."""
    summary = total.summary
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in _tensors(summary)]
        value = term.weight * term.loss.value(_with_tensors(summary, leaves))
        return list(torch.autograd.grad(value, leaves, allow_unused=True))


def _back(summaries: Mapping[str, Any], slopes: Mapping[str, list[Tensor | None]], part: Tensor) -> Tensor:
    """The gradient in the padded tile."""
    pairs = [
        (tensor, slope.to(tensor.dtype))
        for name, summary in summaries.items()
        for tensor, slope in zip(_tensors(summary), slopes[name], strict=True)
        if slope is not None
    ]
    tensors, given = zip(*pairs, strict=True)
    (gradient,) = torch.autograd.grad(tensors, part, given)
    return gradient


def _tensors(summary: Tensor | Moments) -> list[Tensor]:
    return [summary.sum, summary.second] if isinstance(summary, Moments) else [summary]


def _with_tensors(summary: Tensor | Moments, tensors: list[Tensor]) -> Tensor | Moments:
    return Moments(summary.count, *tensors) if isinstance(summary, Moments) else tensors[0]


def _total(values: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([value.to(widest(value.device)) for value in values.values()]).sum()
