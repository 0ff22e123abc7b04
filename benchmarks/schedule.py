"""Where evaluations are best spent: preset ``standard`` against others like it that take the same time.

python -m benchmarks.schedule FOLDER RESULTS.json [--pairs 4] [--size 384] [--strength 0.5] [--ways standard ...]

FOLDER has content/*.jpg and style/*.jpg. Each way is a change of options, or of what happens between two levels, for
which the package has no option; its evaluations are then made fewer or more, all in proportion, until it takes as long
as ``standard`` by the seconds that an evaluation of each network was measured to take. So what else the machine does
plays no role. What counts is the objective of ``standard`` at the full size by VGG-19, of the picture as it was saved,
and the figures of ``impasto evaluate``: ratios to ``standard``, geometric means over pairs. What is in RESULTS already
is not painted again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import geometric_mean
from tempfile import TemporaryDirectory
from typing import Any

import torch.nn.functional as F

from benchmarks.networks.curves import Pair, choose_pairs
from benchmarks.networks.runs import Judge, Pictures, StaleError
from impasto.color import match_color
from impasto.estimate import SPARE, Cost, fit_levels, measure_cost
from impasto.image.destination import write_bytes
from impasto.image.read import read_image
from impasto.image.resize import as_floats, resize, surrounded, without_margin
from impasto.objective import bounded
from impasto.optimize import Step, optimize
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.pyramid import Level
from impasto.solvers import LBFGS, Solver
from impasto.spec import RunOptions
from impasto.steps import Steps
from impasto.transfer import Transfer

WINDOW = 20
"""Evaluations over which it counts how much the loss falls."""

FIGURES = ("content_error", "style_error", "style_error_half", "style_error_quarter", "sliced_wasserstein")


def from_colors_of_the_painting(transfer: Transfer) -> Transfer:
    """Start from the photo in the painting's mean colors and their spread."""
    return replace(transfer, init=match_color(transfer.content.pixels, transfer.style.pixels).clamp(0, 1))


def carried(old: Solver, new: Solver, before: Level, after: Level) -> None:
    """Let a solver begin with the curvature that another one learned, brought to its size.

    Steps grow as the picture does; the gradient in a pixel becomes smaller as there are more of them.
    """
    assert isinstance(old, LBFGS)
    assert isinstance(new, LBFGS)
    state = old._pairs.state_dict()
    if state["rows"] is None:
        return
    rows = state["rows"]
    if before.canvas != after.canvas:
        seen = without_margin(rows.view(-1, 3, *before.canvas), before.margin)
        rows = surrounded(F.interpolate(seen, after.size, mode="bilinear"), after.margin).flatten(1)
        rows[1::2] *= before.pixels / after.pixels
    products = (rows.double() @ rows.double().T).tolist()
    new._pairs.load_state_dict({**state, "rows": rows, "products": products})
    new._unit = old._unit


@dataclass(frozen=True)
class Way:
    """What is different: options; what is done to the prepared run; whether a picture that grows gets the photo's
    details; which solvers begin with the curvature of the one before; the options of the objective at the full size
    only, of those at coarser ones only; and the share of itself by which the loss has to fall in ``WINDOW`` evaluations
    for a level to go on, the last one for as long as there is time.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    prepared: Callable[[Transfer], Transfer] = lambda transfer: transfer
    has_details: bool = True
    carries: Callable[[Level, Level], bool] = lambda before, after: False
    finest: Mapping[str, Any] = field(default_factory=dict)
    coarser: Mapping[str, Any] = field(default_factory=dict)
    falls: float | None = None

    def steps(self, transfer: Transfer, cost: Cost) -> Iterator[Step]:
        """As ``Steps``, with what is different."""
        is_usual = self.has_details and not self.finest and not self.coarser and self.falls is None
        if is_usual and self.carries is Way.carries:
            yield from Steps(transfer)
            return
        seconds = sum(level.iterations * cost.of_evaluation(level) for level in transfer.levels)
        pixels, solver, last = as_floats(transfer.init), None, None
        finest = transfer.levels[-1].size
        for place, level in enumerate(transfer.levels):
            before = pixels.clamp(0, 1)
            if self.has_details:
                here = transfer.starting_point(level, before)
            else:
                here = surrounded(resize(before, level.size), level.margin)
            changes = self.finest if level.size == finest else self.coarser
            own = replace(transfer, spec=transfer.spec.model_copy(update=dict(changes)))
            is_last = place + 1 == len(transfer.levels)
            if self.falls is not None:
                level = replace(
                    level, iterations=max(1, int((1 if is_last else 0.5) * seconds / cost.of_evaluation(level)))
                )
            fresh = transfer.solver(level)
            if last and solver and self.carries(last, level):
                carried(solver, fresh, last, level)
            solver, last = fresh, level
            steps = optimize(here, bounded(own.objective(level)), solver, level.iterations)
            for step in steps if is_last or self.falls is None else until_slow(steps, self.falls):
                seconds -= cost.of_evaluation(level)
                step = replace(step, level=place, network=level.network, margin=level.margin)
                pixels = step.within_margin
                yield step


def until_slow(steps: Iterable[Step], falls: float) -> Iterator[Step]:
    """``steps`` until the lowest loss of them falls by less than that share of itself in ``WINDOW`` of them; the best
    one at last."""
    lowest: list[float] = []
    best = None
    for step in steps:
        best = step.better_than(best)
        lowest.append(best.loss)
        if len(lowest) > WINDOW and lowest[-1 - WINDOW] - lowest[-1] < falls * lowest[-1]:
            yield best
            return
        yield step


def without_margins(transfer: Transfer) -> Transfer:
    """All parts of the run on canvases of the picture's own size."""
    return transfer.with_levels([replace(level, margin=0) for level in transfer.levels])


def without(*layers: str) -> dict[str, Any]:
    """All style layers but these."""
    usual = resolve_spec("standard").style_layers
    return {"style_layers": {layer: weight for layer, weight in usual.items() if layer not in layers}}


def is_same_size(before: Level, after: Level) -> bool:
    return before.size == after.size


WAYS: dict[str, Way] = {
    "standard": Way(),
    "one size": Way({"coarse_iterations": ()}),
    "half only": Way({"coarse_iterations": (2.0,)}),
    "half and quarter": Way({"coarse_iterations": (2.0, 3.0)}),
    "coarse 1, 1, 1": Way({"coarse_iterations": (1.0, 1.0, 1.0)}),
    "coarse 1, 2, 4": Way({"coarse_iterations": (1.0, 2.0, 4.0)}),
    "coarse 4, 6, 8": Way({"coarse_iterations": (4.0, 6.0, 8.0)}),
    "VGG-19 alone": Way({"coarse_network": "none"}),
    "VGG-19 alone, coarse 4, 6, 8": Way({"coarse_network": "none", "coarse_iterations": (4.0, 6.0, 8.0)}),
    "no compact at the full size": Way({"early_iterations": 0.0}),
    "early 0.5": Way({"early_iterations": 0.5}),
    "early 2": Way({"early_iterations": 2.0}),
    "final 0.3": Way({"final_iterations": 0.3}),
    "final 1": Way({"final_iterations": 1.0}),
    "history 10": Way({"history": 10}),
    "history 40": Way({"history": 40}),
    "Adam": Way({"optimizer": "adam"}),
    "curvature carried to VGG-19": Way(carries=is_same_size),
    "curvature carried to each level": Way(carries=lambda before, after: True),
    "start in the painting's colors": Way(prepared=from_colors_of_the_painting),
    "start from the painting": Way({"init": "style"}),
    "start from noise": Way({"init": "noise"}),
    "without details of the photo": Way(has_details=False),
    "without margins": Way(prepared=without_margins),
    "until it falls by less than 2 %": Way(falls=0.02),
    "until it falls by less than 5 %": Way(falls=0.05),
    "until it falls by less than 10 %": Way(falls=0.1),
    "relu5_1 at coarse sizes only": Way(finest=without("relu5_1")),
    "no relu5_1": Way(without("relu5_1")),
    "relu5_1 at the full size only": Way(coarser=without("relu5_1")),
}


@dataclass(frozen=True)
class Trial:
    """One pair: what ``standard`` is, and what an evaluation costs."""

    pictures: Pictures
    pair: Pair
    options: Mapping[str, Any]
    judge: Judge

    def prepared(self, way: Way) -> Transfer:
        """The run before its evaluations are counted."""
        spec = resolve_spec("standard", {"network": "vgg19"}, self.options, way.options)
        return way.prepared(prepare(*self.pictures.paths(self.pair), spec, RunOptions()))

    def figures(self, way: Way, cost: Cost, seconds: float) -> dict[str, float]:
        """Paint it in so many seconds, save it, and measure the file."""
        transfer = self.prepared(way)
        transfer = transfer.with_levels(fit_levels(transfer.levels, cost, seconds * SPARE))
        result = transfer.result(way.steps(transfer, cost))
        with TemporaryDirectory() as folder:
            saved = Path(folder) / "result.png"
            result.save(saved)
            figures = self.judge.figures(saved, *self.pictures.paths(self.pair), 1.0)
            usual = self.prepared(WAYS["standard"])
            loss = float(usual.objective(usual.levels[-1])(read_image(saved)).loss)
        return {"loss": loss} | {name: figures[name] for name in FIGURES}


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Ratios to ``standard`` in Markdown, the lowest loss first."""
    usual = found["standard"]

    def ratio(way: str, name: str) -> float:
        return geometric_mean(figures[name] / usual[pair][name] for pair, figures in found[way].items())

    names = ("loss", *FIGURES)
    lines = [f"| | {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" + "|---:" * len(names) + "|"]
    for way in sorted(found, key=lambda way: ratio(way, "loss")):
        lines.append(f"| {way} | {' | '.join(f'{ratio(way, name):.3f}' for name in names)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Paint what is missing, keep the figures, print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.schedule", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--size", default="384")
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parsed = parser.parse_args(arguments)
    pictures, judge = Pictures(parsed.folder), Judge(RunOptions())
    options = {"size": parsed.size, "strength": parsed.strength}
    kept: dict[str, Any] = json.loads(parsed.results.read_text()) if parsed.results.is_file() else {}
    for pair in choose_pairs(pictures.names("content"), pictures.names("style"), parsed.pairs):
        trial = Trial(pictures, pair, options, judge)
        usual = trial.prepared(WAYS["standard"])
        if kept.get("options", options) != options:
            raise StaleError(f"'{parsed.results}' was made with other options: {kept['options']}; move it away.")
        if "cost" not in kept:
            found = measure_cost(usual)
            kept |= {"options": options, "ways": {}}
            kept["cost"] = {"fixed": found.fixed, "per_pixel": found.per_pixel, "octaves": found.octaves}
        cost = Cost(**kept["cost"])
        seconds = cost.of_levels(usual.levels)
        for way in dict.fromkeys(["standard", *parsed.ways]):
            done = kept["ways"].setdefault(way, {})
            if " x ".join(pair) not in done:
                done[" x ".join(pair)] = trial.figures(WAYS[way], cost, seconds)
                write_bytes(json.dumps(kept, indent=1).encode(), parsed.results, overwrite=True)
                print(f"{' x '.join(pair)}, {way}: {done[' x '.join(pair)]}", file=sys.stderr, flush=True)
    print(table({way: kept["ways"][way] for way in dict.fromkeys(["standard", *parsed.ways])}))


if __name__ == "__main__":
    main()
