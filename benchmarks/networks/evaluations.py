"""Seconds of one evaluation by each network, in turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.allocator import keeping_freed_memory
from impasto.device import using_threads
from impasto.objective import Evaluate, bounded
from impasto.prepare import prepare
from impasto.presets import resolve_spec

from .runs import REFERENCE, split_options


@dataclass(frozen=True)
class Timing:
    """Seconds of an evaluation, best and median, and both as ratios to VGG-19's: of the bests, and by rounds."""

    best: float
    median: float
    best_ratio: float
    median_ratio: float


def time_evaluations(
    photo: Path, painting: Path, networks: list[str], preset: str, options: Mapping[str, str], rounds: int
) -> tuple[dict[str, Timing], str]:
    """Time the objective of each network on one pair at the full size; also the precision of all."""
    look, run = split_options(options)
    runs = {}
    for name in networks:
        spec = resolve_spec(preset, look, {"network": name, "coarse_network": "none", "coarse_iterations": ()})
        transfer = prepare(photo, painting, spec, run)
        level = transfer.levels[-1]
        runs[name] = bounded(transfer.objective(level)), transfer.starting_point(level)
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    with using_threads(run.threads), keeping_freed_memory():  # as runs do that have room for it
        for number in range(rounds + 1):
            for name, (evaluate, start) in runs.items():
                took = _seconds(evaluate, start)
                if number:  # the first round is the warm-up
                    seconds[name].append(took)
    return timings(seconds), transfer.machine.precision


def _seconds(evaluate: Evaluate, picture: Tensor) -> float:
    before = time.perf_counter()
    float(evaluate(picture).gradient.sum())  # the number waits for the device
    return time.perf_counter() - before


def timings(seconds: Mapping[str, list[float]]) -> dict[str, Timing]:
    """Best, median, and ratios of the seconds of all rounds; the reference has to be among them."""
    reference = seconds[REFERENCE]
    return {
        name: Timing(
            best=min(times),
            median=statistics.median(times),
            best_ratio=min(times) / min(reference),
            median_ratio=statistics.median(ours / theirs for ours, theirs in zip(times, reference, strict=True)),
        )
        for name, times in seconds.items()
    }
