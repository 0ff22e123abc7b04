"""What is wanted of a picture: the deep features of the content, looked at once, and the moments of the style."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.features import Extractor
from impasto.grid import BLOCK, Tile, Tiling
from impasto.hardware import hardware_name
from impasto.looks import Look, Recall, Viewed
from impasto.losses import ContentLoss, StyleLoss, TotalVariationLoss
from impasto.moments import Moments, moments
from impasto.networks import Network
from impasto.objective import Objective
from impasto.spec import COARSEST_SIDE, StyleSpec, doublings
from impasto.terms import Octave, Term
from impasto.tiling import Sum

__all__ = ["number_of_octaves", "style_transfer_objective"]

CHROMA = 3.3
"""How much more color counts in smoothness than lightness. Networks trained on photos hardly look at the finest color,
so that nothing else keeps its grain out of skies and walls; brushes leave little of it. Style errors stay within 4 %,
content errors fall as much."""


def style_transfer_objective(
    extractor: Extractor,
    content: Tensor,
    style: Tensor,
    spec: StyleSpec,
    *,
    content_alpha: Tensor | None = None,
    style_alpha: Tensor | None = None,
    tiling: Tiling | None = None,
    recall: Recall | None = None,
    keep_content: bool = True,
    margin: int = 0,
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
    (``Network.trusted``, ``Network.guarded``), and are balanced anew (``Network.balanced``).

    What ``recall`` returns stands for looking at the style, which it may do by calling what it is given last. With a
    ``tiling``, pictures that are larger than a padded tile are looked at tile by tile, with the same outcome; without
    one, a painting that is much larger than the picture is, in tiles about as large as that. If the
    features of the content are not kept, its pixels are, and looked at again each time, with the same outcome too.
    With a ``margin``, the content is mirrored around itself by so many pixels, and so large are the pictures that are
    evaluated.
    Raises OptionError if nothing is wanted.
    """
    how = Look(extractor, tiling, recall, keep_content)
    photo, painting = Viewed(content, content_alpha), Viewed(style, style_alpha)
    wanted = _Wanted.of(spec, extractor.network)
    count = number_of_octaves(photo.size, painting.size, spec.octaves)
    photo = photo.surrounded(margin)
    at_painting = how.for_painting(painting, photo.size)
    octaves = []
    for number in range(count):
        if number:
            photo, painting = photo.halved(), painting.halved()
        smoothness = _smoothness(photo.pixels, spec) if number == 0 else None
        octaves.append(_octave(how, photo, at_painting, painting, wanted.shared(count), number, smoothness))
    if not any(octave.terms for octave in octaves):
        raise OptionError("All weights are 0, so nothing is wanted of the picture: raise one of them, or --strength.")
    return Objective(extractor, tuple(octaves))


def number_of_octaves(picture: tuple[int, int], painting: tuple[int, int], wanted: int) -> int:
    """How many octaves there are for a picture and a painting of (height, width), if so many are ``wanted`` at the
    reference size: those that leave ``COARSEST_SIDE`` pixels of both."""
    if wanted > 1:
        wanted += doublings(picture)
    side = min(*picture, *painting)
    possible = [count for count in range(2, wanted + 1) if side >= COARSEST_SIDE * 2 ** (count - 1)]
    return max(possible, default=1)


@dataclass(frozen=True)
class _Wanted:
    """The layers that count, with the weights of their terms, and how terms are scaled."""

    content: Mapping[str, float]
    style: Mapping[str, float]
    is_relative: bool

    @classmethod
    def of(cls, spec: StyleSpec, network: Network) -> _Wanted:
        """What ``spec`` asks for, as far as ``network`` sees it, at the strength of the dial."""
        is_relative = spec.normalization == "relative"
        content, style = spec.content_layers, spec.style_layers
        if is_relative:
            # Terms in the units of neural-style-pt differ too much between layers to stand in for each other.
            content, style = network.guarded(content), network.trusted(style)
        # A relative term is an average over layers; neural-style-pt adds the layers up.
        of_content, of_style = (sum(layers.values()) if is_relative else 1.0 for layers in (content, style))
        counts = is_relative and spec.content_weight > 0 and spec.strength < 1
        balance = network.balanced(spec.content_layers) if counts else 1.0
        content_weight = spec.content_weight / balance * (2 * (1 - spec.strength)) ** 1.5 / max(of_content, 1e-12)
        style_weight = spec.style_weight * balance * (2 * spec.strength) ** 1.5 / max(of_style, 1e-12)
        return cls(_times(content, content_weight), _times(style, style_weight), is_relative)

    def shared(self, count: int) -> _Wanted:
        """The same for each of ``count`` octaves."""
        return replace(self, content=_times(self.content, 1 / count), style=_times(self.style, 1 / count))


def _times(layers: Mapping[str, float], factor: float) -> dict[str, float]:
    """Those that count, with their weights multiplied."""
    return {layer: weight * factor for layer, weight in layers.items() if weight * factor > 0}


def _octave(
    how: Look,
    photo: Viewed,
    at_painting: Look,
    painting: Viewed,
    wanted: _Wanted,
    number: int,
    smoothness: tuple[float, TotalVariationLoss] | None,
) -> Octave:
    """The terms at one size."""
    extractor, suffix = how.extractor, f" /{2**number}" if number else ""
    stride = extractor.network.stride
    content = {layer: weight for layer, weight in wanted.content.items() if photo.shows_anything(stride(layer))}
    style = {
        layer: weight
        for layer, weight in wanted.style.items()
        if photo.shows_anything(stride(layer)) and painting.shows_anything(stride(layer))
    }
    tiles = how.tiles(photo, {*content, *style})
    back = how.tiles_back(tiles, {*content, *style})
    terms = []
    for layer, (parts, parts_back) in _content_losses(how, photo, content, wanted.is_relative, tiles, back).items():
        terms.append(Term(f"content {layer}{suffix}", content[layer], parts, parts_back))
    for layer, target in _recalled(at_painting, painting, style).items():
        make = StyleLoss.relative if wanted.is_relative else StyleLoss.mean_squared
        loss = replace(make(layer, target, None, extractor.space(layer)), stride=stride(layer))
        pair = (
            tuple(replace(loss, visible=how.visible(photo, tile, layer)) for tile in each) for each in (tiles, back)
        )
        terms.append(Term(f"style {layer}{suffix}", style[layer], *pair))
    if smoothness is not None:
        weight, variation = smoothness
        sized = (tuple(replace(variation, size=tile.size) for tile in each) for each in (tiles, back))
        terms.append(Term("smoothness", weight, *sized))
    return Octave(tuple(terms), tiles, back)


def _content_losses(
    how: Look, photo: Viewed, layers: Collection[str], is_relative: bool, tiles: Sequence[Tile], back: Sequence[Tile]
) -> dict[str, tuple[tuple[ContentLoss, ...], tuple[ContentLoss, ...]]]:
    """For each layer the parts of its loss, and those for the way ``back``, if tiles are wider there. Their features
    are kept tile by tile, if they are."""
    make = ContentLoss.relative if is_relative else ContentLoss.mean_squared
    parts: dict[str, list[ContentLoss]] = {layer: [] for layer in layers}
    wide: dict[str, list[ContentLoss]] = {layer: [] for layer in layers}
    for tile, wider in zip(tiles, back or tiles, strict=True) if layers else ():
        with torch.no_grad():
            for layer, features in how.look(photo, wider, layers):
                # A part of the features would keep those of the whole tile.
                own, stride = features if tile.is_whole else features.clone(), how.extractor.network.stride(layer)
                core = tile.core_of_core(own, wider, stride)
                loss = make(layer, core, how.visible(photo, tile, layer), how.extractor.space(layer))
                if back:
                    target = loss.space.features(own)
                    loss = replace(loss, target=tile.core_of_core(target, wider, stride))
                    at_all = replace(loss, target=target, visible=how.visible(photo, wider, layer))
                    wide[layer].append(_kept(how, photo, wider, at_all))
                parts[layer].append(_kept(how, photo, tile, loss))
    return {layer: (_of_one_scale(losses), tuple(wide[layer])) for layer, losses in parts.items()}


def _kept(how: Look, photo: Viewed, tile: Tile, loss: ContentLoss) -> ContentLoss:
    """With its target, that of the core of ``tile``, or with what finds it each time."""
    return loss if how.keep_content else replace(loss, target=partial(_seen_again, how, photo, tile, loss.layer))


def _seen_again(how: Look, photo: Viewed, tile: Tile, layer: str) -> Tensor:
    """The target that was found for a tile."""
    with torch.no_grad():
        ((_, features),) = how.look(photo, tile, [layer])
        return how.extractor.space(layer).features(features)


def _of_one_scale(losses: Sequence[ContentLoss]) -> tuple[ContentLoss, ...]:
    """Scales are sums over positions: that of the whole is the sum of its tiles'."""
    scale = sum(loss.scale for loss in losses)
    return tuple(replace(loss, scale=scale) for loss in losses)


def _recalled(how: Look, painting: Viewed, layers: Collection[str]) -> dict[str, Moments]:
    """The painting's moments, remembered or found."""
    extractor = how.extractor
    if how.recall is None or not layers:
        return _moments(how, painting, layers)
    is_cut = len(how.tiles(painting, layers)) > 1
    described = {
        "network": extractor.network.name,
        "device": f"{extractor.device.type}, {hardware_name(extractor.device)}",
        "dtype": extractor.dtype,
        "padding": extractor.chain.padding,
        "pooling": extractor.chain.pooling,
        "layers": sorted(layers),
        "tiling": how.tiling if is_cut else None,
        "reduced": painting.reduced,
        "blocks": BLOCK,
    }
    found = how.recall(painting.pixels, painting.alpha, described, lambda: _moments(how, painting, layers))
    return {layer: found[layer].to(extractor.device) for layer in layers}


def _moments(how: Look, painting: Viewed, layers: Collection[str]) -> dict[str, Moments]:
    """The painting's moments of each layer, added up over its tiles."""
    sums = {layer: Sum() for layer in layers}
    for tile in how.tiles(painting, layers) if layers else ():
        with torch.no_grad():
            for layer, features in how.look(painting, tile, layers):
                stride = how.extractor.network.stride(layer)
                sums[layer].add(moments(features, how.visible(painting, tile, layer), stride=stride))
    wide = torch.float64 if how.extractor.dtype == torch.float64 else torch.float32
    return {layer: total.summary.to(wide) for layer, total in sums.items()}


def _smoothness(content: Tensor, spec: StyleSpec) -> tuple[float, TotalVariationLoss] | None:
    """Its weight and the loss; None if nobody asked for it."""
    if spec.tv_weight == 0:
        return None
    if spec.normalization == "relative":
        return spec.tv_weight, TotalVariationLoss(power=2, scale=content.numel(), chroma=CHROMA)
    return spec.tv_weight, TotalVariationLoss(power=1, scale=1 / 255)
