"""How long a prepared run will take, found by timing its objective on small pictures, and how to fit it to a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from impasto.allocator import keeping_freed_memory
from impasto.device import using_threads
from impasto.features import Extractor
from impasto.hardware import keep_timing, kept_timing
from impasto.objective import bounded
from impasto.optimize import Step
from impasto.pyramid import Level
from impasto.replay import RECORDED_AT, Replayed, replayed
from impasto.targets import number_of_octaves, style_transfer_objective
from impasto.transfer import Transfer

__all__ = [
    "MOST_EVALUATIONS",
    "Cost",
    "compare_cost",
    "fit_levels",
    "known_cost",
    "measure_cost",
    "open_ended",
    "seconds_of_next",
]

PROBE_SIDES = (32, 160, 320, 640, 1440)
"""Sides in pixels of the pictures that are timed, until one takes long enough to tell something."""

TELLING_SIDE = 640
"""The same for what it takes to hand memory back: of small pictures that is little."""

ENOUGH = 0.15
"""Seconds an evaluation has to take to stand for larger ones."""

SPARE = 1.15
"""How much longer than estimated a run that fits a time may take, and still ends within it."""

LOOKED_THERE, LOOKED_BACK = 0.5, 0.85
"""What the pixels of tiles take, of the time of as many in a picture that is looked at once, as measured."""

CONTENT_AGAIN = 1.4
"""How much longer an evaluation takes if it looks at the content too, as far as its layer, there and back: 1.2 was
measured with one look."""

FAR_OFF = 1.4
"""Times as long as estimated, or as short, from which on an estimate is not used again."""

MOST_EVALUATIONS = 500
"""At the full size, in a run that fits a time: L-BFGS is 5 % above its last loss after 190, and 2 % after 300."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one evaluation of each network, by name: ``fixed`` for each of up to so many ``octaves``, and
    ``per_pixel`` of the picture; ``longer`` says how many times as long a level takes in its tiles, and
    ``handed_back`` where it ``hands_back`` what is freed."""

    fixed: Mapping[str, float]
    per_pixel: Mapping[str, float]
    octaves: int = 1
    longer: Callable[[Level], float] = lambda level: 1.0
    handed_back: Mapping[str, float] = field(default_factory=dict)
    hands_back: Callable[[Level], bool] = lambda level: False
    _known: dict[Level, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of_evaluation(self, level: Level) -> float:
        """Seconds of one evaluation at ``level``; found out once, as progress asks for them at each step."""
        if level not in self._known:
            self._known[level] = self._of_evaluation(level)
        return self._known[level]

    def _of_evaluation(self, level: Level) -> float:
        looked_at = level.pixels * self.longer(level)
        octaves = number_of_octaves(level.size, level.style_size, self.octaves)
        if level.targets == "again":
            looked_at *= CONTENT_AGAIN
        if self.hands_back(level):
            looked_at *= self.handed_back.get(level.network, 1.0)
        return octaves * self.fixed[level.network] + self.per_pixel[level.network] * looked_at

    def of_targets(self, level: Level) -> float:
        """Seconds of looking at content and painting before ``level``: a third of an evaluation of each."""
        painting = self.per_pixel[level.network] * level.style_size[0] * level.style_size[1]
        return (self.of_evaluation(level) + painting) / 3

    def of_level(self, level: Level) -> float:
        """Seconds of all evaluations at ``level``, and of what is looked at before."""
        return self.of_targets(level) + level.iterations * self.of_evaluation(level)

    def of_levels(self, levels: Iterable[Level]) -> float:
        """Seconds of a whole run."""
        return sum(self.of_level(level) for level in levels)


def fit_levels(levels: Sequence[Level], cost: Cost, seconds: float) -> list[Level]:
    """Give ``levels``, coarsest first, fewer or more evaluations, so that the run takes ``seconds`` at most.

    All change in proportion, up to ``MOST_EVALUATIONS`` of the last level (or what is planned there, if that is more),
    and the estimate may be wrong by ``SPARE``. If the full size would get a single evaluation, by which nothing
    changes yet, it gets that one, but the coarser sizes share all of the time, in the same way: the caller ends such a
    run when the time is over (see ``seconds_of_next``), with a picture that is then enlarged.
    """
    *coarse, finest = levels
    per_round = sum(level.iterations * cost.of_evaluation(level) for level in levels)
    budget = seconds / SPARE - sum(cost.of_targets(level) for level in levels)
    factor = min(budget / max(per_round, 1e-9), max(MOST_EVALUATIONS / finest.iterations, 1.0))
    if coarse and factor * finest.iterations < 2:
        return [*fit_levels(coarse, cost, seconds), replace(finest, iterations=1)]
    return [replace(level, iterations=max(1, int(factor * level.iterations))) for level in levels]


def open_ended(levels: Sequence[Level]) -> list[Level]:
    """The same levels, the full size with as many evaluations as are of use: time that is left is spent there.

    The caller ends such a run when the time is over (see ``seconds_of_next``).
    """
    *coarse, finest = levels
    return [*coarse, replace(finest, iterations=max(finest.iterations, MOST_EVALUATIONS))]


def seconds_of_next(levels: Sequence[Level], cost: Cost, step: Step, took: float) -> float:
    """Seconds that the evaluation after ``step`` will probably take, which itself ``took`` so many; 0 after the last.

    The first one at each size includes looking at content and painting.
    """
    place = step.level
    last_here = step.index == step.of
    if last_here and place + 1 == len(levels):
        return 0.0
    estimated = _of_step(cost, levels[place], first=step.index == 1)
    return took / max(estimated, 1e-9) * _of_step(cost, levels[place + last_here], first=last_here)


def _of_step(cost: Cost, level: Level, *, first: bool) -> float:
    return cost.of_evaluation(level) + (cost.of_targets(level) if first else 0.0)


def measure_cost(transfer: Transfer) -> Cost:
    """Time each network's objective on one tiny picture and on larger ones, the best of some runs each; and keep it.

    On a CPU that takes about a second a network, and some more where memory is handed back. Evaluations are linear in
    the pixels once they are long enough.
    """
    networks = transfer.extractors.items()
    # First what is handed back: what was kept before leaves holes, which would be used again.
    handed_back = {
        name: _per_pixel_handed_back(transfer, each) for name, each in networks if _hands_back(transfer, name)
    }
    measured = {name: _measured(transfer, each, handed_back.get(name, 0.0)) for name, each in networks}
    for name, numbers in measured.items():
        keep_timing(_about(transfer, name), transfer.machine.device, numbers)
    return _cost(transfer, measured)


def known_cost(transfer: Transfer) -> Cost:
    """What ``measure_cost`` found when something like ``transfer`` ran here before, else what it finds now."""
    kept = {name: kept_timing(_about(transfer, name), transfer.machine.device) for name in transfer.extractors}
    known = {
        name: (numbers[0], numbers[1], numbers[2]) for name, numbers in kept.items() if numbers and len(numbers) == 3
    }
    return _cost(transfer, known) if len(known) == len(kept) else measure_cost(transfer)


def compare_cost(transfer: Transfer, estimated: float, took: float) -> None:
    """Forget what ``measure_cost`` kept for runs like ``transfer``, if this one ``took`` quite another time than was
    ``estimated``, in seconds: something else was using the machine, then or now."""
    if took > 1 and not 1 / FAR_OFF < took / max(estimated, 1e-9) < FAR_OFF:
        for name in transfer.extractors:
            keep_timing(_about(transfer, name), transfer.machine.device, ())


def _about(transfer: Transfer, name: str) -> str:
    """All that decides how long evaluations of a network take, besides the machine and the size."""
    spec, machine = transfer.spec, transfer.machine
    layers = f"{'+'.join(spec.content_layers)} {'+'.join(spec.style_layers)}"
    largest = _probes(transfer, transfer.extractors[name])[-1]
    seen = f"{spec.octaves} octaves up to {largest} pixels, {spec.padding} {spec.pooling}"
    smooth = "smooth" if spec.tv_weight else "as it is"
    keeps = transfer.footprint.keeps_freed(_probed(transfer.extractors[name], largest))
    memory = "kept" if keeps else "not kept"
    both = ", and handed back" if _hands_back(transfer, name) else ""
    about = f"{machine.threads} threads, {layers}, {seen}, {spec.normalization}, {smooth}, memory is {memory}{both}"
    return f"{name} {machine.precision}, {about}"


def _hands_back(transfer: Transfer, name: str) -> bool:
    """Whether the network of that ``name`` has to hand back what is freed, at any level."""
    return any(level.network == name and transfer.footprint.hands_back(level) for level in transfer.levels)


def _probes(transfer: Transfer, extractor: Extractor) -> list[int]:
    """The sides in pixels of pictures that may be timed: no more than the run has, nor than there is room for."""
    most = max(PROBE_SIDES[0], math.isqrt(math.prod(transfer.size)))
    sides = (min(side, most) for side in PROBE_SIDES)
    return [side for number, side in enumerate(sides) if number == 0 or _fits(transfer, extractor, side)]


def _cost(transfer: Transfer, measured: Mapping[str, tuple[float, float, float]]) -> Cost:
    fixed, per_pixel, handed_back = ({name: numbers[index] for name, numbers in measured.items()} for index in range(3))
    longer = partial(_times_longer, transfer)
    return Cost(fixed, per_pixel, transfer.spec.octaves, longer, handed_back, transfer.footprint.hands_back)


def _times_longer(transfer: Transfer, level: Level) -> float:
    """How many times as long an evaluation takes in the tiles of ``level``, all octaves together."""
    tiling, network = transfer.tiling(level), transfer.extractor(level).network
    if tiling is None:
        return 1.0
    layers = {*transfer.spec.content_layers, *transfer.spec.style_layers}
    took = pixels = 0.0
    for number in range(number_of_octaves(level.size, level.style_size, transfer.spec.octaves)):
        height, width = (side // 2**number for side in level.canvas)
        there, back = tiling.seen((height, width), network, layers)
        took += LOOKED_THERE * there + LOOKED_BACK * back if there else back
        pixels += height * width
    return took / pixels


def _per_pixel_handed_back(transfer: Transfer, extractor: Extractor) -> float:
    """Seconds of an evaluation for each pixel where what is freed is handed back, with what each evaluation takes."""
    side = max(side for side in _probes(transfer, extractor) if side <= TELLING_SIDE)
    return _time_evaluation(transfer, extractor, side, hands_back=True) / side**2


def _measured(transfer: Transfer, extractor: Extractor, handed_back: float) -> tuple[float, float, float]:
    """Seconds of an evaluation as it is and for each pixel, and how many times as long the latter are where what is
    freed is handed back, of which ``handed_back`` says how many seconds a pixel it takes."""
    smallest, *larger = _probes(transfer, extractor)
    side, tiny = smallest, _time_evaluation(transfer, extractor, smallest)
    seconds = tiny
    for side in larger:
        seconds = _time_evaluation(transfer, extractor, side)
        if seconds > ENOUGH or side == larger[-1]:
            break
    # The tiny one has one octave.
    octaves = number_of_octaves((side, side), (side, side), transfer.spec.octaves)
    more = side**2 - octaves * smallest**2
    # Between pictures of about the same size there is nothing but noise.
    per_pixel = max(seconds - octaves * tiny, 0.0) / more if more > smallest**2 else 0.0
    fixed = max(tiny - per_pixel * smallest**2, 0.0)
    return fixed, per_pixel, max(1.0, handed_back / per_pixel) if per_pixel else 1.0


def _fits(transfer: Transfer, extractor: Extractor, side: int) -> bool:
    """Whether there is room for a picture of ``side`` x ``side`` pixels."""
    room = transfer.footprint.room
    return room is None or transfer.footprint.fits(_probed(extractor, side), room)


def _probed(extractor: Extractor, side: int) -> Level:
    """What is timed at ``side`` x ``side`` pixels."""
    return Level((side, side), (side, side), 2, extractor.network.name)


def _time_evaluation(transfer: Transfer, extractor: Extractor, side: int, *, hands_back: bool = False) -> float:
    """Seconds of an evaluation at ``side`` x ``side`` pixels; what is freed is kept, if there is room for it, unless it
    is to be handed back."""
    picture = torch.linspace(0, 1, 3 * side * side, device=transfer.machine.device).view(1, 3, side, side)
    times, keeps = [], not hands_back and transfer.footprint.keeps_freed(_probed(extractor, side))
    with using_threads(transfer.machine.threads), keeping_freed_memory(keeps):
        objective = style_transfer_objective(extractor, picture, picture.flip(-1), transfer.spec)
        evaluate = replayed(bounded(objective), picture)
        for _ in range(RECORDED_AT + 1 if isinstance(evaluate, Replayed) else 2):
            start = time.perf_counter()
            float(evaluate(picture).gradient.sum())  # the number waits for the device
            times.append(time.perf_counter() - start)
            if times[0] > 10 * ENOUGH:  # on so slow a machine the first one tells enough
                break
    return min(times)
