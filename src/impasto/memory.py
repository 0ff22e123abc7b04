"""How much memory a run takes, and how it is fitted into what there is: known before anything large is allocated."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import torch

from impasto.allocator import can_keep
from impasto.device import Machine
from impasto.errors import ImpastoError, OptionError
from impasto.grid import Tiling
from impasto.networks import Network
from impasto.pyramid import Level
from impasto.spec import COARSEST_SIDE, StyleSpec, scaled_to_long_side

__all__ = [
    "VECTOR",
    "Footprint",
    "fit_memory",
    "in_smaller_tiles",
    "is_out_of_memory",
]

VECTOR = 3 * 4
"""Bytes a pixel of the picture, its gradient, or any other tensor of its shape."""

BASE = 0.373e9
"""Bytes of Python, PyTorch, and what its libraries keep for themselves, as measured."""

WHILE_READING = 0.26e9
"""The same while pictures are read, before anything was computed."""

WORKING_VECTORS = 8
"""Of the size of the picture, besides the history: the point, the one before and its gradient, the values in range,
the gradient that is growing, the best point, what the octaves take, and one that comes and goes."""

EVALUATED_VECTORS = 5
"""The same where there is a single evaluation, as measured."""

KEPT_VECTORS = 4
"""Beside tiles, how many more are there if what is freed is kept; as measured at 8192 pixels."""

COPIED = 1.5
"""Of the first layer's features of a tile, what is copied out of it; as measured."""

TILES = (2048, 1024, 768, 512, 256)
"""Sides in pixels of the tiles to choose from; the larger, the less is looked at twice."""

SMALLEST_TILE = TILES[-1]
"""Smaller tiles would be little but halo."""

SHORTER = (0.5, 0.25)
"""Shares of the history to choose from, once all of it is kept in bfloat16 and still too much."""


LEEWAY = 1.08
"""How much more than was predicted may be taken: what an allocator makes of the same requests differs that much from
run to run."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether ``error`` says that an allocation failed, or that a GPU cannot count so many values."""
    words = ("out of memory", "can't allocate memory", "not enough memory", "must fit into 32-bit index math")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def in_smaller_tiles(level: Level, device: torch.device) -> Level:
    """The same in tiles of half the side; if they are as small as is of use, from main memory where there is
    another one, else raise ImpastoError."""
    largest = level.tile or max(level.canvas)
    if largest <= SMALLEST_TILE and level.vectors == "device" and device.type == "cuda":
        return replace(level, vectors="main memory")
    if largest <= SMALLEST_TILE:
        raise ImpastoError(
            "There is not enough memory, even in the smallest tiles: close other programs, or use a smaller --size."
        )
    return replace(level, tile=max(SMALLEST_TILE, largest // 2))


@dataclass(frozen=True)
class Footprint:
    """What decides how much memory a level takes: options, machine, networks by name, the bytes of the pictures that
    are kept all the while, the ``room`` there is for keeping what is freed as well, None for any, on a GPU what there
    is of ``main`` memory, None for unknown, and the bytes that ``reading`` the pictures took before."""

    spec: StyleSpec
    machine: Machine
    networks: Mapping[str, Network]
    pictures: float
    room: float | None = None
    main: float | None = None
    reading: float = 0.0

    def of_run(self, levels: Iterable[Level]) -> float:
        """Peak bytes of a run."""
        before = WHILE_READING + self.reading if self.machine.device.type == "cpu" else 0.0
        return max(before, *(self.of_level(level) for level in levels))

    def of_level(self, level: Level) -> float:
        """Peak bytes while ``level`` is computed."""
        return self._of_level(level, keeps_freed=self.keeps_freed(level))

    def least_of_level(self, level: Level) -> float:
        """The same if everything that is freed is handed back to the system."""
        return self._of_level(level, keeps_freed=False)

    def fits(self, level: Level, limit: float) -> bool:
        """Whether ``level`` stays within ``limit`` bytes, and what is not on the device in main memory."""
        return LEEWAY * self.least_of_level(level) <= limit and (
            self.main is None or self.elsewhere(level) <= self.main
        )

    def elsewhere(self, level: Level) -> float:
        """Bytes of main memory, if another one is meant by all others."""
        if level.vectors == "device":
            return 0.0
        return self.pictures + self._vectors(level)

    def keeps_freed(self, level: Level) -> bool:
        """Whether there is room for keeping what is freed, which is faster than to hand it back."""
        if self.machine.device.type != "cpu" or not can_keep():
            return False
        return self.room is None or LEEWAY * self._of_level(level, keeps_freed=True) <= self.room

    def hands_back(self, level: Level) -> bool:
        """Whether what is freed could be kept, but for want of room."""
        return self.machine.device.type == "cpu" and can_keep() and not self.keeps_freed(level)

    def _of_level(self, level: Level, *, keeps_freed: bool) -> float:
        network = self.networks[level.network]
        vectors = 0.0 if level.vectors == "main memory" else self._vectors(level)
        features = self._features(level, network, keeps_freed=keeps_freed)
        if keeps_freed and level.tile:
            vectors += level.pixels * VECTOR * KEPT_VECTORS
        return self._held() + vectors + self._targets(level, network) + features

    def _vectors(self, level: Level) -> float:
        """All that has the size of the picture; the content too, at all octaves, if it is seen again."""
        content = VECTOR * 4 / 3 if level.targets == "again" else 0.0
        if level.iterations == 1:  # no solver ever takes a step
            return level.pixels * (VECTOR * EVALUATED_VECTORS + content)
        return level.pixels * (VECTOR * WORKING_VECTORS + self._history(level) + content)

    def _held(self) -> float:
        """Whatever is there all the while."""
        # With the copies that convolutions make of their kernels; as measured.
        copies = 0.68 * self.machine.dtype.itemsize - 0.62
        weights = copies * sum(network.tensor_bytes for network in self.networks.values())
        return weights + (BASE + self.pictures if self.machine.device.type == "cpu" else 0.0)

    def _history(self, level: Level) -> float:
        """Bytes a pixel of what the solver remembers."""
        if self.spec.optimizer == "adam":
            return 3 * VECTOR
        pairs = min(level.history or self.spec.history, max(level.iterations - 2, 0))
        return 2 * pairs * VECTOR * (0.5 if level.history_precision == "bf16" else 1.0)

    def _targets(self, level: Level, network: Network) -> float:
        """The content's features at all octaves, if they are kept."""
        if level.targets == "again":
            return 0.0
        layers = network.guarded(self.spec.content_layers)
        values = sum(network.width_of_target(layer) / network.stride(layer) ** 2 for layer in layers)
        tiling, pixels = self._tiling(level), level.pixels
        if tiling.apart:  # those of wider cores, which are what is padded on the way there
            pixels = tiling.seen(level.canvas, network, self._layers)[0] or pixels
        return pixels * values * self.machine.dtype.itemsize * 4 / 3

    def _tiling(self, level: Level) -> Tiling:
        """That of ``level``, or one of a single tile."""
        return Tiling.in_precision(level.tile or max(level.canvas), self.machine.dtype)

    @property
    def _layers(self) -> set[str]:
        return {*self.spec.content_layers, *self.spec.style_layers}

    def _features(self, level: Level, network: Network, *, keeps_freed: bool) -> float:
        """What is kept for the way back: of the whole picture, or of the largest padded tile."""
        itemsize = self.machine.dtype.itemsize
        padded = self._tiling(level).largest(level.canvas, network, self._layers)
        # The first layer may be seen again instead of kept (see SeenAgain), if it is looked at.
        first = next(conv for _, conv in network)
        forgets = first.layer in self._layers and network.forgets_first
        kept = network.values_per_pixel + (0 if forgets else first.outputs)
        # Numbers for each that the layers say of a pixel, and for the pixel itself; as measured.
        needed = padded * itemsize * ((0.81 if network.forgets_first else 1.03) * kept + 12)
        if keeps_freed:  # much of which fits nothing else; as measured
            needed *= 1.97 + 0.115 * itemsize if network.forgets_first else 2.18 - 0.12 * itemsize
        return needed + (COPIED * first.outputs * padded * itemsize if padded < level.pixels else 0.0)


def fit_memory(levels: Sequence[Level], footprint: Footprint, limit: float | None) -> list[Level]:
    """Give each level the largest tiles and the longest history with which it stays within ``limit`` bytes.

    First the whole picture at once; then tiles; then the history in bfloat16; then, on a GPU, both with all that has
    the size of the picture in main memory; then a shorter history; at last the content is seen again each time. Raises
    OptionError, with a size that would do, if nothing is small enough.
    """
    if limit is None:
        return list(levels)
    # From the full size on, which is the one that people know of.
    return [_fitted(level, levels, footprint, limit) for level in reversed(levels)][::-1]


def _fitted(level: Level, levels: Sequence[Level], footprint: Footprint, limit: float) -> Level:
    """``level``, which is one of ``levels``."""
    found = _choice(level, footprint, limit)
    if found is not None:
        return found
    choices = list(_choices(level, footprint))
    on_device = [choice for choice in choices if LEEWAY * footprint.least_of_level(choice) <= limit]
    if on_device:  # it is main memory that falls short
        needed, limit_there = min(map(footprint.elsewhere, on_device)), footprint.main or 0.0
        where, remedy = "main memory", "close other programs"
    else:
        needed, limit_there = LEEWAY * min(map(footprint.least_of_level, choices)), limit
        where, remedy = "memory", "use more --memory"
    longest = max(level.size)
    sides = range(COARSEST_SIDE, longest)
    largest = [each for each in levels if each.size == level.size]
    count = bisect_left(
        sides, True, key=lambda side: any(_choice(_at(each, side), footprint, limit) is None for each in largest)
    )
    smaller = f"use --size {sides[count - 1]} or less, or {remedy}" if count else remedy
    raise OptionError(
        f"{level.size[1]} x {level.size[0]} pixels need {needed / 2**30:.1f} GB of {where} at least, and"
        f" {limit_there / 2**30:.1f} GB may be used: {smaller}."
    )


def _at(level: Level, side: int) -> Level:
    """The same with another long side."""
    return replace(level, size=scaled_to_long_side(level.size, side))


def _choice(level: Level, footprint: Footprint, limit: float) -> Level | None:
    """The fastest way that stays within ``limit`` bytes."""
    return next((choice for choice in _choices(level, footprint) if footprint.fits(choice, limit)), None)


def _choices(level: Level, footprint: Footprint) -> Iterator[Level]:
    """From the fastest to the smallest."""
    spec, tiles = footprint.spec, [side for side in TILES if side < max(level.canvas)]
    places = [level]
    if footprint.machine.device.type == "cuda":
        places.append(replace(level, vectors="main memory"))
    yield level
    for place in places:
        yield from (replace(place, tile=side) for side in tiles)
        yield from _with_history(place, spec.history, tiles)
    for share in SHORTER:
        for place in places:
            yield from _with_history(place, max(1, ceil(share * spec.history)), tiles)
    smallest = [
        replace(place, tile=SMALLEST_TILE, history=_shortest(spec), history_precision="bf16") for place in places
    ]
    yield from smallest
    yield from (replace(place, targets="again") for place in smallest)


def _with_history(level: Level, history: int, tiles: Sequence[int]) -> Iterator[Level]:
    """With so many pairs, in bfloat16."""
    for side in tiles or (SMALLEST_TILE,):
        yield replace(level, tile=side, history=history, history_precision="bf16")


def _shortest(spec: StyleSpec) -> int:
    return min(spec.history, 2)
