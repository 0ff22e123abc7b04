"""How much memory a run takes: known before anything large is allocated, from what was measured of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from impasto.allocator import can_keep
from impasto.device import Machine
from impasto.grid import Tiling
from impasto.networks import Network
from impasto.pyramid import Level
from impasto.spec import StyleSpec

__all__ = ["BASE", "LEEWAY", "VECTOR", "Footprint"]

VECTOR = 3 * 4
"""Bytes a pixel of the picture, its gradient, or any other tensor of its shape."""

BASE = 0.355e9
"""Bytes of Python, PyTorch, and what its libraries keep for themselves. This and what follows was measured of runs from
128 to 8192 pixels on 2 cores of an AMD EPYC (benchmarks/results/memory.jsonl, giant.jsonl)."""

OF_BF16 = 0.02e9
"""Bytes that computing in bfloat16 takes beyond BASE."""

WHILE_READING = 0.26e9
"""What BASE is while pictures are read, before anything was computed."""

SMALL_SHARE, SMALL_MOST = 0.45, 0.07e9
"""Pieces too small to be handed back: their share of what the features take, and the most bytes they come to."""

SMALL_LATER = 1.9
"""How many times as many small pieces there are where other levels came before."""

OF_TILES = 0.1e9
"""Bytes of small pieces that tiles leave, whether or not what is freed is kept."""

WORKING_VECTORS = 6.75
"""Of the size of the picture, besides the history: the point, the one before and its gradient, the values in range,
the gradient that is growing, the best point, and what the octaves take."""

EVALUATED_VECTORS = 4
"""The same where there is a single evaluation."""

VECTORS_ON_GPU = 1.25
"""So many more are assumed on a GPU, where they were not measured."""

COPIED_ON_GPU = 1.5
"""Of the first layer's features of a tile, what is assumed to be copied out of it on a GPU."""

KEPT_OF_WIDE, KEPT_OF_NARROW, KEPT_OF_NARROW_BF16 = 2.2, 1.8, 2.4
"""How many times as much room the features have if what is freed is kept: about what they come to if nothing is ever
handed back. Held to 0.9 of what the whole process comes to, evaluations took up to 1.3 times as long."""

KEPT_LATER, LATER = 0.7, 20
"""How much more than these times it is after so many evaluations, each of which leaves memory in other pieces."""

HELD_TO = 0.98
"""Of what a level may take, where it begins to hand back: that it takes too much is seen once a layer has done so."""

CONTENT_VECTORS = 3
"""While the painting is looked at: the point, the content and its octaves."""

LOOKED_AT = 3
"""Of the first layer's features, while they are not kept for the way back: what is alive around a convolution."""

LEEWAY = 1.08
"""How much more than was predicted may be taken: what an allocator makes of the same requests differs that much from
run to run."""


@dataclass(frozen=True)
class Footprint:
    """What decides how much memory a level takes: options, machine, networks by name, the bytes of the pictures that
    are kept all the while, the ``room`` there is for keeping what is freed as well, None for any, on a GPU what there
    is of ``main`` memory, None for unknown, the bytes that ``reading`` the pictures took before, and those of what
    ``others`` had in this process when the run was prepared, which no prediction counts."""

    spec: StyleSpec
    machine: Machine
    networks: Mapping[str, Network]
    pictures: float
    room: float | None = None
    main: float | None = None
    reading: float = 0.0
    others: float = 0.0

    @property
    def while_reading(self) -> float:
        """Peak bytes until the pictures are read; on a GPU none of its own."""
        return WHILE_READING + self.reading if self.machine.device.type == "cpu" else 0.0

    def of_run(self, levels: Iterable[Level]) -> float:
        """Peak bytes of a run."""
        return max(self.while_reading, *(self.of_level(level) for level in levels))

    def to_come(self, levels: Iterable[Level]) -> float:
        """The same beyond what is there once the pictures are read."""
        return max(self.of_level(level) for level in levels) - self.pictures - WHILE_READING

    def of_level(self, level: Level) -> float:
        """Peak bytes while ``level`` is computed."""
        return self._of_level(level, keeps_freed=self.keeps_freed(level))

    def bound(self, level: Level, *, keeps_freed: bool) -> float:
        """Bytes of the process from which on ``level`` hands back what was freed; on a GPU they are not of interest."""
        if self.machine.device.type != "cpu":
            return math.inf
        return HELD_TO * self._of_level(level, keeps_freed=keeps_freed) + self.others

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
        return self.pictures + max(self._vectors(level), self._vectors_before(level))

    def keeps_freed(self, level: Level) -> bool:
        """Whether there is room for keeping what is freed, which is faster than to hand it back."""
        if self.machine.device.type != "cpu" or not can_keep():
            return False
        for_long = replace(level, iterations=max(level.iterations, LATER))  # --time may make more of them
        return self.room is None or LEEWAY * self._of_level(for_long, keeps_freed=True) <= self.room

    def hands_back(self, level: Level) -> bool:
        """Whether what is freed could be kept, but for want of room."""
        return self.machine.device.type == "cpu" and can_keep() and not self.keeps_freed(level)

    def _of_level(self, level: Level, *, keeps_freed: bool) -> float:
        network = self.networks[level.network]
        vectors = 0.0 if level.vectors == "main memory" else self._vectors(level)
        features = self._features(level, network, keeps_freed=keeps_freed)
        needed = max(vectors + features, self._before(level, network))
        return self._held() + self._targets(level, network) + needed

    def _before(self, level: Level, network: Network) -> float:
        """While the painting is looked at, which may be much larger than the picture: the features of a tile, the
        painting's floats, with what comes and goes when it is brought to its size, and the picture with the content."""
        dtype, painting = self.machine.dtype, level.style_size
        tiling = Tiling.in_precision(level.tile, dtype) if level.tile else None
        tiling = tiling or Tiling.of_painting(painting, level.canvas, dtype)
        largest = tiling.largest(painting, network, self._layers, goes_back=False) if tiling else math.prod(painting)
        features = largest * dtype.itemsize * LOOKED_AT * next(conv for _, conv in network).outputs
        return features + (0.0 if level.vectors == "main memory" else self._vectors_before(level))

    def _vectors_before(self, level: Level) -> float:
        return VECTOR * (2 * math.prod(level.style_size) + CONTENT_VECTORS * level.pixels)

    def _vectors(self, level: Level) -> float:
        """All that has the size of the picture; the content too, at all octaves, if it is seen again."""
        content = VECTOR * 4 / 3 if level.targets == "again" else 0.0
        more = VECTOR * VECTORS_ON_GPU if self.machine.device.type == "cuda" else 0.0
        if level.iterations == 1:  # no solver ever takes a step
            return level.pixels * (VECTOR * EVALUATED_VECTORS + content + more)
        return level.pixels * (VECTOR * WORKING_VECTORS + self._history(level) + content + more)

    def _held(self) -> float:
        """Whatever is there all the while."""
        dtype = self.machine.dtype
        # Convolutions have copies of their kernels, in an order of their own.
        weights = 2 * dtype.itemsize / 4 * sum(network.tensor_bytes for network in self.networks.values())
        base = BASE + (OF_BF16 if dtype == torch.bfloat16 else 0.0)
        return weights + (base + self.pictures if self.machine.device.type == "cpu" else 0.0)

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
        needed, in_tiles = padded * itemsize * (0.81 * kept + 12), padded < level.pixels
        if self.machine.device.type != "cpu":
            return needed + (COPIED_ON_GPU * first.outputs * padded * itemsize if in_tiles else 0.0)
        if keeps_freed:
            needed *= self._times_kept(level, network)
        else:
            needed += min(SMALL_MOST, SMALL_SHARE * needed) * (SMALL_LATER if self.spec.coarse_iterations else 1)
        return needed + (OF_TILES if in_tiles else 0.0)

    def _times_kept(self, level: Level, network: Network) -> float:
        narrow = KEPT_OF_NARROW_BF16 if self.machine.dtype == torch.bfloat16 else KEPT_OF_NARROW
        begun = KEPT_OF_WIDE if network.forgets_first else narrow
        return begun + KEPT_LATER * min(1.0, level.iterations / LATER)
