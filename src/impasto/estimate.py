"""How long a prepared run will take on this machine, found by timing its own objective on small pictures."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from impasto.device import using_threads
from impasto.objective import bounded, style_transfer_objective
from impasto.pyramid import Level
from impasto.stylize import Transfer

__all__ = ["Cost", "measure_cost"]

PROBE_SIDES = (32, 160, 480, 1440)
"""Sides in pixels of the pictures that are timed, until one takes long enough to tell something."""

ENOUGH = 0.05
"""Seconds an evaluation has to take to stand for larger ones."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one evaluation: ``fixed``, and ``per_pixel`` of the picture."""

    fixed: float
    per_pixel: float

    def of_evaluation(self, pixels: int) -> float:
        """Seconds of one evaluation of a picture of so many pixels."""
        return self.fixed + self.per_pixel * pixels

    def of_level(self, level: Level) -> float:
        """Seconds of all evaluations at ``level``; looking at content and painting first takes a third of one each."""
        painting = self.per_pixel * level.style_size[0] * level.style_size[1]
        targets = (self.of_evaluation(level.pixels) + painting) / 3
        return targets + level.iterations * self.of_evaluation(level.pixels)

    def of_levels(self, levels: Iterable[Level]) -> float:
        """Seconds of a whole run."""
        return sum(self.of_level(level) for level in levels)


def measure_cost(transfer: Transfer) -> Cost:
    """Time the objective of ``transfer`` on one tiny picture and on larger ones, the better of two runs each.

    On a CPU that takes half a second. Evaluations are linear in the number of pixels once they are long enough.
    """
    smallest, *larger = PROBE_SIDES
    tiny = seconds = _time_evaluation(transfer, smallest)
    for side in larger:
        seconds = _time_evaluation(transfer, side)
        if seconds > ENOUGH or side >= max(transfer.size):
            break
    per_pixel = max(seconds - tiny, 0.0) / (side**2 - smallest**2)
    return Cost(max(tiny - per_pixel * smallest**2, 0.0), per_pixel)


def _time_evaluation(transfer: Transfer, side: int) -> float:
    """Seconds of an evaluation at ``side`` x ``side`` pixels."""
    picture = torch.linspace(0, 1, 3 * side * side, device=transfer.machine.device).view(1, 3, side, side)
    times = []
    with using_threads(transfer.machine.threads):
        evaluate = bounded(style_transfer_objective(transfer.extractor, picture, picture.flip(-1), transfer.spec))
        for _ in range(2):
            start = time.perf_counter()
            float(evaluate(picture).gradient.sum())  # the number waits for the device
            times.append(time.perf_counter() - start)
            if times[0] > 10 * ENOUGH:  # on so slow a machine the first one tells enough
                break
    return min(times)
