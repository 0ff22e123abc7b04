"""Our L-BFGS against torch.optim.LBFGS (no line search, same memory): loss after equal evaluations on real pairs.

python benchmarks/solvers.py FOLDER CONTENT:STYLE ... [--size 256] [--history 20] [--preset standard]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. Both start from the content, at one size, on the same objective
without bounds; a third row is ours kept within [0, 1]. Prints a table of losses.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from impasto.objective import Evaluate, bounded
from impasto.optimize import optimize
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.solvers import LBFGS
from impasto.spec import RunOptions

AT = (50, 100, 200)


def ours(start: torch.Tensor, evaluate: Evaluate, history: int) -> Iterator[float]:
    """The loss at each evaluation of impasto's solver."""
    return (step.loss for step in optimize(start, evaluate, LBFGS(history=history), max(AT)))


def theirs(start: torch.Tensor, evaluate: Evaluate, history: int) -> Iterator[float]:
    """The loss at each evaluation of torch's."""
    pixels = start.clone().requires_grad_()
    losses: list[float] = []

    def closure() -> torch.Tensor:
        evaluation = evaluate(pixels.detach())
        pixels.grad = evaluation.gradient
        losses.append(float(evaluation.loss))
        return evaluation.loss

    solver = torch.optim.LBFGS([pixels], max_iter=max(AT), history_size=history, tolerance_grad=-1, tolerance_change=-1)
    solver.step(closure)  # type: ignore[no-untyped-call]
    losses += [math.nan] * (max(AT) - len(losses))
    return iter(losses)


def lowest(losses: Iterator[float]) -> list[float]:
    """The lowest loss within so many evaluations, for each of AT."""
    values = list(losses)
    return [min(values[:count], key=lambda value: math.inf if math.isnan(value) else value) for count in AT]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--history", type=int, default=20)
    parser.add_argument("--preset", default="standard")
    arguments = parser.parse_args()
    spec = resolve_spec(arguments.preset, {"size": arguments.size, "coarse_iterations": ()})
    print(f"{'pair':40} {'solver':16}" + "".join(f"{count:>12}" for count in AT))
    for pair in arguments.pairs:
        content, _, style = pair.partition(":")
        folder = arguments.folder
        transfer = prepare(folder / "content" / f"{content}.jpg", folder / "style" / f"{style}.jpg", spec, RunOptions())
        level = transfer.levels[-1]
        evaluate = transfer.objective(level)
        start = transfer.starting_point(level)
        rows = {
            "impasto": ours(start, evaluate, arguments.history),
            "torch": theirs(start, evaluate, arguments.history),
            "impasto, bounded": ours(start, bounded(evaluate), arguments.history),
        }
        for name, losses in rows.items():
            print(f"{pair:40} {name:16}" + "".join(f"{loss:12.5g}" for loss in lowest(losses)), flush=True)


if __name__ == "__main__":
    main()
