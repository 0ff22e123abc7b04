"""The arithmetic of the comparison: each pair's curve of style error over content error, and ratios to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import geometric_mean, median, quantiles

Pair = tuple[str, str]
"""The names of a photo and a painting."""


@dataclass(frozen=True)
class Outcome:
    """One finished picture: its errors, the seconds it took, and what is not right about it: figures of
    ``impasto.metrics`` by name, as far as they were measured."""

    content: float
    style: float
    seconds: float
    flaws: Mapping[str, float] = field(default_factory=dict)


Dial = Mapping[float, Outcome]
"""What one way makes of one pair, by strength."""


@dataclass(frozen=True)
class Ratio:
    """A style error over that of the reference with the same content error; ``extrapolated`` beyond a curve's end."""

    value: float
    extrapolated: bool = False


@dataclass(frozen=True)
class Comparison:
    """One way beside the reference on one pair.

    ``ratios`` are style errors at the same content error, by strength: of the way's pictures over the curve of the
    reference, or of the way's curve over one picture of the reference. ``style`` is their geometric mean. Those named
    ``same_strength`` are plain ratios at the same position of the dial, geometric means over it; ``seconds`` the median
    ratio, and ``flaws`` by how much larger each is, by name.
    """

    ratios: Mapping[float, Ratio]
    style: float
    content_same_strength: float
    style_same_strength: float
    seconds: float
    flaws: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Summary:
    """One way beside the reference over all pairs: medians over pairs, and 90 % quantiles where the name says so; of
    each flaw the median and the largest difference over all pictures."""

    pairs: int
    style: float
    style_90: float
    extrapolated: int
    points: int
    content_same_strength: float
    style_same_strength: float
    seconds: float
    flaws: Mapping[str, tuple[float, float]]


def style_at(curve: Sequence[tuple[float, float]], content: float) -> Ratio:
    """The style error at the content error ``content`` on a curve of (content error, style error), as a value.

    Linear between the logarithms of both; beyond an end, the line through the two points there goes on. A single
    point is a curve without a slope.
    """
    points = _merged(curve)
    x = math.log(content)
    outside = not points[0][0] <= x <= points[-1][0]
    if len(points) == 1:
        return Ratio(math.exp(points[0][1]), outside)
    start = next((i for i in range(len(points) - 2) if x <= points[i + 1][0]), len(points) - 2)
    (x0, y0), (x1, y1) = points[start : start + 2]
    return Ratio(math.exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0)), outside)


def _merged(curve: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The logarithms in the order of content errors; points of the same content error become their mean."""
    logs = sorted((math.log(content), math.log(style)) for content, style in curve)
    groups = ((x, [y for _, y in points]) for x, points in groupby(logs, key=lambda point: point[0]))
    return [(x, sum(ys) / len(ys)) for x, ys in groups]


def compare(reference: Dial, other: Dial, *, at: float | None = None) -> Comparison | None:
    """Compare what another way makes of a pair with the curve of the reference, or with its picture ``at`` a strength.

    None if there is no strength, or not that one, which both have.
    """
    common = sorted(strength for strength in reference.keys() & other.keys() if at in (None, strength))
    if not common:
        return None
    ratios = _ratios(reference, other) if at is None else {at: _ratio_at(reference[at], other)}
    both = [(reference[strength], other[strength]) for strength in common]
    return Comparison(
        ratios=ratios,
        style=geometric_mean(ratio.value for ratio in ratios.values()),
        content_same_strength=geometric_mean(ours.content / theirs.content for theirs, ours in both),
        style_same_strength=geometric_mean(ours.style / theirs.style for theirs, ours in both),
        seconds=median(ours.seconds / theirs.seconds for theirs, ours in both),
        flaws=_larger(both),
    )


def _larger(both: Sequence[tuple[Outcome, Outcome]]) -> dict[str, tuple[float, ...]]:
    """By how much each flaw is larger in the second of two, wherever it was measured of both."""
    found: dict[str, tuple[float, ...]] = {}
    for theirs, ours in both:
        for name in ours.flaws.keys() & theirs.flaws.keys():
            found[name] = (*found.get(name, ()), ours.flaws[name] - theirs.flaws[name])
    return found


def _ratios(reference: Dial, other: Dial) -> dict[float, Ratio]:
    curve, found = _curve(reference), {}
    for strength, outcome in sorted(other.items()):
        theirs = style_at(curve, outcome.content)
        found[strength] = Ratio(outcome.style / theirs.value, theirs.extrapolated)
    return found


def _ratio_at(single: Outcome, other: Dial) -> Ratio:
    ours = style_at(_curve(other), single.content)
    return Ratio(ours.value / single.style, ours.extrapolated)


def _curve(dial: Dial) -> list[tuple[float, float]]:
    return [(outcome.content, outcome.style) for outcome in dial.values()]


def summarize(comparisons: Iterable[Comparison]) -> Summary:
    """Summarize one way over its pairs, at least one."""
    pairs = list(comparisons)
    ratios = [ratio for pair in pairs for ratio in pair.ratios.values()]
    flaws: dict[str, list[float]] = {}
    for pair in pairs:
        for name, differences in pair.flaws.items():
            flaws.setdefault(name, []).extend(differences)
    return Summary(
        pairs=len(pairs),
        style=median(pair.style for pair in pairs),
        style_90=quantile_90([pair.style for pair in pairs]),
        extrapolated=sum(ratio.extrapolated for ratio in ratios),
        points=len(ratios),
        content_same_strength=median(pair.content_same_strength for pair in pairs),
        style_same_strength=median(pair.style_same_strength for pair in pairs),
        seconds=median(pair.seconds for pair in pairs),
        flaws={name: (median(found), max(found)) for name, found in flaws.items()},
    )


def quantile_90(values: Sequence[float]) -> float:
    """The value that nine tenths do not exceed, linear between the two nearest."""
    return values[0] if len(values) == 1 else quantiles(values, n=10, method="inclusive")[-1]


def worst(comparisons: Mapping[Pair, Comparison], count: int = 10) -> list[Pair]:
    """The pairs of the largest style ratios, the largest first."""
    return sorted(comparisons, key=lambda pair: (-comparisons[pair].style, pair))[:count]


def choose_pairs(contents: Iterable[str], styles: Iterable[str], count: int | None) -> list[Pair]:
    """``count`` different pairs that spread evenly: of the photos and of the paintings, none is used twice more often
    than another is once; None for all pairs.

    Decided by the sorted names alone: photos take turns, and meanwhile the paintings pass by once, at an even pace. So
    24 pairs of 12 photos and 14 paintings have each photo twice and each painting once or twice.
    """
    photos, paintings = sorted(contents), sorted(styles)
    most = len(photos) * len(paintings)
    if count is None or count >= most:
        return [(photo, painting) for photo in photos for painting in paintings]
    if count < len(photos):
        photos = [photos[i * len(photos) // count] for i in range(count)]
    return [(photos[i % len(photos)], paintings[i * len(paintings) // count]) for i in range(count)]
