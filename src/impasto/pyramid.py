"""Coarse to fine: at which sizes the picture is optimized, by which network, and for how many evaluations each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from impasto.errors import InputError, OptionError
from impasto.networks import NETWORKS, preferred_network
from impasto.spec import COARSEST_SIDE, MIN_SIDE, StyleSpec, doublings, scaled_to_long_side

__all__ = [
    "MOST_ITERATIONS",
    "HistoryPrecision",
    "Level",
    "Targets",
    "Whereabouts",
    "coarse_network",
    "own_network",
    "plan_pyramid",
]

Size = tuple[int, int]
HistoryPrecision = Literal["fp32", "bf16"]
Whereabouts = Literal["device", "main memory"]
Targets = Literal["kept", "again"]

MOST_ITERATIONS = 1_000_000

OWN_SIDE, OWN_SHARE = 128, 0.5
"""The long side in pixels up to which the network that finishes a picture begins it as well, and with which share of
the evaluations. It costs little there, and where the photo is flat it is what finds forms; the small network alone
finds fewer, and what follows does not make up for it."""

MARGIN = 16
"""Pixels around all levels but the last, or half the shorter side: where a picture ends, a network sees what it
mirrors there, and the style finds its way with less resistance, so that borders become gaudy, from the coarsest size
on."""


@dataclass(frozen=True)
class Level:
    """One part of a run: (height, width) of the picture and of the painting in pixels, the evaluations, and the name of
    the network that looks.

    ``tile`` is the side in pixels of the tiles in which it looks, 0 for the whole picture; ``history`` how many steps
    L-BFGS remembers, None for those that were asked for, and ``history_precision`` in which numbers. ``vectors`` says
    where the picture, its gradient and the history are: on the device that computes, or in main memory, from which the
    device gets a tile at a time. ``targets`` says whether the content's features are kept, or found again each time.
    ``margin`` pixels more, mirrored, are around the picture on each side: a canvas of which it is the middle.
    """

    size: Size
    style_size: Size
    iterations: int
    network: str = "vgg19"
    tile: int = 0
    history: int | None = None
    history_precision: HistoryPrecision = "fp32"
    vectors: Whereabouts = "device"
    targets: Targets = "kept"
    margin: int = 0

    def __str__(self) -> str:
        """One line for those who want to know."""
        tiles = f"tiles of {self.tile}" if self.tile else "at once"
        history = f", history {self.history} in {self.history_precision}" if self.history else ""
        vectors = ", vectors in main memory" if self.vectors == "main memory" else ""
        margin = f" and {self.margin} around" if self.margin else ""
        about = f"{self.size[1]} x {self.size[0]}{margin}, {self.iterations} evaluations of {self.network}"
        targets = ", content seen again" if self.targets == "again" else ""
        return f"{about}, {tiles}{history}{vectors}{targets}"

    @property
    def canvas(self) -> Size:
        """(height, width) with the margin."""
        return self.size[0] + 2 * self.margin, self.size[1] + 2 * self.margin

    @property
    def pixels(self) -> int:
        """With the margin."""
        return math.prod(self.canvas)


def plan_pyramid(size: Size, style: Size, spec: StyleSpec) -> list[Level]:
    """Plan the levels, coarsest first, for a result of (height, width) ``size`` and a painting of ``style``.

    Each coarser level halves the sides, as long as the shorter one of picture and painting allows it. What lies between
    the smallest sizes, up to ``OWN_SIDE``, and the last part of the full size is left to ``coarse_network(spec)``.
    Raises InputError if the painting is too narrow for the full size, OptionError for more than ``MOST_ITERATIONS`` at
    a level.
    """
    guide = coarse_network(spec)
    levels = [_level(size, style, spec, 1.0, spec.num_iterations)]
    if min(levels[0].style_size) < MIN_SIDE:
        height, width = levels[0].style_size
        raise InputError(
            f"The painting would be read at {width} x {height} pixels, and its short side has to have {MIN_SIDE}"
            " at least: use a larger --style-scale or --size, or crop it to be less narrow."
        )
    if spec.strength == 0:
        return [replace(levels[0], iterations=1)]
    early = round(spec.early_iterations * spec.num_iterations)
    if guide and early:
        final = max(1, round(spec.final_iterations * spec.num_iterations))
        levels = [replace(levels[0], iterations=final), replace(levels[0], iterations=early, network=guide)]
    # However large the result is, it begins as small: the last factor goes on.
    factors = (*spec.coarse_iterations, *spec.coarse_iterations[-1:] * doublings(size))
    for depth, factor in enumerate(factors, start=1):
        level = _level(size, style, spec, 0.5**depth, round(factor * spec.num_iterations))
        if min(level.size) < COARSEST_SIDE or min(level.style_size) < MIN_SIDE:
            break
        if level.iterations:
            levels.append(_begun(level, guide))
    _check_iterations(levels)
    finest, *others = levels
    return [*(replace(level, margin=min(MARGIN, min(level.size) // 2)) for level in others[::-1]), finest]


def _begun(level: Level, guide: str) -> Level:
    """A coarser ``level`` as it is shared with the network called ``guide``, if that is a name."""
    if not guide:
        return level
    if max(level.size) <= OWN_SIDE:
        return replace(level, iterations=max(1, round(OWN_SHARE * level.iterations)))
    return replace(level, network=guide)


def _check_iterations(levels: list[Level]) -> None:
    most = max(level.iterations for level in levels)
    if most > MOST_ITERATIONS:
        raise OptionError(
            f"{most:,} evaluations at one size are too many: with --num-iterations, --coarse-iterations,"
            f" --early-iterations and --final-iterations there may be {MOST_ITERATIONS:,}."
        )


def own_network(spec: StyleSpec) -> str:
    """The name of the network that finishes; the preferred one as long as ``auto`` is open."""
    return preferred_network().name if spec.network == "auto" else spec.network


def coarse_network(spec: StyleSpec) -> str:
    """The name of the network that prepares the picture for the run's own; empty if that does all by itself.

    ``auto`` is the student of the run's own network, if it has one with all the layers that are looked at.
    """
    own = own_network(spec)
    if spec.coarse_network != "auto":
        return "" if spec.coarse_network in ("none", own) else spec.coarse_network
    students = (network for network in NETWORKS.values() if network.teacher and network.teacher.name == own)
    wanted = {*spec.content_layers, *spec.style_layers}
    return next((student.name for student in students if wanted <= set(student.layers)), "")


def _level(size: Size, style: Size, spec: StyleSpec, factor: float, iterations: int) -> Level:
    at_size = round(size[0] * factor), round(size[1] * factor)
    return Level(at_size, scaled_to_long_side(style, max(at_size) * spec.style_scale), iterations, own_network(spec))
