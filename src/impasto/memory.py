"""A run is fitted into the memory that there is: in tiles, with a shorter history, or with fewer things kept."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from impasto.errors import ImpastoError, OptionError
from impasto.footprint import LEEWAY, Footprint
from impasto.grid import SMALLEST_TILE
from impasto.pyramid import Level
from impasto.spec import COARSEST_SIDE, StyleSpec, scaled_to_long_side

__all__ = ["check_reading", "fit_memory", "in_smaller_tiles"]

TILES = (2048, 1024, 768, 512, SMALLEST_TILE)
"""Sides in pixels of the tiles to choose from; the larger, the less is looked at twice."""

SHORTER = (0.5, 0.25)
"""Shares of the history to choose from, once all of it is kept in bfloat16 and still too much."""


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


def check_reading(footprint: Footprint, memory: float | None) -> None:
    """Raise OptionError if to read the pictures took more than ``memory``, which someone asked for. (What is free is
    not compared: they are there by now.)"""
    needed = LEEWAY * footprint.while_reading
    if memory is not None and needed > memory:
        raise OptionError(
            f"To read the pictures takes {_amount(needed)} of memory, and {_amount(memory, up=False)} may be used: use"
            f" --memory {_amount(needed)} or more, or reduce the pictures first."
        )


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
        where, remedy = "memory", f"use --memory {_amount(needed)} or more"
    longest = max(level.size)
    sides = range(COARSEST_SIDE, longest)
    largest = [each for each in levels if each.size == level.size]
    count = bisect_left(
        sides, True, key=lambda side: any(_choice(_at(each, side), footprint, limit) is None for each in largest)
    )
    smaller = f"use --size {sides[count - 1]} or less, or {remedy}" if count else remedy
    raise OptionError(
        f"{level.size[1]} x {level.size[0]} pixels need {_amount(needed)} of {where} at least, and"
        f" {_amount(limit_there, up=False)} may be used: {smaller}."
    )


def _amount(number: float, *, up: bool = True) -> str:
    """As it may be given to --memory: rounded up to what suffices, or down to what there is."""
    unit, factor = ("M", 2**20) if number < 10 * 2**30 else ("G", 2**30)
    return f"{math.ceil(number / factor) if up else math.floor(number / factor)}{unit}"


def _at(level: Level, side: int) -> Level:
    """The same with another long side, and the painting as much smaller."""
    painting = side * max(level.style_size) / max(level.size)
    size, style_size = scaled_to_long_side(level.size, side), scaled_to_long_side(level.style_size, painting)
    return replace(level, size=size, style_size=style_size)


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
            yield from _with_history(place, max(1, math.ceil(share * spec.history)), tiles)
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
